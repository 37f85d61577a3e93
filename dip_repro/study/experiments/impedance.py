"""Notebook 10: what the network fits fast, and what it resists."""

from __future__ import annotations

import math

import pandas as pd

from dip_repro.fitting import Settings
from dip_repro.networks import NetworkConfig
from dip_repro.study import spectra
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import Target

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
        "quick": impedance("quick", ("coffee",), 1, 64, NetworkConfig.uniform(width=32, depth=4), 120),
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
