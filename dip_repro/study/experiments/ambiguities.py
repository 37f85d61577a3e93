"""Notebook `readings`: what each reading of the text is worth. The study is declared in data/study.toml."""

from __future__ import annotations

import functools
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import pandas as pd

from dip_repro.config import NetworkConfig
from dip_repro.runtime import DATA
from dip_repro.study import records, results, tasks
from dip_repro.study.results import Cell, differences, effect, holm, interval, tidy
from dip_repro.study.runs import RESULTS, Experiment, Run, finished
from dip_repro.study.variants import Varied

BASE = "base"
# The rounds, and the folders of their records.
STUDY, WIDE, DECISIVE, FULL = "study", "study-wide", "study-decisive", "study-full"
PICTURES = "study-pictures"
LISTS = ("must be right", "worth a check", "does not matter", "not resolved")
LARGE, SMALL = 1.0, 0.3  # dB: the limits of the lists; a table agrees within the smaller one (`results.MARGIN`)
# What the rounds have; each counts more than those before it.
WHERE = {
    STUDY: "64², 32 filters",
    WIDE: "64², 128 filters",
    DECISIVE: "128², 128 filters",
    FULL: "128², 128 filters, the paper's count",
}
EFFECT = ["reading", "task", "effect", "low", "high", "p", "least", "peak", "peak_low", "peak_high", "later", "images"]
OUTCOME = ["scored", "last", "average", "peak", "peak_at", "precision"]


@functools.cache
def declaration() -> dict:
    """Return what data/study.toml declares."""
    return tomllib.loads((DATA / "study.toml").read_text(encoding="utf-8"))


@functools.cache
def of_round(name: str, task: str = "") -> dict:
    """Return what a round of the study changes of the declaration on a task: images, seeds, network, settings, arms."""
    first = {part: declaration()[part] for part in ("images", "grey_images", "seeds")}
    found = first | {"network": declaration()["base"]["network"], "settings": {}, "task": {}}
    found |= declaration().get(name, {})
    return found | found.get("tasks", {}).get(task, {})


@dataclass(frozen=True)
class Arm:
    """One reading on one task, or the base: what differs from the base, as {"network" | "settings" | "task": …}."""

    task: str
    label: str
    changes: dict

    def run(self, image: str, seed: int, name: str = STUDY) -> Run:
        """Return the run of this arm in a round of the study."""
        base, task, again = declaration()["base"], declaration()["tasks"][self.task], of_round(name, self.task)
        settings = base["settings"] | task.get("settings", {}) | again["settings"]
        grey = {"out_channels": 1} if task.get("grey") else {}
        network = NetworkConfig.uniform(**again["network"], **base["readings"] | grey | task.get("network", {}))
        return Run(
            f"{name}/{self.task}/{slug(self.label)}/{image}-{seed}",
            getattr(tasks, task["kind"])(image, **task["task"] | again["task"] | self.changes.get("task", {})),
            replace(network, **self.changes.get("network", {})),
            replace(Varied(**settings), **self.changes.get("settings", {})),
            seed,
            task["scored"],
            freeze=0,
        )

    def cells(self, name: str) -> list[tuple[Run, Cell]]:
        """Return the runs of this arm in a round, each with its place in the comparison."""
        declared = of_round(name, self.task)
        images = declared["grey_images" if declaration()["tasks"][self.task].get("grey") else "images"]
        places = [Cell(self.task, self.label, image, seed) for seed in declared["seeds"] for image in images]
        return [(self.run(place.image, place.seed, name), place) for place in places]


def slug(label: str) -> str:
    """Return a label as a part of a file name."""
    return re.sub(r"[^a-z0-9.]+", "-", label.lower()).strip("-")


def labels(ambiguity: dict) -> dict[str, dict]:
    """Return what each reading of an ambiguity changes, by "ambiguity/reading"."""
    return {f"{ambiguity['name']}/{reading}": changes for reading, changes in ambiguity["readings"].items()}


def readings() -> dict[str, dict]:
    """Return what each reading other than the base changes, by "ambiguity/reading"."""
    return {label: changes for entry in declaration()["ambiguity"] for label, changes in labels(entry).items()}


