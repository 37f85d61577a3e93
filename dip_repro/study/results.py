"""What the records say: one tidy table of them, effects in pairs with their intervals, and the verdict on a table.

A comparison maps each of its runs to a cell: the task, the arm, the image and the seed. Two runs of one task, image and
seed have the same corruption, the same z and the same initial weights. They differ in the arm alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from dip_repro.study import records
from dip_repro.study.runs import RESULTS, Run

ROUNDING = 0.1  # dB: what bfloat16 may cost where it is to be the default
MARGIN = 0.3  # dB: a difference whose interval lies within it is none that matters
COLUMNS = (
    *("experiment", "task", "image", "seed", "freeze", "key", "twins", "precision", "device", "iterations", "stopped"),
    *("seconds", "corrupted", "last", "average", "scored", "ssim"),
)
PAUSE = 5  # times the usual: a report that took longer is one during which the process was held


def every(folder: Path = RESULTS) -> pd.DataFrame:
    """Return all sound records below `folder`, a row each, indexed by their names.

    experiment, task, image, seed, freeze, key. twins : a hash of all that decides the outcome but the seed. precision,
    device. iterations, stopped, seconds without pauses. PSNR in dB: corrupted, last, average, and the one that is
    scored. ssim : of the scored one.
    """
    return table(folder, records.stamp(folder))


@functools.lru_cache(maxsize=64)
def table(folder: Path, at: tuple) -> pd.DataFrame:
    """Return `every` of a folder with this stamp."""
    found, _ = records.load_all(folder)
    return pd.DataFrame([row(record) for record in found.values()], pd.Index(list(found), dtype=object), COLUMNS)


def of(runs: Mapping[Any, Run], folder: Path = RESULTS) -> pd.DataFrame:
    """Return the rows of `every` that answer some runs, indexed by the keys of `runs`; NaN where there is no record.

    A record of another configuration than the run's does not answer it.
    """
    if not runs:
        return every(folder).head(0)
    folders = dict.fromkeys((folder / run.name).parent for run in runs.values())
    found = pd.concat([every(place) for place in folders])
    rows = found.reindex([run.name for run in runs.values()]).set_axis(pd.Index(list(runs)))
    return rows[rows.key == [run.key for run in runs.values()]].reindex(rows.index)


def row(record: dict) -> dict:
    """Return what `every` says of a record."""
    configuration, scores, run, made = (record[part] for part in ("configuration", "scores", "run", "provenance"))
    return {
        "experiment": record["name"].partition("/")[0],
        "task": configuration["task"]["kind"],
        "image": configuration["task"].get("image", ""),
        "seed": configuration["seed"],
        "freeze": record["freeze"],
        "key": record["key"],
        "twins": records.key(configuration | {"seed": None}),
        "precision": made.get("precision", "float32"),  # the earliest records knew no other
        "device": made["device"],
        "iterations": run["iterations"],
        "stopped": run["stopped"],
        "seconds": seconds(record),
        "corrupted": scores.get("corrupted", math.nan),
        "last": scores.get("image", math.nan),
        "average": scores.get("average", math.nan),
        "scored": scores.get(configuration["scored"], math.nan),
        "ssim": scores.get("ssim", math.nan),
    }


def seconds(record: dict) -> float:
    """Return how long a run took, without its pauses: a report over `PAUSE` times the usual counts as a usual one."""
    took, between = record["run"]["seconds"], np.diff(record["curves"].get("seconds", []), prepend=0)
    if not len(between):
        return float(took)
    usual = float(np.median(between))
    return float(took - (between[between > PAUSE * usual] - usual).sum())


def precisions(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what bfloat16 changes: a row for each float32 record whose configuration has one in bfloat16 too.

    PSNR in dB of what is scored, in float32 and in bfloat16; the difference bfloat16 − float32 of the last iterate and
    of the average.
    """
    found = every(folder)
    full, half = (found[found.precision == precision] for precision in ("float32", "bfloat16"))
    both = full.rename_axis("record").reset_index().merge(half, on="key", suffixes=("", " in bfloat16"))
    columns = {"float32": both.scored, "bfloat16": both["scored in bfloat16"]}
    columns |= {f"difference, {of}": both[f"{of} in bfloat16"] - both[of] for of in ("last", "average")}
    return pd.DataFrame(columns).set_index(both.record)


