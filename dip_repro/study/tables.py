"""Tables of results, computed from committed records and published numbers; nothing is typed in."""

from __future__ import annotations

import difflib
import hashlib
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional as F

from dip_repro import corruptions, images, metrics
from dip_repro.networks import count_parameters
from dip_repro.operators import Decimation
from dip_repro.runtime import DATA, UserError, written_whole
from dip_repro.study import records
from dip_repro.study.experiments import BRANCHING, EXPERIMENTS, RESTORATIONS, declared
from dip_repro.study.experiments.ambiguities import interval
from dip_repro.study.runs import RESULTS, Run

PUBLISHED = DATA / "published.csv"
PRINTED = DATA / "printed.csv"
EXPLANATIONS = DATA / "explanations.toml"
PAIRS, BASELINES = "pairs.csv", "baselines.csv"  # in the folder of results
BASELINE = ["run", "key", "baseline", "psnr_db"]
MARGINAL = 0.1  # dB: less is level


@dataclass(frozen=True)
class Rule:
    """What counts in the column "ours": the exponential average of the table's own run.

    Where `of` names two folders of runs, it is the pixelwise mean of the two runs' stored images.
    """

    what: str
    compute: str
    why: str
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One of the paper's tables; `authors` is the published method that is theirs."""

    name: str
    title: str
    ours: Rule
    authors: str = "deep_prior"

    @property
    def runs(self) -> dict[str, Run]:
        """The declared run of each cell, by image."""
        every = (run for e in EXPERIMENTS.values() for run in e.profiles.get("paper", ()))
        return {run.name.split("/")[1]: run for run in every if run.name.split("/")[0] == self.name}


# The column "ours" was declared here before any of the tables was run; it is to be checked on bundled images. The
# column of the paper's settings needs no declaration: its image is the one that the run is scored by, for denoising
# the exponential average at the stated count, else the last iterate.
AVERAGE = Rule(
    "the exponential average of the same run",
    "no further compute",
    "The average takes off what each iterate has of noise of its own, and costs no step more.",
)
TWO = Rule(
    "the mean of two runs' images, the exponential average each",
    "twice the compute of one run",
    "Two runs from other weights and another z err apart, so that their mean errs less than either.",
    ("denoising-25", "denoising-second-25"),
)
# Declared after the paper's settings had been seen on one cell, hill; the rule was chosen before, on bundled images.
STOPPED = Rule(
    "the mean of two runs' images, the exponential average each, both stopped by the moving variance (notebook 13)",
    "less than twice the compute of one run",
    "Where the text gives no count for this noise, a rule that sees no truth does; and two runs err apart.",
    ("denoising-50-stopped", "denoising-second-50-stopped"),
)

TABLES = {
    table.name: table
    for table in (
        Table("denoising-25", "Denoising, σ = 25", TWO),
        Table("denoising-50", "Denoising, σ = 50", STOPPED),
        Table("restoration-50", "Restoration, 50 % missing", AVERAGE),
        Table("sr4-set5", "Super-resolution ×4, Set5", AVERAGE),
        Table("sr4-set14", "Super-resolution ×4, Set14", AVERAGE),
        # The authors published two deep priors for ×8, σ_p = 0.03 and 0.05; the paper's text says 1/20.
        Table("sr8-set5", "Super-resolution ×8, Set5", AVERAGE, "deep_prior_005"),
        Table("sr8-set14", "Super-resolution ×8, Set14", AVERAGE, "deep_prior_005"),
    )
}
MARGIN, OUTLYING = 0.3, 0.5  # dB: a table's interval inside the one is reproduced; a cell beyond the other, explained
COLUMNS = {"the paper's settings": "scored", "ours": "ours"}


def find(name: str) -> Table:
    """Return the table called `name`, or suggest the nearest."""
    if name not in TABLES:
        near = difflib.get_close_matches(name, TABLES, n=1, cutoff=0)
        raise UserError(f"no table {name!r}; did you mean {near[0]}? (the tables are {', '.join(TABLES)})")
    return TABLES[name]


def counted(folder: Path) -> tuple[dict[str, dict], list[str]]:
    """Return the records in `folder` that answer a declared run, by image, and a sentence for each that does not."""
    found, refused = records.load_all(folder)
    answers = {}
    for record in found.values():
        try:
            answers[declared(record).name.split("/")[1]] = record
        except UserError as error:
            refused.append(str(error))
    return answers, refused


def published(table: Table) -> pd.DataFrame:
    """Return the PSNR in dB of each method's published images, one row an image."""
    every = pd.read_csv(PUBLISHED)
    rows = every[every.table == table.name]
    return rows.pivot(index="image", columns="method", values="psnr_db").rename_axis(None, axis="columns")


