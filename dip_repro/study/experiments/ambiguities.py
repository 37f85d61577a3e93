"""The study of ambiguities (data/study.toml): its runs, and what each reading is worth in dB, from their records."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from dip_repro.networks import NetworkConfig
from dip_repro.runtime import DATA
from dip_repro.study import records, tasks
from dip_repro.study.runs import RESULTS, Experiment, Run
from dip_repro.study.variants import Varied

DECLARATION = tomllib.loads((DATA / "study.toml").read_text())
WIDE = DECLARATION["wide"]
BASE = "base"
OUTCOME = ["task", "label", "image", "seed", "scored", "last", "average", "peak", "peak_at"]


@dataclass(frozen=True)
class Arm:
    """One reading on one task, or the base: what differs from the base, as {"network" | "settings" | "task": …}."""

    task: str
    label: str
    changes: dict

    def run(self, image: str, seed: int, wide: bool = False) -> Run:
        """Return the run of this arm; `wide` with the paper's widths, and cut short."""
        declared, base = DECLARATION["tasks"][self.task], DECLARATION["base"]
        size = {"width": 128, "depth": 5} if wide else base["network"]
        settings = base["settings"] | ({"iterations": WIDE["iterations"]} if wide else {})
        grey = {"out_channels": 1} if declared.get("grey") else {}
        other = declared.get("network", {}) | ({"n_s": (0,) * 5} if wide and "network" in declared else {})
        network = NetworkConfig.uniform(**size, **base["readings"] | grey)
        folder = "study-wide" if wide else "study"
        return Run(
            f"{folder}/{self.task}/{slug(self.label)}/{image}-{seed}",
            getattr(tasks, declared["kind"])(image, **declared["task"] | self.changes.get("task", {})),
            replace(network, **other | self.changes.get("network", {})),
            replace(Varied(**settings), **self.changes.get("settings", {})),
            seed,
            declared["scored"],
        )

    def runs(self, wide: bool = False) -> list[Run]:
        images = DECLARATION["grey_images" if DECLARATION["tasks"][self.task].get("grey") else "images"]
        return [self.run(image, seed, wide) for seed in (WIDE if wide else DECLARATION)["seeds"] for image in images]