class Scatter(NamedTuple):
    """The standard deviation s in dB between runs that differ in their seed alone, pooled over `images`."""

    s: float
    degrees: int  # of freedom
    images: int


def scatter(scores: Mapping[str, Sequence[float]]) -> Scatter | None:
    """Pool s from the scores of several seeds, by image; None where not two images have three seeds each."""
    enough = [np.asarray(each) for each in scores.values() if len(each) >= 3]
    degrees = sum(len(each) - 1 for each in enough)
    if len(enough) < 2:
        return None
    squares = sum(float(((each - each.mean()) ** 2).sum()) for each in enough)
    return Scatter(math.sqrt(squares / degrees), degrees, len(enough))


class Verdict(NamedTuple):
    """What a table says: a word of `verdict`, how many cells are done and missing, and the mean difference in dB.

    low, high : its 95 % interval; NaN where the scatter between runs is not known.
    """

    word: str
    cells: int
    missing: int
    difference: float
    low: float
    high: float


def verdict(differences: pd.Series, of_runs: Scatter | None = None, runs: int = 1) -> Verdict:
    """Judge the differences from the authors' published images, a cell each, in dB; NaN: not run.

    The images of a table are fixed, so what is uncertain is the scatter between runs, theirs and ours alike: the mean
    over n cells of k `runs` each has the standard error s·√((1 + 1/k)/n). Student's t, for the degrees of freedom of s.

    not run; partial: some cells are missing; agrees: the interval lies within ±`MARGIN`; lower, higher: it excludes 0,
    and does not lie within; not resolved: anything else.
    """
    done = differences.dropna()
    n, missing, mean = len(done), len(differences) - len(done), float(done.mean())
    half = math.nan
    if n and of_runs:
        half = float(stats.t.ppf(0.975, of_runs.degrees)) * of_runs.s * math.sqrt((1 + 1 / runs) / n)
    low, high = mean - half, mean + half
    if not n:
        word = "not run"
    elif missing:
        word = "partial"
    elif low >= -MARGIN and high <= MARGIN:
        word = "agrees"
    elif high < 0 or low > 0:
        word = "lower" if high < 0 else "higher"
    else:
        word = "not resolved"
    return Verdict(word, n, missing, mean, low, high)


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


def differences(found: pd.DataFrame, column: str, task: str, arm: str, base: str) -> pd.Series:
    """Return arm − base of a column for each image: paired by image and seed, then averaged over the seeds.

    found : `tidy`, with the column precision. A pair that is not whole, or whose runs differ in precision, is left out.
    """
    of_task = found[found.index.get_level_values("task") == task][[column, "precision"]].unstack("arm")
    arms = of_task.reindex(columns=[(part, of) for part in (column, "precision") for of in (arm, base)])
    equal = arms["precision", arm] == arms["precision", base]
    return (arms[column, arm] - arms[column, base])[equal].dropna().astype(float).groupby("image").mean()


def interval(values: pd.Series | Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of values, and its 95 % interval by Student's t: NaN for fewer than two."""
    if len(values) < 2:
        return float(np.mean(values)) if len(values) else math.nan, math.nan, math.nan
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return float(np.mean(values)), float(low), float(high)


def effect(values: pd.Series) -> dict:
    """Return what paired differences say of an arm.

    effect, low, high : their mean and its 95 % interval, over images.
    p : of a t test of mean 0. Where all differences are equal it is 1 for zeros, else 0.
    least : the smallest effect that such a test finds with a power of 0.8 at the 5 % level.
    images : their number.
    """
    (mean, low, high), n = interval(values), len(values)
    return {
        "effect": mean,
        "low": low,
        "high": high,
        "p": stats.ttest_1samp(values, 0).pvalue if values.std() else float(mean == 0),
        "least": (stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)) * stats.sem(values),
        "images": n,
    }


def holm(p: pd.Series) -> pd.Series:
    """Return p-values corrected for their number, by Holm's step-down procedure (1979)."""
    from statsmodels.stats.multitest import multipletests  # not on a machine that only computes

    return pd.Series(multipletests(p, method="holm")[1], p.index)