def cells(name: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return a table of the paper, one row an image, from the records below `folder`; NaN where there is none.

    PSNR in dB: `scored` by the paper's settings, which is the last iterate or the average; `difference` to the
    `authors`; `ours` by the declared rule, its difference; and each published method. Then what the run took.
    """
    table = find(name)
    methods = published(table)
    authors = methods.pop(table.authors)
    found = {image: row(record) for image, record in counted(folder / name)[0].items()}
    run = pd.DataFrame(found.values(), index=list(found), columns=ROW).reindex(methods.index)
    run = run.astype(dict.fromkeys(ROW[:-1], float))
    ours = pair_scores(table, folder) if table.ours.of else run["average"]
    frame = run[["last iterate", "average", "scored"]].assign(authors=authors, difference=run.scored - authors)
    frame["ours"] = ours.reindex(frame.index)
    frame["ours − authors"] = frame.ours - authors
    return frame.join(methods).join(run[["iterations", "seconds", "device"]])


LABELS = {"image": "last iterate", "average": "average"}
ROW = ("last iterate", "average", "scored", "iterations", "seconds", "device")


def row(record: dict) -> dict:
    scores, run, provenance = record["scores"], record["run"], record["provenance"]
    precision = "" if provenance["precision"] == "float32" else f", {provenance['precision']}"
    return {label: scores[name] for name, label in LABELS.items()} | {
        "scored": scores[record["configuration"]["scored"]],
        "iterations": run["iterations"],
        "seconds": run["seconds"],
        "device": provenance["device"] + precision,
    }


def pairs(folder: Path = RESULTS) -> dict[tuple[str, str], tuple[Path, Path]]:
    """Return the stored images, 8-bit PNG, of the first and the second run of each cell that has both records."""
    found = {}
    for table in TABLES.values():
        if table.ours.of:
            first, second = (folder / name for name in table.ours.of)
            for image in sorted(counted(first)[0].keys() & counted(second)[0].keys()):
                found[table.name, image] = first / f"{image}.png", second / f"{image}.png"
    return found


def fingerprints(paths: tuple[Path, Path]) -> tuple[str, ...]:
    return tuple(hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths)


def pair_scores(table: Table, folder: Path = RESULTS) -> pd.Series:
    """Return the PSNR in dB of the mean of two runs' images, as `score_pairs` stored it; without it, no value."""
    path, scores = folder / PAIRS, {}
    if path.exists():
        present = {cell: fingerprints(paths) for cell, paths in pairs(folder).items()}
        for row in pd.read_csv(path, dtype={"first": str, "second": str}).itertuples():
            if row.table == table.name and present.get((row.table, row.image)) == (row.first, row.second):
                scores[row.image] = row.psnr_db
    return pd.Series(scores, dtype=float)


def score_pairs(folder: Path = RESULTS) -> None:
    """Score the mean of the two runs' images of each cell that has both, and store that in `folder`; needs the truth.

    The mean is of the two stored images, 8-bit each, not of what the networks gave, and is rounded to 8 bits as any
    scored image is. What is scored already, of the same two files, is kept.
    """
    rows = []
    for (name, image), paths in pairs(folder).items():
        score = pair_scores(TABLES[name], folder).get(image)
        if score is None:
            run = TABLES[name].runs[image]
            problem = run.task.problem(run.seed)
            assert problem.truth is not None  # of these images it is published
            first, second = map(images.open_image, paths)
            mean = (first + second) / 2
            score = round(float(problem.score(mean, problem.truth)), 4)
        rows.append((name, image, *fingerprints(paths), score))
    if rows:
        frame = pd.DataFrame(rows, columns=["table", "image", "first", "second", "psnr_db"])
        with written_whole(folder / PAIRS) as partial:
            frame.to_csv(partial, index=False)


def laptop(folder: Path = RESULTS) -> dict[str, tuple[Run, dict]]:
    """Return the finished runs of the restorations in profile `laptop`, each with its record."""
    found = {}
    for run in (run for e in RESTORATIONS for run in e.profiles.get("laptop", ())):
        path = folder / f"{run.name}.json"
        if path.exists() and (record := records.load(path))["key"] == records.key(run.configuration):
            found[run.name] = (run, record)
    return found


def score_baselines(folder: Path = RESULTS) -> None:
    """Score the baselines of each of them, and store that in `folder`; what stands there of the same record is kept."""
    done = {(name, record["key"]): run for name, (run, record) in laptop(folder).items()}
    rows = [row for row in baseline_scores(folder).itertuples(index=False) if (row.run, row.key) in done]
    for name, key in done.keys() - {(row.run, row.key) for row in rows}:
        run = done[name, key]
        problem = run.task.problem(run.seed)
        if problem.truth is not None:
            for baseline, image in problem.baselines.items():
                rows.append((name, key, baseline, round(float(problem.score(image(), problem.truth)), 4)))
    with written_whole(folder / BASELINES) as partial:
        pd.DataFrame(rows, columns=BASELINE).sort_values(BASELINE).to_csv(partial, index=False)


def baseline_scores(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the PSNR in dB of each baseline: run, the key of its record, baseline, psnr_db."""
    path = folder / BASELINES
    return pd.read_csv(path, dtype={"key": str}) if path.exists() else pd.DataFrame(columns=BASELINE)


def beside_baselines(name: str = "", folder: Path = RESULTS) -> pd.DataFrame:
    """Return the finished `laptop` runs of the experiment `name`, or of all, beside the best that needs no network.

    PSNR in dB: the corrupted image, the best `baseline`, ours (the image that the run is scored by), the difference,
    and in words whether it is `MARGINAL` above, below, or level. Where the truth is not known there is no row.
    """
    stored, rows = baseline_scores(folder), {}
    for place, (run, record) in laptop(folder).items():
        simple = stored[(stored.run == place) & (stored.key == record["key"])].set_index("baseline").psnr_db
        if simple.empty or place.partition("/")[0] != (name or place.partition("/")[0]):
            continue
        ours = record["scores"][run.scored]
        difference = ours - simple.max()
        rows[place] = {
            "corrupted": record["scores"]["corrupted"],
            "baseline": simple.max(),
            "which": simple.idxmax(),
            "ours": ours,
            "difference": difference,
            "outcome": "level" if abs(difference) < MARGINAL else "above" if difference > 0 else "below",
            "iterations": record["run"]["iterations"],
            "seconds": record["run"]["seconds"],
        }
    columns = ["corrupted", "baseline", "which", "ours", "difference", "outcome", "iterations", "seconds"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def in_short(*names: str) -> pd.DataFrame:
    """Return `beside_baselines` of several experiments without what each run took, to be read in a notebook."""
    every = pd.concat([beside_baselines(name) for name in names])
    return every.drop(columns=["iterations", "seconds"]).round(2)


def curves(name: str, folder: Path = RESULTS) -> dict[str, pd.Series]:
    """Return, of each cell done, the PSNR of the image that is scored less the authors', in dB, by iteration."""
    authors, found = cells(name, folder).authors, {}
    for image, record in counted(folder / name)[0].items():
        if image in authors.index:
            column = "psnr" if record["configuration"]["scored"] == "image" else "psnr_average"
            found[image] = records.history(record).set_index("iteration")[column] - authors[image]
    return found


def verdict(low: float, high: float) -> str:
    """Judge a 95 % interval of the mean difference to the authors, in dB; NaN, no interval, is undecided."""
    if low >= -MARGIN and high <= MARGIN:
        return "reproduced"
    if low > MARGIN:
        return "better"
    return "worse" if high < -MARGIN else "undecided"


def summary(frame: pd.DataFrame, column: str) -> dict:
    """Return what the cells done say, of the column "scored" or "ours": means over them, difference and verdict.

    The interval is Student's t over images, so that fewer than two give none.
    """
    done = frame[frame[column].notna()]
    differences = done[column] - done.authors
    low, high = interval(differences)[1:] if len(done) > 1 else (math.nan, math.nan)
    return {
        "cells": len(done),
        "missing": len(frame) - len(done),
        "here": done[column].mean(),
        "authors": done.authors.mean(),
        "difference": differences.mean(),
        "low": low,
        "high": high,
        "verdict": verdict(low, high),
    }


def overview(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the summary of each table in both columns, indexed by (table, column); dB, means over the cells done."""
    rows: dict[tuple[str, str], dict] = {}
    for name in TABLES:
        frame = cells(name, folder)
        rows |= {(name, title): summary(frame, column) for title, column in COLUMNS.items()}
    return pd.DataFrame(rows.values(), index=pd.MultiIndex.from_tuples(rows, names=["table", "column"]))


def printed(name: str) -> pd.DataFrame:
    """Return what the paper prints of a table where the published files differ: image, method, psnr_db, source."""
    every = pd.read_csv(PRINTED)
    return every[every.table == name].drop(columns="table").reset_index(drop=True)


def outlying(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the cells whose scored image is over 0.5 dB from the authors', each with its explanation, if there is one.

    Explanations stand in data/explanations.toml, by "table/image".
    """
    explanations, rows = tomllib.loads(EXPLANATIONS.read_text()), {}
    for name in TABLES:
        far = cells(name, folder).difference.loc[lambda difference: difference.abs() > OUTLYING]
        for image, difference in far.items():
            place = f"{name}/{image}"
            rows[place] = {"difference": difference, "explanation": explanations.get(place, "not explained")}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["difference", "explanation"])


def beside_published(name: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return a table of the paper in short, image by image: ours by its settings, the difference, each method in dB."""
    table = find(name)
    ours = cells(name, folder)[["scored", "difference"]].rename(columns={"scored": "ours"})
    return ours.join(published(table).rename(columns={table.authors: "deep_prior"}))


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table as text: dB to two decimals, differences with their sign, a dash where there is nothing."""

    def text(column: str, value) -> str:
        if isinstance(value, str) or not isinstance(value, float):
            return str(value)
        if math.isnan(value):
            return "–"
        signed = column in ("difference", "ours − authors", "low", "high")
        return f"{value:.0f}" if column in ("iterations", "seconds") else f"{value:{'+z' if signed else ''}.2f}"

    return pd.DataFrame({c: [text(c, value) for value in frame[c]] for c in frame}, index=frame.index, dtype=object)


def markdown(frame: pd.DataFrame) -> str:
    """Return a table, as `shown` gives it, in Markdown; its index comes first."""
    plain = frame.reset_index()
    rows = [list(plain.columns), ["---"] * len(plain.columns), *plain.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in rows)


def branching(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what each combination of open questions 1 and 5 is worth on the paper's house, in dB by iteration."""
    found, rows = records.load_all(folder / BRANCHING.name)[0], {}
    for run in BRANCHING.runs("paper"):
        if run.name not in found:
            continue
        record = found[run.name]
        history = records.history(record).set_index("iteration")
        network = record["configuration"]["network"]
        rows[network["skip_from"], network["upsample_at"]] = {
            "parameters": count_parameters(run.network.build()),
            "PSNR at 500": history.psnr[500],
            "at 1000": history.psnr[1000],
            "at 2000": record["scores"]["image"],
            "average at 2000": record["scores"]["average"],
            "seconds a step": record["run"]["seconds"] / record["run"]["iterations"],
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    if rows:
        table.index = pd.MultiIndex.from_tuples(rows, names=["skip from d_i's", "up-samples at u_i's"])
    return table


def decimations(
    set_name: str,
    factor: int,
    a: tuple[int, ...] = (2, 3),
    phases: tuple[float, ...] = (0.0,),
    method: str = "no_prior",
) -> pd.DataFrame:
    """Return how well candidate decimations explain the authors' outputs, in grey levels; needs the paper's images.

    An output x that was optimised until d(x) = x0 tells of both: the residual d(x) − x0 is near 0 for the right d and
    the right x0 alone. Candidates of x0 are made of the ground truth by `Decimation` with a, or by Pillow. Samples of
    clipped pixels, which no d explains, and the three at the border are left out. The published files were floored, so
    that the mean is −0.5; the spread, the standard deviation about it, tells.
    """
    sums: dict[tuple[str, int, float], torch.Tensor] = {}
    for image in sorted(names_of(set_name, factor, method)):
        truth, output = (
            images.crop_to_multiple(images.open_image(image.replace(method, kind)).expand(3, -1, -1), 32)
            for kind in ("GT", method)
        )
        clipped = ((output == 0) | (output == 1)).float()[None]
        reach = 2 * max(a) * factor  # the kernel's length
        free = F.max_pool2d(clipped, reach + 1, factor, reach // 2)[0, :, 3:-3, 3:-3] == 0
        phased = {(n, phase): Decimation(factor, n, phase) for n in a for phase in phases}
        x0s = {f"a = {n}, phase {phase:g}": d(truth[None])[0] for (n, phase), d in phased.items()}
        x0s["Pillow's LANCZOS"] = corruptions.decimated(truth, factor)
        for (n, phase), d in phased.items():
            for name, x0 in x0s.items():
                error = 255 * (d(output[None])[0] - metrics.quantise(x0))[:, 3:-3, 3:-3][free].double()
                moments = torch.stack([torch.ones_like(error), error, error.square()]).sum(1)
                sums[name, n, phase] = sums.get((name, n, phase), 0) + moments
    rows = {}
    for key, (count, total, squares) in sums.items():
        rows[key] = {"mean": float(total / count), "spread": float((squares / count - (total / count) ** 2).sqrt())}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["x0 made with", "a of d", "phase of d"])
    return table.sort_values("spread")


def names_of(set_name: str, factor: int, method: str) -> list[str]:
    """Return the names of a method's published super-resolved images: ("Set5", 4, "no_prior")."""
    start = f"project-page/SR/{set_name}/x{factor}/"
    return [name for name in images.registry() if name.startswith(start) and name.endswith(f"_{method}.png")]