def in_words(label: str) -> str:
    """Return a label as words, such as "2. How the skip is joined: added"."""
    for entry in declaration()["ambiguity"]:
        if label in labels(entry):
            reading = label.partition("/")[2]
            return f"{entry['question']}: {entry.get('words', {}).get(reading, reading)}"
    return label


def question(entry: dict) -> str:
    """Return the question of an ambiguity without its number in the list of readings."""
    return entry["question"].partition(". ")[2]


def number(entry: dict) -> str:
    """Return the number of an ambiguity in the list of readings, such as "4a"; every page has the same."""
    return entry["question"].partition(". ")[0]


def task_in_words(task: str) -> str:
    """Return what a task of the study is, for a reader."""
    return declaration()["tasks"][task].get("words", task)


def arms(name: str = STUDY) -> list[Arm]:
    """Return every arm of a round. The bases come first: what is run after them can be compared at once."""
    changes = readings()
    found = [Arm(task, BASE, {}) for task in declaration()["tasks"]]
    for entry in declaration()["ambiguity"]:
        found += [Arm(task, label, changes[label]) for label in labels(entry) for task in entry["on"]]
    for entry in declaration()["interaction"]:
        one, other = (changes[part] for part in entry["parts"])
        both = {part: one.get(part, {}) | other.get(part, {}) for part in one | other}
        found += [Arm(task, entry["name"], both) for task in entry["on"]]
    for entry in declaration()["variant"]:
        found += [Arm(task, entry["name"], entry["changes"]) for task in entry["on"]]
    if name == STUDY:
        return found
    again = [arm for arm in found if f"{arm.task}: {arm.label}" in of_round(name)["arms"]]
    needed = {arm.task for arm in again}
    return [arm for arm in found if arm.label == BASE and arm.task in needed] + again


@functools.cache
def comparison(name: str = STUDY) -> dict[Run, Cell]:
    """Return every run of a round with its cell.

    The first image of every arm comes before the second of any: a study that is cut short is balanced.
    """
    columns = [arm.cells(name) for arm in arms(name)]
    return dict(cell for row in zip_longest(*columns) for cell in row if cell)


TITLES = {
    STUDY: "What each reading of the text is worth",
    WIDE: "The decisive readings again, with the paper's widths",
    PICTURES: "The readings that cost most, as pictures",
    DECISIVE: "Those of the released code again, with the paper's widths and its counts, at 128 × 128",
    FULL: "The readings that can matter, by the paper's widths, counts and rates, at 128 × 128",
}


def experiment(name: str) -> Experiment:
    """Return a round of the study as an experiment. Its declaration is read when its runs are asked for."""
    return Experiment(
        name, TITLES[name], "The open questions; notebook `readings`", lambda: {"laptop": tuple(comparison(name))}
    )


ROUNDS = [experiment(name) for name in TITLES]


def outcomes(folder: Path = RESULTS, name: str = STUDY) -> pd.DataFrame:
    """Return one row for each finished run, indexed by task, arm, image and seed: scores in dB.

    scored : by the rule of the task. last, average : the two scores of the record.
    peak, peak_at : the highest value of the scored curve, which only the truth can tell, and its iteration. precision.
    """

    def row(record: dict) -> dict:
        curve, of_record = records.scored_curve(record), results.row(record)
        return of_record | {"peak": curve.max(), "peak_at": curve.idxmax()}

    cells = comparison(name)
    return tidy(cells, {run: row(record) for run, record in finished(cells, folder).items()}, OUTCOME)


def curves(task: str, labels: Iterable[str], folder: Path = RESULTS) -> pd.DataFrame:
    """Return the scored PSNR in dB of the base and of some readings, by iteration: the mean over images and seeds."""
    wanted = {run: cell for run, cell in comparison().items() if cell.task == task and cell.arm in (BASE, *labels)}
    found = {wanted[run]: records.scored_curve(record) for run, record in finished(wanted, folder).items()}
    return pd.concat(found, axis=1).T.groupby(level=1).mean().T if found else pd.DataFrame()


