"""Why it works, as experiments: what the network resists, what it draws untrained, what each architecture is worth."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor

from dip_repro import metrics, spectra
from dip_repro.fitting import Settings
from dip_repro.networks import NetworkConfig, ResNetConfig, count_parameters
from dip_repro.operators import Mask
from dip_repro.runs import Experiment, Run
from dip_repro.tasks import Denoising, Inpainting, Target

KINDS = ("natural", "noisy", "shuffled", "phases", "noise")


def impedance(profile: str, pictures: tuple[str, ...], seeds: int, side: int, network, iterations: int):
    """Return a run for each kind of target, image and seed; σ_p = 0, so that the loss is the image's own.

    The paper does not state σ_p here.
    """
    return tuple(
        Run(
            f"impedance/{profile}-{kind}-{image}-{seed}",
            Target(image, side, kind),
            network,
            Settings(iterations, sigma_p=0, report_every=5),
            seed,
        )
        for kind in KINDS
        for image in pictures
        for seed in range(seeds)
    )


# Budget: laptop 30 runs of 600 steps of about 0.05 s, a quarter of an hour of 4 cores; paper wants a GPU.
IMPEDANCE = Experiment(
    "impedance",
    "What is fitted fast, and what is resisted, by frequency",
    "Learning curves, Fig. 2",
    {
        "quick": impedance("quick", ("astronaut", "coffee"), 1, 64, NetworkConfig.uniform(width=32, depth=4), 150),
        "laptop": impedance(
            "laptop", ("astronaut", "chelsea", "coffee"), 2, 128, NetworkConfig.uniform(width=64, depth=5), 600
        ),
        "paper": impedance("paper", ("astronaut", "chelsea", "coffee"), 3, 256, NetworkConfig(), 10000),
    },
)


def by_kind(runs: tuple[Run, ...], histories: list[pd.DataFrame]) -> dict[str, list[pd.DataFrame]]:
    """Return the histories of each kind of target."""
    found: dict[str, list[pd.DataFrame]] = {kind: [] for kind in KINDS}
    for run, history in zip(runs, histories, strict=True):
        assert isinstance(run.task, Target)  # as in all runs of "impedance"
        found[run.task.kind].append(history)
    return found


def speeds(runs: tuple[Run, ...], histories: list[pd.DataFrame]) -> pd.DataFrame:
    """Return a row for each (kind, image, seed): when it was fitted, in iterations; inf: not within the run.

    tenth: until a tenth of the target's variance is left; each of `spectra.BANDS`: until half of its power is; loss: at
    the end.
    """
    rows = []
    for run, history in zip(runs, histories, strict=True):
        assert isinstance(run.task, Target)  # as in all runs of "impedance"
        target = run.task.target(run.seed)
        variance = float((target - target.mean((1, 2), keepdim=True)).square().mean())
        rows.append(
            {"kind": run.task.kind, "image": run.task.image, "seed": run.seed}
            | {"tenth": first_below(history, "loss", 0.1 * variance)}
            | {band: first_below(history, band, 0.5) for band in spectra.BANDS}
            | {"loss": history.loss.iloc[-1]}
        )
    return pd.DataFrame(rows).set_index(["kind", "image", "seed"])


def resistance(found: pd.DataFrame, iterations: int) -> dict[str, float | tuple[float, float]]:
    """Return the quantities of the claims of notebook 10, extremes over images and seeds, from `speeds`.

    What is not reached within the run's `iterations` is only known to take longer: an interval. A ratio of two that are
    not reached is NaN, and so is an extreme over it.
    """
    lowest, *_, highest = spectra.BANDS
    natural, noise = found.loc["natural"], found.loc["noise"]
    shuffled, phases = (found.loc[kind].tenth / natural.tenth for kind in ("shuffled", "phases"))
    at_least = found.loc["shuffled"].tenth.clip(upper=iterations) / natural.tenth
    return {
        "least_shuffled_over_natural": (at_least.min(skipna=False), shuffled.min(skipna=False)),
        "least_noisy_over_natural_loss": (found.loc["noisy"].loss / natural.loss).min(skipna=False),
        "least_high_over_low_natural": (natural[highest] / natural[lowest]).min(skipna=False),
        "least_high_over_low_noise": (noise[highest] / noise[lowest]).min(skipna=False),
        "largest_phases_over_natural": phases.max(skipna=False),
    }


def first_below(history: pd.DataFrame, column: str, level: float) -> float:
    """Return the first iteration at which a column of a history is at most `level`, inf where it never is."""
    return history.iteration[history[column] <= level].min() if (history[column] <= level).any() else math.inf


def priors(width: int) -> dict[str, NetworkConfig | ResNetConfig]:
    """Return the networks whose untrained outputs are compared; only what their names say differs."""
    without = {scales: NetworkConfig.uniform(width, scales, skip=0) for scales in (1, 3, 5)}
    return {
        **{f"{scales} scales" if scales > 1 else "1 scale": network for scales, network in without.items()},
        "nearest": NetworkConfig.uniform(width, 5, skip=0, upsample="nearest"),
        "skips": NetworkConfig.uniform(width, 5),
        "U-Net": NetworkConfig.uniform(width, 5, skip=width),
        "ResNet": ResNetConfig(width=width),
    }


def architectures(width: int, depth: int) -> dict[str, NetworkConfig | ResNetConfig]:
    """Return the networks compared: "paper" has its proportions, `width` filters over `depth` scales with skips of 4.

    "U-Net" has skips as wide as each level, "ResNet" no scales: the paper gives no more than the names.
    """
    depths = {f"depth-{n}": NetworkConfig.uniform(width, n) for n in range(1, depth, 2)}
    widths = {f"width-{n}": NetworkConfig.uniform(n, depth) for n in (width // 4, width // 2)}
    return {
        "paper": NetworkConfig.uniform(width, depth),
        **depths,
        **widths,
        "no-skips": NetworkConfig.uniform(width, depth, skip=0),
        "U-Net": NetworkConfig.uniform(width, depth, skip=width),
        "ResNet": ResNetConfig(width=width // 2, blocks=4),
    }


def few(networks: dict) -> dict:
    """Return the networks without those between the extremes, for a first look."""
    return {name: network for name, network in networks.items() if name not in ("depth-3", "width-16")}


def compared(profile: str, side: int, networks: dict, iterations: int, pictures: tuple[str, ...]) -> tuple[Run, ...]:
    """Return a run for each network, task and image: denoising at σ = 25, and a text to remove."""
    settings = Settings(iterations, average_start=iterations // 2)  # in a short run the first iterates stay in it
    text, height = "which network draws what is not there", max(9, side // 14)
    tasks: dict[str, tuple[Callable[[str], Denoising | Inpainting], str]] = {
        "denoising": (lambda image: Denoising(image, side), "average"),
        "inpainting": (lambda image: Inpainting(image, side, text=text, height=height), "image"),
    }
    return tuple(
        Run(f"architectures/{profile}-{task}-{image}-{name}", make(image), network, settings, scored=scored)
        for task, (make, scored) in tasks.items()
        for image in pictures
        for name, network in networks.items()
    )


# Budget: laptop 32 runs of 600 steps, about 0.1 s a step in the mean: at most an hour of 4 cores.
ARCHITECTURES = Experiment(
    "architectures",
    "Depth, width, skips, U-Net and ResNet: quality against parameters and time",
    "Architectures, compared by the paper on the library hole",
    {
        "quick": compared("quick", 48, few(architectures(32, 4)), 200, ("astronaut",)),
        "laptop": compared("laptop", 128, architectures(128, 5), 600, ("astronaut", "chelsea")),
    },
)

COSTS = ("parameters", "seconds a step")


def worth(runs: tuple[Run, ...], histories: list[pd.DataFrame], restored: list[Tensor]) -> dict[str, pd.DataFrame]:
    """Return for each task a row for each network, means over the images: PSNR in dB, `COSTS`, and who is on the front.

    PSNR of the missing pixels in inpainting, of all in denoising; none where a run fitted nothing: its loss has not
    fallen to half.
    """
    rows = []
    for run, history, image in zip(runs, histories, restored, strict=True):
        problem = run.task.problem(run.seed)
        assert problem.truth is not None  # as in all runs of "architectures"
        operator = problem.operator
        mask = operator.mask if isinstance(operator, Mask) else torch.zeros_like(problem.truth[:1])
        rows.append(
            {
                "task": "inpainting" if isinstance(operator, Mask) else "denoising",
                "network": run.name.rpartition(f"{run.task.image}-")[2],
                "psnr": float(metrics.psnr_where(image, problem.truth, mask == 0)),
                "parameters": count_parameters(run.network.build()),
                "seconds a step": history.seconds.iloc[-1] / run.settings.iterations,
            }
        )
        if history.loss.iloc[-1] > history.loss.iloc[0] / 2:
            rows[-1]["psnr"] = math.nan
    tables = {}
    for task, group in pd.DataFrame(rows).groupby("task"):
        table = group.groupby("network")[["psnr", *COSTS]].agg(lambda column: column.mean(skipna=False))
        tables[str(task)] = table.assign(**{f"{cost} front": on_front(table[cost], table.psnr) for cost in COSTS})
    return tables


def proportions(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Return the quantities of the claims of notebook 12, in dB, from `worth`."""

    def shortfall(table: pd.DataFrame) -> float:
        return table.psnr[table.parameters <= table.parameters["paper"]].max() - table.psnr["paper"]

    denoised, filled = tables["denoising"].psnr, tables["inpainting"].psnr
    return {
        "shortfall_denoising_db": shortfall(tables["denoising"]),
        "shortfall_inpainting_db": shortfall(tables["inpainting"]),
        "deep_over_depth_1_db": filled["paper"] - filled["depth-1"],
        "paper_over_unet_db": denoised["paper"] - denoised["U-Net"],
        "paper_over_resnet_db": denoised["paper"] - denoised["ResNet"],
    }


def on_front(cost: pd.Series, quality: pd.Series) -> pd.Series:
    """Return which rows lie on the Pareto front: nothing that costs no more is better, nor as good and cheaper.

    A quality of NaN is never on it.
    """
    beaten = {
        name: (
            (cost <= cost[name]) & (quality > quality[name]) | (cost < cost[name]) & (quality >= quality[name])
        ).any()
        for name in cost.index
    }
    return quality.notna() & ~pd.Series(beaten)