def slug(label: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", label.lower()).strip("-")


def readings() -> dict[str, dict]:
    """Return the changes of each reading other than the base's, by "ambiguity/reading"."""
    return {
        f"{ambiguity['name']}/{reading}": changes
        for ambiguity in DECLARATION["ambiguity"]
        for reading, changes in ambiguity["readings"].items()
    }


def arms() -> list[Arm]:
    """Return every arm of the study: the bases first, so that whatever is done can be compared."""
    changes, found = readings(), [Arm(task, BASE, {}) for task in DECLARATION["tasks"]]
    for ambiguity in DECLARATION["ambiguity"]:
        labels = [f"{ambiguity['name']}/{reading}" for reading in ambiguity["readings"]]
        found += [Arm(task, label, changes[label]) for label in labels for task in ambiguity["on"]]
    for interaction in DECLARATION["interaction"]:
        one, other = (changes[part] for part in interaction["parts"])
        both = {part: one.get(part, {}) | other.get(part, {}) for part in one | other}
        found += [Arm(task, interaction["name"], both) for task in interaction["on"]]
    for variant in DECLARATION["variant"]:
        found += [Arm(task, variant["name"], variant["changes"]) for task in variant["on"]]
    return found


def wide_arms() -> list[Arm]:
    """Return the arms that are run again with the paper's widths, and the bases that they need."""
    again = [arm for arm in arms() if f"{arm.task}: {arm.label}" in WIDE["arms"]]
    needed = {arm.task for arm in again}
    return [arm for arm in arms() if arm.label == BASE and arm.task in needed] + again


def interleaved(found: list[Arm], wide: bool = False) -> tuple[Run, ...]:
    """Return all runs, every arm's first image before any arm's second: a study that is cut short is balanced."""
    return tuple(run for runs in zip(*(arm.runs(wide) for arm in found), strict=True) for run in runs)


STUDY = Experiment(
    "study",
    "What each reading of the text is worth",
    "The open questions; notebook 08",
    {"laptop": interleaved(arms())},
)
STUDY_WIDE = Experiment(
    "study-wide",
    "The decisive readings again, with the paper's widths",
    "The open questions; notebook 08",
    {"laptop": interleaved(wide_arms(), wide=True)},
)


def scored_curve(run: Run, record: dict) -> pd.Series:
    """Return the PSNR in dB of what the run is scored by, by iteration."""
    return records.history(record).set_index("iteration")["psnr" if run.scored == "image" else "psnr_average"]


def drift(task: str, labels: list[str], folder: Path = RESULTS) -> pd.DataFrame:
    """Return, for each of `labels`, by how many dB its curve is above the base's, by iteration: the mean over pairs."""
    finished, _ = records.load_all(folder / "study" / task)

    def mean(label: str) -> pd.Series:
        every = next(arm for arm in arms() if (arm.task, arm.label) == (task, label)).runs()
        curves = [scored_curve(run, finished[run.name]) for run in every if run.name in finished]
        return pd.concat(curves, axis=1).mean(1)

    return pd.DataFrame({label: mean(label) - mean(BASE) for label in labels}) if finished else pd.DataFrame()


def outcomes(folder: Path = RESULTS, wide: bool = False) -> pd.DataFrame:
    """Return one row for each finished run: task, label, image, seed; scores in dB, and where the curve peaks.

    `scored` is the rule's score; `last` and `average` are the two that a record holds; `peak` is the highest value of
    the scored curve, which nobody knows without the truth, and `peak_at` its iteration.
    """
    finished, _ = records.load_all(folder / ("study-wide" if wide else "study"))
    rows = []
    for arm in wide_arms() if wide else arms():
        for run in arm.runs(wide):
            record = finished.get(run.name)
            if record is None or record["key"] != records.key(run.configuration):
                continue
            curve = scored_curve(run, record)
            rows.append(
                {
                    "task": arm.task,
                    "label": arm.label,
                    "image": run.task.image,
                    "seed": run.seed,
                    "scored": record["scores"][run.scored],
                    "last": record["scores"]["image"],
                    "average": record["scores"]["average"],
                    "peak": curve.max(),
                    "peak_at": curve.idxmax(),
                }
            )
    return pd.DataFrame(rows, columns=OUTCOME)


def differences(found: pd.DataFrame, task: str, label: str, score: str) -> pd.Series:
    """Return label − base by image, in dB: paired by image and seed, averaged over seeds."""
    values = found[found.task == task].set_index(["label", "image", "seed"])[score]
    return (values[label] - values[BASE]).dropna().groupby("image").mean()


def interval(values: pd.Series | np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return the mean and its interval by Student's t."""
    mean, half = np.mean(values), stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    return float(mean), float(mean - half), float(mean + half)


def holm(p: pd.Series) -> pd.Series:
    """Return p-values corrected for their number by Holm's step-down procedure (1979)."""
    ordered = p.sort_values()
    scaled = ordered * np.arange(len(ordered), 0, -1)
    return scaled.cummax().clip(upper=1).reindex(p.index)


def compared(found: pd.DataFrame, arm: Arm) -> dict:
    """Return what an arm is worth against its base: one row of `effects`, without the correction."""
    values = differences(found, arm.task, arm.label, "scored")
    n, (effect, low, high) = len(values), interval(values)
    return {
        "reading": arm.label,
        "task": arm.task,
        "effect": effect,
        "low": low,
        "high": high,
        "p": stats.ttest_1samp(values, 0).pvalue if values.std() else 1.0,
        "least": (stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)) * stats.sem(values),
        "peak": differences(found, arm.task, arm.label, "peak").mean(),
        "later": differences(found, arm.task, arm.label, "peak_at").mean(),
        "images": n,
    }


EFFECT = ["reading", "task", "effect", "low", "high", "p", "least", "peak", "later", "images"]


def comparable(found: pd.DataFrame, arm: Arm) -> bool:
    """Return whether an interval can be had: two images or more are done, of the arm and of its base."""
    images = [set(found.image[(found.task == arm.task) & (found.label == label)]) for label in (arm.label, BASE)]
    return arm.label != BASE and len(images[0] & images[1]) > 1


def effects(folder: Path = RESULTS, wide: bool = False) -> pd.DataFrame:
    """Return what each reading is worth against the base on each of its tasks, in dB; the largest effect first.

    effect, low, high: mean and 95 % interval over images. p: of a t test, Holm-corrected over the rows. least: the
    smallest effect that such a row sees with a power of 0.8 at the 5 % level, before the correction. peak: the same
    difference between the peaks of the curves, and later: by how many iterations the peak comes later.
    """
    found, single = outcomes(folder, wide), set(readings())
    declared = [arm for arm in (wide_arms() if wide else arms()) if arm.label in single]
    table = pd.DataFrame([compared(found, arm) for arm in declared if comparable(found, arm)], columns=EFFECT)
    table["p"] = holm(table.p)
    return table.sort_values("effect", key=abs, ascending=False, ignore_index=True)


def variants(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the same of the variants, which no ambiguity declares; uncorrected."""
    found, names = outcomes(folder), {variant["name"] for variant in DECLARATION["variant"]}
    rows = [compared(found, arm) for arm in arms() if arm.label in names and comparable(found, arm)]
    return pd.DataFrame(rows, columns=EFFECT)


def worth(table: pd.DataFrame, reading: str, task: str) -> tuple[float, float] | None:
    """Return the interval of one row of `effects` or `variants`, None where it is not there."""
    row = table[(table.reading == reading) & (table.task == task)]
    return None if row.empty else (row.low.item(), row.high.item())


def interactions(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what two readings together are worth beyond the sum of each alone, in dB, with its 95 % interval."""
    found, rows = outcomes(folder), []
    for interaction in DECLARATION["interaction"]:
        labels = (*interaction["parts"], interaction["name"])
        for task in interaction["on"]:
            if not all(comparable(found, Arm(task, label, {})) for label in labels):
                continue
            one, other, both = (differences(found, task, label, "scored") for label in labels)
            beyond, low, high = interval(both - one - other)
            alone = {"first": one.mean(), "second": other.mean(), "both": both.mean()}
            rows.append(
                {"interaction": interaction["name"], "task": task}
                | alone
                | {"beyond the sum": beyond, "low": low, "high": high}
            )
    return pd.DataFrame(rows)


def rescorings(folder: Path = RESULTS) -> pd.DataFrame:
    """Return, of the same runs, what the average is worth against the last iterate, and how far two seeds lie apart.

    In dB: the mean over images with its 95 % interval; the mean distance of the scored PSNRs of two seeds, which draw
    another corruption, z and weights.
    """
    found, rows = outcomes(folder), []
    for rescoring in DECLARATION["rescoring"]:
        for task in rescoring["on"]:
            group = found[(found.task == task) & (found.label == rescoring["of"])]
            if group.image.nunique() < 2:
                continue
            gain, low, high = interval((group.average - group["last"]).groupby(group.image).mean())
            apart = group.groupby("image").scored.agg(lambda scores: scores.max() - scores.min()).mean()
            rows.append(
                {"reading": rescoring["of"], "task": task}
                | {"average − last iterate": gain, "low": low, "high": high, "seeds apart": apart}
            )
    return pd.DataFrame(rows)
