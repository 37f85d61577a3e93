"""Notebook `inpainting`: what each architecture is worth."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor

from dip_repro import metrics
from dip_repro.config import NetworkConfig, ResNetConfig, Settings
from dip_repro.networks import count_parameters
from dip_repro.operators import Mask
from dip_repro.study.experiments.inpainting import on_missing
from dip_repro.study.results import Cell, crossed, tidy
from dip_repro.study.runs import Experiment, Run, problem_of, stored
from dip_repro.study.tasks import Denoising, Inpainting, Problem

COSTS = ("parameters", "seconds a step")
TEXT = "which network draws what is not there"

# The networks in words, for pictures and tables.
LABELS = {
    "paper": "the paper's",
    "depth-1": "1 scale",
    "depth-3": "3 scales",
    "width-8": "8 filters",
    "width-32": "32 filters",
    "width-64": "64 filters",
    "no-skips": "no skips",
    "U-Net": "wide skips (U-Net)",
    "ResNet": "no scales (ResNet)",
}


def architectures(width: int, depth: int) -> dict[str, NetworkConfig | ResNetConfig]:
    """Return the networks compared. "paper" has the paper's proportions: `width` filters, `depth` scales, skips of 4.

    "U-Net" has skips as wide as each level, "ResNet" has no scales. The paper gives only these names.
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


def comparison(profile: str, side: int, networks: dict, iterations: int, images: Iterable[str]) -> dict[Run, Cell]:
    """Return the runs of each network on each image: denoising at σ = 25, and a text to remove."""
    # The average starts at half of the run: in a short run the first iterates would stay in it.
    settings = Settings(iterations, average_start=iterations // 2)

    def run(cell: Cell) -> Run:
        denoising = cell.task == "denoising"
        inpainting = Inpainting(cell.image, side, text=TEXT, height=max(9, side // 14))
        return Run(
            f"architectures/{profile}-{cell.task}-{cell.image}-{cell.arm}",
            Denoising(cell.image, side) if denoising else inpainting,
            networks[cell.arm],
            settings,
            scored="average" if denoising else "image",
        )

    return crossed(run, ("denoising", "inpainting"), networks, images, (0,))


SMALL = {name: network for name, network in architectures(32, 4).items() if name not in ("depth-3", "width-16")}
# Budget of laptop: 32 runs of 600 steps, about 0.1 s a step in the mean: at most an hour of 4 cores.
COMPARISONS = {
    "quick": comparison("quick", 48, SMALL, 80, ("astronaut",)),
    "laptop": comparison("laptop", 128, architectures(128, 5), 600, ("astronaut", "chelsea")),
}
ARCHITECTURES = Experiment(
    "architectures",
    "Depth, width, skips, U-Net and ResNet: quality against parameters and time",
    "Architectures, compared by the paper on the library hole",
    {profile: tuple(cells) for profile, cells in COMPARISONS.items()},
)


def worth(runs: Iterable[Run], histories: list[pd.DataFrame], restored: list[Tensor]) -> dict[str, pd.DataFrame]:
    """Return one table for each task, one row for each network: the PSNR in dB, `COSTS`, and "<cost> front".

    Values are means over the images. The PSNR is over the missing pixels in inpainting, over all in denoising. It is
    NaN where a run fitted nothing: its loss did not fall to half. The front is that of `on_front`.
    """
    cells = {run: cell for comparison in COMPARISONS.values() for run, cell in comparison.items()}
    rows = {}
    for run, history, image in zip(runs, histories, restored, strict=True):
        problem = run.task.problem(run.seed)
        fitted = history.loss.iloc[-1] <= history.loss.iloc[0] / 2
        psnr = scored(problem, image) if fitted else math.nan
        cost = (count_parameters(run.network.build()), history.seconds.iloc[-1] / run.settings.iterations)
        rows[run] = {"psnr": psnr, **dict(zip(COSTS, cost, strict=True))}
    tables = {}
    for task, found in tidy(cells, rows).groupby("task"):
        table = found.groupby("arm").agg(lambda column: column.mean(skipna=False)).rename_axis("network")
        tables[str(task)] = table.assign(**{f"{cost} front": on_front(table[cost], table.psnr) for cost in COSTS})
    return tables


def scored(problem: Problem, image: Tensor) -> float:
    """Return the PSNR in dB of an image: over the missing pixels where there are some, else over all."""
    if isinstance(problem.operator, Mask):
        return on_missing(problem, image)
    assert problem.truth is not None  # as in all runs of this study
    return float(metrics.psnr_where(image, problem.truth, torch.ones_like(problem.truth[:1]) > 0))


def beside(runs: Iterable[Run], task: str, image: str, baseline: str, networks: Iterable[str]) -> dict[str, Tensor]:
    """Return the input of a task, a baseline, what some networks made of it, and the truth, each with its PSNR."""
    cells = {run: cell for comparison in COMPARISONS.values() for run, cell in comparison.items()}
    of = {cells[run].arm: run for run in runs if cells[run][:1] + cells[run][2:3] == (task, image)}
    problem = problem_of(of["paper"])
    shown = {"given": problem.corrupted, baseline: problem.baselines[baseline]()}
    shown |= {LABELS[name]: stored([of[name]])[0] for name in networks}
    assert problem.truth is not None  # as in all runs of this study
    with_scores = {f"{name}\n{scored(problem, picture):.2f} dB": picture for name, picture in shown.items()}
    return with_scores | {"truth\n": problem.truth}


def curves(runs: Iterable[Run], histories: list[pd.DataFrame], task: str) -> pd.DataFrame:
    """Return the PSNR in dB of the averages less that of the paper's network, by iteration: a column each network."""
    cells = {run: cell for comparison in COMPARISONS.values() for run, cell in comparison.items()}
    found: dict[str, list[pd.Series]] = {}
    for run, history in zip(runs, histories, strict=True):
        if cells[run].task == task:
            found.setdefault(cells[run].arm, []).append(history.set_index("iteration").psnr_average)
    means = pd.DataFrame({LABELS[arm]: sum(each) / len(each) for arm, each in found.items()})
    return means.sub(means[LABELS["paper"]], axis=0).drop(columns=LABELS["paper"])


def proportions(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Return the quantities of the claims of notebook `inpainting`, in dB, from `worth`."""

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
    """Return which rows lie on the Pareto front: no row is better at no more cost, and none is as good and cheaper.

    A row whose quality is NaN is never on it.
    """
    better = [
        ((cost <= c) & (quality > q) | (cost < c) & (quality >= q)).any() for c, q in zip(cost, quality, strict=True)
    ]
    return quality.notna() & ~pd.Series(better, cost.index)
