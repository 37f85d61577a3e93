"""The paper's tables, and the runs of `laptop` beside baselines: computed from records and published numbers."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from jinja2 import Environment
from torch import Tensor

from dip_repro import images
from dip_repro.runtime import DATA, UserError, written_whole
from dip_repro.study import experiments, records, results
from dip_repro.study.claims import Whole
from dip_repro.study.experiments import (
    declared,
    denoising,
    front,
    library_2017,
    lookup,
    restoration,
    super_resolution,
)
from dip_repro.study.experiments.as_in_2017 import AGAIN
from dip_repro.study.runs import RESULTS, Run, finished

PUBLISHED, PRINTED, EXPLANATIONS = DATA / "published.csv", DATA / "printed.csv", DATA / "explanations.toml"
CELLS = denoising.TABLES | restoration.TABLES | super_resolution.TABLES  # the declared run of each cell, by image
OF_2017 = {f"{library_2017.FOLDER}{name}": runs for name, runs in library_2017.TABLES.items()}  # freeze 5
DERIVED = "derived.csv"  # in the folder of results: scores that no record holds
OURS = "ours"
OUTLYING = 0.5  # dB: a cell beyond it is explained, or said not to be
LEVEL = 0.1  # dB: less is no difference
COLUMNS = {
    "the paper's settings, the library of 2017": "2017",
    "the paper's settings, today's library": "scored",
    "the improved rule": "ours",
}
NAMES = {"ours": "improved", "ours − authors": "improved − authors", "seconds of ours": "seconds, improved"}  # as shown
TOOK = ("freeze", "seed", "precision", "iterations", "stopped", "seconds", "device")


@dataclass(frozen=True)
class Rule:
    """What the column "ours" scores: the exponential average of the table's own run.

    of : tables of other runs; then it is the pixelwise mean of their stored images.
    """

    what: str
    compute: str
    why: str
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One of the paper's tables. `authors` names the published method that is theirs."""

    name: str
    title: str
    ours: Rule
    authors: str = "deep_prior"

    @property
    def runs(self) -> dict[str, Run]:
        """The declared run of each cell, by image."""
        return CELLS[self.name]


# What had been seen when each rule was declared stands in docs/history.md; the page of results quotes it. The column of
# the paper's settings scores the image of the run: the exponential average for denoising, else the last iterate.
AVERAGE = Rule(
    "the exponential average of the same run",
    "no extra compute",
    "Every iterate has some noise of its own. The average removes it, and needs no further step.",
)
SPARING = "at most a third of the compute of one run with the paper's settings"
LONGER = Rule(
    "the exponential average of one run with the recommended setting, but σ_p = 1/60 and up to 3400 iterations, "
    "stopped when both held-out pixels and a low moving variance say so (notebook `stopping`)",
    SPARING,
    "On bundled pictures of 512 × 512 half of the perturbation gives the same PSNR in 60 % of the iterations.",
    ("longer-25",),
)
TWO_ENLARGED = Rule(
    "the mean of the images of two runs with the recommended setting, each an exponential average of 1600 iterations",
    SPARING,
    "The setting was chosen on bundled pictures, where the mean of two runs was better than either.",
    ("recommended-sr4-set5", "recommended-second-sr4-set5"),
)
TWO_RESTORED = Rule(
    "the mean of the images of two runs with the recommended setting, each an exponential average of 3500 iterations",
    SPARING,
    "The setting was chosen on bundled pictures, and its number of iterations on two of them at 256 × 256. The errors "
    "of two runs differ, so that their mean has less error than either.",
    tuple(restoration.SEEDS),
)
STOPPED = Rule(
    "the mean of the images of two runs, each an exponential average, stopped by the moving variance (`stopping`)",
    "less than twice the compute of one run",
    "The paper gives no number of iterations for this noise, so a rule that does not see the truth chooses it. And the "
    "errors of two runs differ.",
    ("denoising-50-stopped", "denoising-second-50-stopped"),
)
TABLES = {
    table.name: table
    for table in (
        Table("denoising-25", "Denoising, σ = 25", LONGER),
        Table("denoising-50", "Denoising, σ = 50", STOPPED),
        Table("restoration-50", "Restoration, 50 % missing", TWO_RESTORED),
        Table("sr4-set5", "Super-resolution ×4, Set5", TWO_ENLARGED),
        Table("sr4-set14", "Super-resolution ×4, Set14", AVERAGE),
        # The authors published two deep priors for ×8, σ_p = 0.03 and 0.05; the paper's text says 1/20.
        Table("sr8-set5", "Super-resolution ×8, Set5", AVERAGE, "deep_prior_005"),
        Table("sr8-set14", "Super-resolution ×8, Set14", AVERAGE, "deep_prior_005"),
    )
}