def compared(names: Iterable[str], folder: Path, name: str = STUDY) -> pd.DataFrame:
    """Return what each arm of these names is worth against the base, task by task, once all runs of both are done.

    The columns are those of `results.effect` in dB, p not corrected; and the same differences of the peaks of the
    curves: `peak` in dB with its interval, and by how many iterations the peak comes `later`.
    """
    found, names, rows = outcomes(folder, name), set(names), []
    declared = pd.Series(Counter((cell.task, cell.arm) for cell in comparison(name).values()))
    done = set(declared[found.groupby(["task", "arm"]).size().reindex(declared.index) == declared].index)
    for arm in arms(name):
        if arm.label in names and done >= {(arm.task, arm.label), (arm.task, BASE)}:
            scored, peak, later = (
                differences(found, c, arm.task, arm.label, BASE) for c in ("scored", "peak", "peak_at")
            )
            of_peaks = dict(zip(("peak", "peak_low", "peak_high"), interval(peak), strict=True)) | {
                "later": later.mean()
            }
            rows.append({"reading": arm.label, "task": arm.task} | effect(scored) | of_peaks)
    return pd.DataFrame(rows, columns=EFFECT)


def effects(folder: Path = RESULTS, name: str = STUDY) -> pd.DataFrame:
    """Return `compared` of every reading, the largest effect first; p is Holm-corrected over the rows of its wave."""
    return _effects(folder, name, records.stamp(folder / name)).copy()


@functools.lru_cache(maxsize=16)
def _effects(folder: Path, name: str, at: tuple) -> pd.DataFrame:
    table = compared(readings(), folder, name)
    waves = {label: entry.get("wave", 1) for entry in declaration()["ambiguity"] for label in labels(entry)}
    table["p"] = table.groupby(table.reading.map(waves)).p.transform(holm)
    return table.sort_values("effect", key=abs, ascending=False, ignore_index=True)


def of_rounds(folder: Path) -> pd.DataFrame:
    """Return `effects` of every round, the smallest pictures and networks first; where : which, in words."""
    every = [effects(folder, name).assign(where=where) for name, where in WHERE.items()]
    return pd.concat(every, ignore_index=True).infer_objects()  # a round without records has columns of no type


def again(folder: Path = RESULTS) -> pd.DataFrame:
    """Return `effects` of the rounds with the paper's widths; of a reading in two of them, those of larger pictures."""
    every = of_rounds(folder)
    larger = every[every["where"] != WHERE[STUDY]]
    return larger.drop_duplicates(["reading", "task"], keep="last", ignore_index=True)


def in_list(row) -> str:
    """Return which of `LISTS` an effect with its interval belongs to."""
    if (row.low > 0 or row.high < 0) and abs(row.effect) > SMALL:
        return LISTS[0] if abs(row.effect) > LARGE else LISTS[1]
    return LISTS[2] if row.low >= -SMALL and row.high <= SMALL else LISTS[3]


