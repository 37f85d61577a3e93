"""Notebook 12: what each architecture is worth."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor

from dip_repro import metrics
from dip_repro.fitting import Settings
from dip_repro.networks import NetworkConfig, ResNetConfig, count_parameters
from dip_repro.operators import Mask
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import Denoising, Inpainting


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
        "quick": compared("quick", 48, few(architectures(32, 4)), 80, ("astronaut",)),
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