# The means of stored images that are scored, by the tables whose runs they are of.
TWO = "two of denoising-25"  # the paper's average of two runs, with its settings
MEANS = {name: table.ours.of for name, table in TABLES.items() if table.ours.of}
MEANS |= {TWO: ("denoising-25", "denoising-second-25")}


def find(name: str) -> Table:
    """Return the table called `name`."""
    return lookup("table", name, TABLES)


def counted(name: str, folder: Path = RESULTS) -> tuple[list[dict], list[str]]:
    """Return the records of a table or an experiment that answer a declared run, and a sentence for each other one."""
    found, refused = records.load_all(folder / name)
    answers = []
    for record in found.values():
        try:
            declared(record)
        except UserError as error:
            refused.append(str(error))
        else:
            answers.append(record)
    return answers, refused


def done(name: str, folder: Path) -> dict[str, dict]:
    """Return the record of each finished cell of a table, by image; "2017/…" is it by the library of that year."""
    runs = (CELLS | OF_2017)[name]
    found = finished(runs.values(), folder)
    return {image: found[run] for image, run in runs.items() if run in found}


def reconstructions(name: str, folder: Path = RESULTS) -> dict[str, Tensor]:
    """Return the stored image of each finished cell of a table, (C, H, W), by the name of the image."""
    return {image: images.open_image(folder / f"{record['name']}.png") for image, record in done(name, folder).items()}


def published(table: Table) -> pd.DataFrame:
    """Return the PSNR in dB of the published images of each method, one row for each image."""
    every = pd.read_csv(PUBLISHED)
    rows = every[every.table == table.name]
    return rows.pivot(index="image", columns="method", values="psnr_db").rename_axis(None, axis="columns")


