"""Comparisons in pairs: what one change is worth, on the same images and seeds.

A comparison maps each of its runs to a cell: the task, the arm, the image and the seed. Two runs of one task, image and
seed have the same corruption, the same z and the same initial weights. They differ in the arm alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from dip_repro.study.runs import Run


class Cell(NamedTuple):
    """The place of a run in a comparison."""

    task: str
    arm: str
    image: str
    seed: int = 0


def crossed(
    make: Callable[[Cell], Run], tasks: Iterable[str], arms: Iterable[str], images: Iterable[str], seeds: Iterable[int]
) -> dict[Run, Cell]:
    """Return a comparison with one run for each task, arm, image and seed."""
    cells = [Cell(*place) for place in product(tasks, arms, images, seeds)]
    return {make(cell): cell for cell in cells}


def tidy(cells: Mapping[Run, Cell], measured: Mapping[Run, dict], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return what was measured of each run, one row each, indexed by task, arm, image and seed."""
    index = pd.MultiIndex.from_tuples([cells[run] for run in measured], names=Cell._fields)
    return pd.DataFrame(list(measured.values()), index, columns)


def differences(scores: pd.Series, task: str, arm: str, base: str) -> pd.Series:
    """Return arm − base for each image: paired by image and seed, then averaged over the seeds.

    scores : a column of `tidy`. An image that only one of the two arms has is left out.
    """
    of_task = scores[scores.index.get_level_values("task") == task]
    arms = of_task.unstack("arm").reindex(columns=[arm, base])
    return (arms[arm] - arms[base]).dropna().groupby("image").mean()


def interval(values: pd.Series | Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of two values or more, and its 95 % interval by Student's t."""
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return float(np.mean(values)), float(low), float(high)


def effect(values: pd.Series) -> dict:
    """Return what paired differences say of an arm.

    effect, low, high : their mean and its 95 % interval, over images.
    p : of a t test of mean 0; 1 where all differences are equal.
    least : the smallest effect that such a test finds with a power of 0.8 at the 5 % level.
    images : their number.
    """
    (mean, low, high), n = interval(values), len(values)
    return {
        "effect": mean,
        "low": low,
        "high": high,
        "p": stats.ttest_1samp(values, 0).pvalue if values.std() else 1.0,
        "least": (stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)) * stats.sem(values),
        "images": n,
    }


def holm(p: pd.Series) -> pd.Series:
    """Return p-values corrected for their number, by Holm's step-down procedure (1979)."""
    from statsmodels.stats.multitest import multipletests  # not on a machine that only computes

    return pd.Series(multipletests(p, method="holm")[1], p.index)
