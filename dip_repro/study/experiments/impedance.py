"""Notebook `impedance`: what the network fits fast, and what it resists."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from dip_repro.config import NetworkConfig, Settings
from dip_repro.study import spectra
from dip_repro.study.results import Cell, crossed, tidy
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import Target

KINDS = ("natural", "noisy", "shuffled", "phases", "noise")


def comparison(
    profile: str, images: Iterable[str], seeds: int, side: int, network: NetworkConfig, iterations: int
) -> dict[Run, Cell]:
    """Return a run for each kind of target, image and seed.

    σ_p is 0, so that the loss is that of the image itself; the paper does not state it here.
    """
    settings = Settings(iterations, sigma_p=0, report_every=5)

    def run(cell: Cell) -> Run:
        name = f"impedance/{profile}-{cell.arm}-{cell.image}-{cell.seed}"
        return Run(name, Target(cell.image, side, cell.arm), network, settings, cell.seed)

    return crossed(run, ("fit",), KINDS, images, range(seeds))


THREE = ("astronaut", "chelsea", "coffee")
# Budget of laptop: 30 runs of 600 steps of about 0.05 s, a quarter of an hour of 4 cores; paper needs a GPU.
COMPARISONS = {
    "quick": comparison("quick", ("coffee",), 1, 128, NetworkConfig.uniform(width=16, depth=4), 120),
    "laptop": comparison("laptop", THREE, 2, 128, NetworkConfig.uniform(width=64, depth=5), 600),
    "paper": comparison("paper", THREE, 3, 256, NetworkConfig(), 10000),
}
CELLS = {run: cell for cells in COMPARISONS.values() for run, cell in cells.items()}
IMPEDANCE = Experiment(
    "impedance",
    "What is fitted fast, and what is resisted, by frequency",
    "Learning curves, Fig. 2",
    {profile: tuple(cells) for profile, cells in COMPARISONS.items()},
)


def by_kind(runs: Iterable[Run], histories: list[pd.DataFrame]) -> dict[str, list[pd.DataFrame]]:
    """Return the histories of each kind of target."""
    found = list(zip(runs, histories, strict=True))
    return {kind: [history for run, history in found if CELLS[run].arm == kind] for kind in KINDS}


def speeds(runs: Iterable[Run], histories: list[pd.DataFrame]) -> pd.DataFrame:
    """Return after how many iterations each target is fitted, indexed by kind, image and seed; inf: not in the run.

    tenth : a tenth of the target's variance is left.
    each of `spectra.BANDS` : half of its power is left.
    loss : at the end of the run.
    """

    def row(run: Run, history: pd.DataFrame) -> dict[str, float]:
        assert isinstance(run.task, Target)  # as in all runs of this study
        target = run.task.target(run.seed)
        variance = float((target - target.mean((1, 2), keepdim=True)).square().mean())
        bands = {band: first_below(history, band, 0.5) for band in spectra.BANDS}
        return {"tenth": first_below(history, "loss", 0.1 * variance)} | bands | {"loss": history.loss.iloc[-1]}

    found = {run: row(run, history) for run, history in zip(runs, histories, strict=True)}
    return tidy(CELLS, found).droplevel("task").rename_axis(index={"arm": "kind"})


def resistance(found: pd.DataFrame, iterations: int) -> dict[str, float | tuple[float, float]]:
    """Return the quantities of the claims of notebook `impedance`, from `speeds`: extremes over images and seeds.

    What is not reached within the `iterations` of the run takes longer, and nothing more is known: an interval. A ratio
    of two that are not reached is NaN, and so is an extreme over it. What needs a kind that `found` lacks is left out.
    """
    lowest, *_, highest = spectra.BANDS
    of = {str(kind): table.droplevel("kind") for kind, table in found.groupby("kind")}
    natural, quantities = of["natural"], {}
    for kind in of.keys() & {"natural", "noise"}:
        slower = of[kind][highest] / of[kind][lowest]
        quantities[f"least_high_over_low_{kind}"] = slower.min(skipna=False)
    if "noisy" in of:
        quantities["least_noisy_over_natural_loss"] = (of["noisy"].loss / natural.loss).min(skipna=False)
    if "phases" in of:
        quantities["largest_phases_over_natural"] = (of["phases"].tenth / natural.tenth).max(skipna=False)
    if "shuffled" in of:
        at_least, known = (
            tenth / natural.tenth for tenth in (of["shuffled"].tenth.clip(upper=iterations), of["shuffled"].tenth)
        )
        quantities["least_shuffled_over_natural"] = (at_least.min(skipna=False), known.min(skipna=False))
    return quantities


def first_below(history: pd.DataFrame, column: str, level: float) -> float:
    """Return the first iteration at which a column of a history is at most `level`; inf where it never is."""
    reached = history.iteration[history[column] <= level]
    return reached.min() if len(reached) else math.inf