def judged(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what each question is worth on each task: a row of `effects` each, the questions in the order of `LISTS`.

    Entries of one question are one, and only readings that a reader could choose count (see data/study.toml). Of the
    readings of a question on a task the one with the largest effect stands for all; "does not matter" needs all of
    them. An effect is that of the runs nearest to the paper's size (`WHERE`), `small` that of the small study.

    number, question, reading in words. word : of this effect; list : of the whole question, by its strongest task.
    """
    found = of_rounds(folder)
    small = found[found["where"] == WHERE[STUDY]].set_index(["reading", "task"]).effect
    found = found.drop_duplicates(["reading", "task"], keep="last").query("task != 'preimage'")
    entries = {entry["name"]: entry for entry in declaration()["ambiguity"]}
    rows = []
    for row in found.itertuples():
        entry = entries[row.reading.partition("/")[0]]
        reading = row.reading.partition("/")[2]
        if reading not in entry.get("not_judged", ()):
            said = {"number": number(entry), "question": question(entries[entry.get("same_as", entry["name"])])}
            said |= {"words": entry.get("words", {}).get(reading, reading), "small": small[row.reading, row.task]}
            rows.append(row._asdict() | said | {"word": in_list(row)})
    columns = ["number", "question", "task", "words", *EFFECT[2:5], "where", "small", "word"]
    table = pd.DataFrame(rows, columns=columns)
    table["size"] = table.effect.abs()
    # "not resolved" before "does not matter": one reading that is not resolved keeps a task out of that list.
    table["strength"] = table.word.map({LISTS[0]: 0, LISTS[1]: 1, LISTS[3]: 2, LISTS[2]: 3})
    table = table.sort_values(["strength", "size"], ascending=[True, False]).drop_duplicates(["number", "task"])
    table["list"] = table.number.map(table.groupby("number").word.agg(lambda words: min(words, key=LISTS.index)))
    table["list"] = pd.Categorical(table["list"], LISTS, ordered=True)
    table["decides"] = table.word == table["list"]
    table["largest"] = table.number.map(table[table.decides].groupby("number")["size"].max())
    order = {"list": True, "largest": False, "number": True, "decides": False, "size": False}
    table = table.sort_values(list(order), ascending=list(order.values()), ignore_index=True)
    return table[[*columns, "list"]]


def beside_the_code() -> pd.DataFrame:
    """Return what the text says, what was chosen and why, and what the released code does: a row for each question."""
    rows = {
        entry["question"]: {
            "the text": entry["sentence"],
            "chosen": f"{entry['base'] if entry['chosen'] == BASE else entry['chosen']}. {entry['why']}",
            "the released code": entry["code"],
            "": entry["blind"],
        }
        for entry in declaration()["ambiguity"]
        if entry.get("wave", 1) == 1
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def blind() -> pd.Series:
    """Return how many of the readings that were chosen blind agree with the released code, by outcome."""
    return pd.Series([entry["blind"] for entry in chosen_blind()]).value_counts()


def chosen_blind() -> list[dict]:
    """Return the entries whose reading was chosen from the text alone: the first wave, and two that it did not see."""
    return [entry for entry in declaration()["ambiguity"] if entry.get("wave", 1) == 1 or entry.get("unseen")]


def differing(folder: Path = RESULTS) -> pd.DataFrame:
    """Return `effects` of each reading of the released code that differs from the one chosen blind.

    size : of the pictures, and the network. resolved : p below 0.05 after Holm's correction. An entry that names no
    reading as the code's has all of its readings here.
    """
    wanted = [
        label
        for e in chosen_blind()
        if e["blind"] == "differs"
        for label in ([e["decides"]] if "decides" in e else labels(e))
    ]
    found = of_rounds(folder).rename(columns={"where": "size"})
    found = found[found.reading.isin(wanted)]
    order = pd.Categorical(found.reading, wanted, ordered=True)
    return found.assign(resolved=found.p < 0.05).iloc[order.argsort(kind="stable")]


def variants(folder: Path = RESULTS) -> pd.DataFrame:
    """Return `compared` of the further runs, which are not readings of the text; p is not corrected."""
    return compared([entry["name"] for entry in declaration()["variant"]], folder)


def worth(table: pd.DataFrame, reading: str, task: str) -> tuple[float, float] | None:
    """Return the interval of one row of `effects` or `variants`; None where there is no such row."""
    row = table[(table.reading == reading) & (table.task == task)]
    return None if row.empty else (row.low.item(), row.high.item())


def interactions(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what two readings together are worth beyond the sum of each alone, in dB, with the 95 % interval."""
    found, rows = outcomes(folder), []
    for entry in declaration()["interaction"]:
        for task in entry["on"]:
            of = (*entry["parts"], entry["name"])
            one, other, both = (differences(found, "scored", task, label, BASE) for label in of)
            beyond = (both - one - other).dropna()
            if len(beyond) > 1:
                alone = {"first": one.mean(), "second": other.mean(), "both": both.mean()}
                of_sum = dict(zip(("beyond the sum", "low", "high"), interval(beyond), strict=True))
                rows.append({"interaction": entry["name"], "task": task} | alone | of_sum)
    return pd.DataFrame(rows)


def rescorings(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what the average is worth against the last iterate of the same run, and how far two seeds lie apart.

    In dB: the mean over images with its 95 % interval; the mean distance of the scores of two seeds, which draw another
    corruption, z and weights.
    """
    found, rows = outcomes(folder), []
    for entry in declaration()["rescoring"]:
        for task in entry["on"]:
            runs = found.query(f"task == {task!r} and arm == {entry['of']!r}")
            gain = (runs.average - runs["last"]).groupby("image").mean()
            if len(gain) > 1:
                of_gain = dict(zip(("average − last iterate", "low", "high"), interval(gain), strict=True))
                apart = runs.scored.groupby("image").agg(lambda scores: scores.max() - scores.min()).mean()
                rows.append({"reading": entry["of"], "task": task} | of_gain | {"seeds apart": apart})
    return pd.DataFrame(rows)