def cells(name: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return a table of the paper from the records below `folder`, one row for each image; NaN where there is none.

    PSNR in dB: the last iterate, the average, the one that is `scored` with the paper's settings, and its `difference`
    from the `authors`; `2017`, the same with the library of that year; `ours` by the improved rule, and its difference;
    each published method. Then how the run was made, how it ended, and what it took.
    """
    table = find(name)
    methods = published(table)
    authors = methods.pop(table.authors)
    run = results.of(CELLS[name], folder).reindex(methods.index).rename(columns={"last": "last iterate"})
    frame = run[["last iterate", "average", "scored"]].assign(authors=authors)
    frame["difference"] = frame.scored - authors
    frame["2017"] = results.of(OF_2017[f"{library_2017.FOLDER}{name}"], folder).scored
    ours = (
        of_means(name, folder) if table.ours.of else run[["average", "seconds"]].set_axis(["ours", "seconds"], axis=1)
    )
    frame["ours"] = ours.ours
    frame["ours − authors"] = frame.ours - authors
    return frame.join(methods).join(run[[*TOOK]]).join(ours.seconds.rename("seconds of ours"))


def laptop(name: str = "", folder: Path = RESULTS) -> dict[Run, dict]:
    """Return the finished `laptop` runs of the restoration experiment `name`, or of all, with their records."""
    every = experiments.EXPERIMENTS.values()
    chosen = [experiment for experiment in every if experiment.baselines and name in ("", experiment.name)]
    return finished([run for experiment in chosen for run in experiment.profiles.get("laptop", ())], folder)


def parts(name: str, folder: Path = RESULTS) -> dict[str, list[Run]]:
    """Return, by image, the runs that a mean of `MEANS` is of, where all of them are finished."""
    tables = [CELLS[table] for table in MEANS[name]]
    done = finished([run for runs in tables for run in runs.values()], folder)
    of = {image: [runs[image] for runs in tables] for image in tables[0]}
    return {image: runs for image, runs in of.items() if all(run in done for run in runs)}


def pictures(of: Iterable[Run], folder: Path) -> tuple[Path, ...]:
    """Return the stored image of each run."""
    return tuple(folder / f"{run.name}.png" for run in of)


def place(name: str, image: str, of: Iterable[Run], folder: Path) -> tuple[str, str]:
    """Return where the score of a mean of images is stored: its cell, and a hash of the images."""
    files = b"".join(path.read_bytes() for path in pictures(of, folder))
    return f"{name}/{image}", hashlib.sha256(files).hexdigest()[:16]


def of_baselines(run: Run) -> dict[str, float]:
    """Return the PSNR in dB of each baseline of a run's task; none where the truth is not known."""
    problem = run.task.problem(run.seed)
    if problem.truth is None:
        return {}
    return {name: float(problem.score(image(), problem.truth)) for name, image in problem.baselines.items()}


def of_mean(run: Run, paths: Iterable[Path]) -> dict[str, float]:
    """Return the PSNR in dB of the mean of stored images, rounded to 8 bits as every scored image is."""
    problem = run.task.problem(run.seed)
    assert problem.truth is not None  # of these images it is published
    mean = torch.stack([images.open_image(path) for path in paths]).mean(0)
    return {OURS: float(problem.score(mean, problem.truth))}


def derivable(folder: Path) -> dict[tuple[str, str], Callable[[], dict[str, float]]]:
    """Return what computes each score that no record holds, by run and by the key of what it is computed from.

    These scores need the ground truth, which not every machine has; so they are stored. The key is that of the record
    for the baselines of a run, and a fingerprint of the files for the mean of images.
    """
    found: dict[tuple[str, str], Callable[[], dict[str, float]]] = {}
    for run in laptop(folder=folder):
        found[run.name, run.key] = partial(of_baselines, run)
    for name in MEANS:
        for image, of in parts(name, folder).items():
            found[place(name, image, of, folder)] = partial(of_mean, of[0], pictures(of, folder))
    return found


def derived(folder: Path = RESULTS) -> dict[tuple[str, str], dict[str, float]]:
    """Return the stored scores that no record holds, in dB, by run and key."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    path = folder / DERIVED
    for row in pd.read_csv(path, dtype={"key": str}).itertuples() if path.exists() else ():
        found.setdefault((row.run, row.key), {})[row.what] = row.psnr_db
    return found


def score_derived(folder: Path = RESULTS) -> None:
    """Compute the scores that no record holds, and store them in `folder`. Those that are stored already are kept."""
    stored = derived(folder)
    scores = {where: stored.get(where) or score() for where, score in derivable(folder).items()}
    rows = [(*where, what, round(psnr, 4)) for where, found in scores.items() for what, psnr in found.items()]
    with written_whole(folder / DERIVED) as partial_file:
        pd.DataFrame(sorted(rows), columns=["run", "key", "what", "psnr_db"]).to_csv(partial_file, index=False)


def of_means(name: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return the stored PSNR in dB of a mean of `MEANS`, "ours", and the seconds of all of its runs, by image."""
    stored, of = derived(folder), parts(name, folder)
    scores = {image: stored.get(place(name, image, runs, folder), {}).get(OURS) for image, runs in of.items()}
    runs = results.of({(image, i): run for image, runs in of.items() for i, run in enumerate(runs)}, folder)
    seconds = runs.seconds.groupby(level=0).sum()
    return pd.DataFrame({"ours": pd.Series(scores, dtype=float), "seconds": seconds}).dropna()


def beside_baselines(name: str = "", folder: Path = RESULTS) -> pd.DataFrame:
    """Return the finished `laptop` runs of the experiment `name`, or of all, beside the best of their baselines.

    PSNR in dB: the corrupted image, the best `baseline`, ours (the image that is scored), the difference, and whether
    ours is `LEVEL` above, below, or level. A run whose truth is not known has no row.
    """
    over = over_baselines(name, folder).dropna(how="all")
    found, difference = results.of({run: run for run in over.index}, folder), over.min(axis=1)
    columns = {
        "corrupted": found.corrupted,
        "baseline": found.scored - difference,
        "which": over.idxmin(axis=1),
        "ours": found.scored,
        "difference": difference,
        "outcome": pd.cut(difference, [-math.inf, -LEVEL, LEVEL, math.inf], labels=["below", "level", "above"]),
        "iterations": found.iterations,
        "seconds": found.seconds,
    }
    return pd.DataFrame(columns).rename(index=lambda run: run.name)


def over_baselines(name: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return by how many dB each finished `laptop` run is above each of its baselines: a row a run, a column each."""
    stored, rows = derived(folder), {}
    for run, record in laptop(name, folder).items():
        of_run = stored.get((record["name"], record["key"]), {})
        rows[run] = {what: records.score(record) - psnr for what, psnr in of_run.items()}
    return pd.DataFrame(list(rows.values()), pd.Index(list(rows), dtype=object))


def photos(folder: Path = RESULTS) -> pd.DataFrame:
    """Return `front.photos_beside_the_papers` with non-local means, which is told σ, beside both settings.

    nlm : its PSNR in dB. over_nlm, paper_over_nlm : by how many dB each setting is above it.
    """
    found = front.photos_beside_the_papers(folder)
    over = over_baselines("photos", folder).get("NLM", pd.Series(dtype=float))
    over_nlm, paper = (
        over.reindex([front.photo(front.Cell("small", arm, image)) for image in found.index]).set_axis(found.index)
        for arm in ("recommended", "paper")
    )
    return found.assign(nlm=found.recommended - over_nlm, over_nlm=over_nlm, paper_over_nlm=paper)


def in_short(*names: str) -> pd.DataFrame:
    """Return `beside_baselines` of several experiments without what each run took, for a notebook."""
    every = pd.concat([beside_baselines(name) for name in names]).drop(columns=["iterations", "seconds"])
    return every.rename(columns={"baseline": "best baseline", "ours": "this reproduction"}).round(2)


LOOKED_AT = {  # columns of `cells`, as a notebook calls them
    **{"authors": "the authors", "scored": "this reproduction, today's library"},
    **{
        "2017": "this reproduction, library of 2017",
        "nlm": "non-local means",
        "bm3d": "CBM3D",
        "papyan": "sparse coding",
    },
    **{"bicubic": "bicubic", "tv_prior": "total variation", "no_prior": "no prior", "voronoi": "nearest pixel"},
}


def by_image(name: str, *methods: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return the PSNR in dB of a table's images: the authors' network, this reproduction's, and some other methods."""
    return cells(name, folder)[["authors", "scored", "2017", *methods]].rename(columns=LOOKED_AT)


def curves(name: str, folder: Path = RESULTS) -> dict[str, pd.Series]:
    """Return, by image, the PSNR of the scored image less that of the authors, in dB, by iteration.

    name : of a table, or "2017/…" for it by the library of that year.
    """
    authors = cells(name.removeprefix(library_2017.FOLDER), folder).authors
    return {image: records.scored_curve(record) - authors[image] for image, record in done(name, folder).items()}


def scatter(name: str, column: str = "scored", folder: Path = RESULTS) -> results.Scatter | None:
    """Return the scatter between runs of a table's cells that differ in the seed alone, in one precision.

    column : one of `COLUMNS`; "ours" where it is the average of the same run. None where it was not measured, as for
    the mean of two runs.
    """
    table = find(name)
    if column == OURS and table.ours.of:
        return None
    every, runs = results.every(folder), library_2017.TABLES[name] if column == "2017" else table.runs
    twins = {run.twins: image for image, run in runs.items()}
    score = "average" if column == OURS else "scored"
    found: dict[str, list[float]] = {}
    for (of, _), group in every[every.twins.isin(twins)].groupby(["twins", "precision"]):
        scores = group.groupby("seed")[score].first()
        found[twins[of]] = max(found.get(twins[of], []), list(scores), key=len)
    return results.scatter(found)


def judged(name: str, column: str = "scored", folder: Path = RESULTS) -> dict:
    """Return the verdict on a table by one of `COLUMNS`, as `results.verdict` has it, and what stands beside it.

    verdict, cells, missing, difference, low, high. here, authors : the means of the done cells in dB. least, most : the
    difference of single cells.
    """
    frame = cells(name, folder)
    differences = frame[column] - frame.authors
    found = results.verdict(differences, scatter(name, column, folder))._asdict()
    done_cells = frame[differences.notna()]
    means = {"here": done_cells[column].mean(), "authors": done_cells.authors.mean()}
    return {"verdict": found.pop("word")} | found | means | {"least": differences.min(), "most": differences.max()}


def overview(folder: Path = RESULTS) -> pd.DataFrame:
    """Return `judged` of each table in each of `COLUMNS`, indexed by (table, column), in dB."""
    rows = {(name, title): judged(name, column, folder) for name in TABLES for title, column in COLUMNS.items()}
    return pd.DataFrame(rows.values(), index=pd.MultiIndex.from_tuples(rows, names=["table", "column"]))


def verdicts(*names: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return the verdicts on some tables by the paper's settings, with what stands beside them, as text."""
    rows = {
        (find(name).title, title.partition(", ")[2]): said(judged(name, column, folder))
        for name in names
        for title, column in COLUMNS.items()
        if column != OURS
    }
    return pd.DataFrame(list(rows.values()), pd.MultiIndex.from_tuples(rows, names=["table", "library"]))


def said(found: dict | pd.Series) -> dict[str, str]:
    """Return `judged` in words: the verdict, and all that stands beside it."""
    if not found["cells"]:
        return {"verdict": found["verdict"], "cells": f"0 of {found['missing']}"} | dict.fromkeys(SAID[2:], "–")
    return {
        "verdict": found["verdict"],
        "cells": f"{found['cells']} of {found['cells'] + found['missing']}",
        "here": f"{found['here']:.2f}",
        "authors": f"{found['authors']:.2f}",
        "difference [95 %]": with_interval(found["difference"], found["low"], found["high"]),
        "of single cells": f"{found['least']:+z.2f} to {found['most']:+z.2f}",
    }


SAID = ("verdict", "cells", "here", "authors", "difference [95 %]", "of single cells")


def with_interval(mean: float, low: float, high: float, places: int = 2) -> str:
    """Return a number with its interval; "[?]" where that is not known."""
    known = not math.isnan(low + high)
    return f"{mean:+z.{places}f} [{low:+z.{places}f}, {high:+z.{places}f}]" if known else f"{mean:+z.{places}f} [?]"


def printed(name: str) -> pd.DataFrame:
    """Return what the paper prints of a table: image, method, psnr_db, the column of `cells` that it is of, source."""
    every = pd.read_csv(PRINTED, keep_default_na=False)
    return every[every.table == name].drop(columns="table").reset_index(drop=True)


def yardsticks(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the printed means beside ours in dB: a row for each of them, each library and each count of iterations.

    Ours is the mean over all cells; NaN where one is missing. The published images are another yardstick: for σ = 25
    they are better than the text.
    """
    rows = {}
    for name, value in ((table, value) for table in TABLES for value in printed(table).itertuples()):
        for library, of in {"today's": name, "of 2017": f"{library_2017.FOLDER}{name}"}.items():
            most = next(iter((CELLS | OF_2017)[of].values())).settings.iterations
            for count in (count for count in COUNTS.get(name, (most,)) if count <= most and value.method != "nlm"):
                psnr, cells = at_count(of, value.column, count, folder), len(TABLES[name].runs)
                here = psnr.mean() if len(psnr) == cells else math.nan
                rows[TABLES[name].title, value.method, library, count] = {
                    "the text": value.psnr_db,
                    "cells": f"{len(psnr)} of {cells}",
                    "here": here,
                    "difference": here - value.psnr_db,
                }
    index = pd.MultiIndex.from_tuples(rows, names=["table", "what", "library", "iterations"])
    return pd.DataFrame(list(rows.values()), index)


COUNTS = {"denoising-25": (1800, 3000)}  # of iterations: the text's, and that of the released notebook


def at_count(name: str, column: str, count: int, folder: Path) -> pd.Series:
    """Return the PSNR in dB that each cell has at an iteration, or at its end if that is sooner, by image.

    column : "last iterate", "average", "scored"; "" is the mean of two runs' averages, stored at the end alone.
    """
    if not column:
        whole = name == "denoising-25" and count == CELLS[name]["hill"].settings.iterations
        return of_means(TWO, folder).ours if whole else pd.Series(dtype=float)
    found = {}
    for image, record in done(name, folder).items():
        score = {"last iterate": "image", "scored": record["configuration"]["scored"]}.get(column, column)
        curve = records.history(record).set_index("iteration")["psnr" if score == "image" else "psnr_average"]
        earlier = count < record["configuration"]["settings"]["iterations"]
        found[image] = curve[count] if earlier else record["scores"][score]
    return pd.Series(found, dtype=float)


def black_pixels(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what black pixels are worth in the runs of ours of restoration, in dB: all missing, or half of them known.

    Which pixels are black is taken from the truth, so the truth enters the input of the second.
    """

    missing = restoration.ALL_MISSING
    known = {(name, image): CELLS[name][image] for name, image in missing}
    both = {what: results.of(of, folder).scored for what, of in {"all missing": missing, "half known": known}.items()}
    found = pd.DataFrame(both).rename_axis(["run", "image"])
    return found.join(cells("restoration-50", folder).authors, on="image").dropna()


def outlying(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the cells that are over `OUTLYING` dB from the authors', each with its explanation.

    Explanations stand in data/explanations.toml, by "table/image"; their numbers come from records, by `facts`.
    """
    explanations, known = tomllib.loads(EXPLANATIONS.read_text(encoding="utf-8")), facts(folder)
    every = pd.concat({name: cells(name, folder).difference for name in TABLES})
    every.index = every.index.map("/".join)
    far = every[every.abs() > OUTLYING].to_frame()
    texts = (explanations.get(place, "not explained") for place in far.index)
    return far.assign(explanation=[from_records(text, known) for text in texts])


class Best(NamedTuple):
    """The highest PSNR of a curve in dB, and its iteration: only the truth tells it."""

    db: float
    at: int


def facts(folder: Path = RESULTS) -> dict[str, Callable]:
    """Return what an explanation may ask of the records and of the published numbers, by name, in dB."""

    def record(run: str) -> dict:
        return records.load(folder / f"{run}.json")

    def best(run: str) -> Best:
        curve = records.scored_curve(record(run))
        return Best(curve.max(), int(curve.idxmax()))

    def risen(run: str, iterations: int) -> float:
        curve = records.scored_curve(record(run))
        return curve.iloc[-1] - curve.loc[: curve.index[-1] - iterations].iloc[-1]

    return {
        "psnr": lambda run: records.score(record(run)),
        "average": lambda run: record(run)["scores"]["average"],
        "at": lambda run, iteration, column: records.history(record(run)).set_index("iteration")[column][iteration],
        "best": best,
        "risen": risen,
        "authors": lambda table, image: cells(table, folder).authors[image],
        "published": lambda table: cells(table, folder).authors.mean(),
        "printed": lambda table, method: printed(table).set_index("method").psnr_db[method],
    }


def from_records(template: str, known: Mapping[str, Callable]) -> str:
    """Return a text whose numbers are asked of `known`; dB have two decimals. A record that it needs may be missing."""
    page = Environment(autoescape=False, finalize=lambda x: f"{x:.2f}" if isinstance(x, float) else x)
    try:
        return page.from_string(template).render(known)
    except UserError as missing:
        return f"not explained ({missing})"


def as_in_2017(folder: Path = RESULTS) -> pd.DataFrame:
    """Return cells that were run again with PyTorch's defaults of 2017, beside the table's own: scored PSNR in dB.

    Indexed by table, which defaults were tried, and image. A gain is that of a pair of equal precision; where the two
    runs differ in it, it is NaN.
    """
    again = results.of(AGAIN, folder).dropna(subset="key")
    first = results.of({place: CELLS[place[0]][place[2]] for place in AGAIN}, folder).loc[again.index]
    authors = [cells(table, folder).authors[image] for table, _, image in again.index]
    columns = {
        "the table's": first.scored,
        "precision": first.precision,
        "as in 2017": again.scored,
        "precision, 2017": again.precision,
        "authors": authors,
        "gain": (again.scored - first.scored).where(again.precision == first.precision),
        "difference": again.scored - authors,
    }
    return pd.DataFrame(columns).rename_axis(["table", "tried", "image"])


def shown(frame: pd.DataFrame) -> Whole:
    """Return a table as text: dB with two decimals, differences with their sign, a dash where there is nothing."""

    def text(column: str, value) -> str:
        if not isinstance(value, float):
            return str(value)
        if math.isnan(value):
            return "–"
        if column in ("freeze", "seed", "iterations", "seconds", "seconds of ours"):
            return f"{value:.0f}"
        signed = column.startswith("difference") or column in ("ours − authors", "low", "high", "least", "most", "gain")
        return f"{value:{'+z' if signed else ''}.2f}"

    columns = {NAMES.get(c, c): [text(c, value) for value in frame[c]] for c in frame}
    return Whole(columns, index=frame.index, dtype=object)


def markdown(frame: pd.DataFrame) -> str:
    """Return a table, as `shown` gives it, in Markdown. Its index comes first."""
    return frame.reset_index().to_markdown(index=False, disable_numparse=True)
