"""What the records say, as text: the paper's tables, the results in README, and the pages beside it."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from pathlib import Path

import pandas as pd

from dip_repro.runtime import DATA, ROOT, written_whole
from dip_repro.study import claims, published, tables
from dip_repro.study.experiments import ambiguities, front, lookup
from dip_repro.study.results import MARGIN, interval
from dip_repro.study.results import row as row_of
from dip_repro.study.runs import RESULTS

FORMATS = {
    "text": lambda frame: tables.shown(frame).to_string(),
    "markdown": lambda frame: tables.markdown(tables.shown(frame)),
    "csv": lambda frame: frame.round(4).to_csv().rstrip("\n"),
}
README, CONTENTS = ROOT / "README.md", ROOT / "notebooks" / "README.md"
INDEX, GUIDE, LAPTOP, FULL = (DATA / f"{name}.md" for name in ("INDEX", "GUIDE", "LAPTOP", "RESULTS"))
HISTORY = ROOT / "docs" / "history.md"
PAPER = "the paper's settings"
OF_2017, TODAY, OURS = tables.COLUMNS
GUIDE_LINK = "data/GUIDE.md"
WHOSE = {"paper": "The paper's", "study": "Our own"}
WORDS = f"""\
*Not run*; *partial*: some cells are missing; *agrees*: the 95 % interval of the mean difference lies within \
±{MARGIN} dB; *lower* or *higher*: it excludes 0, and does not lie within; *not resolved*: anything else. The \
images of a table are fixed, so the interval is that of the scatter between runs, theirs and ours alike. Where it is \
[?] the scatter has not been measured yet."""


def formatted(frame: pd.DataFrame, format: str) -> str:
    """Return a table as text, in one of `FORMATS`."""
    return lookup("format", format, FORMATS)(frame)


def table(name: str, format: str = "text", folder: Path = RESULTS) -> str:
    """Return a table of the paper and, except in CSV, what it says: means, verdicts, the printed values.

    Raises
    ------
    UserError : there is no such table or no such format; the nearest is suggested.
    """
    declared, frame = tables.find(name), tables.cells(name, folder)
    if format == "csv":
        return formatted(frame, format)
    done = frame[frame.scored.notna()]
    means = done.mean(numeric_only=True).to_frame(f"mean of {len(done)} done").T.head(len(done))
    text = formatted(pd.concat([frame, means]).rename_axis("image"), format)
    columns = [sentence(title, tables.judged(name, column, folder)) for title, column in tables.COLUMNS.items()]
    ours = f"ours: {declared.ours.what}, {declared.ours.compute}. {declared.ours.why}"
    printed = [
        f"In the paper: {value.image}, {value.method} {value.psnr_db:.2f} dB ({value.source})"
        for value in tables.printed(name).itertuples()
    ]
    return "\n\n".join([declared.title + " (PSNR in dB)", text, *columns, ours, *printed])


def sentence(title: str, found: dict) -> str:
    """Return `tables.judged` in words."""
    if not found["cells"]:
        return f"{title}: {found['verdict']}, {found['missing']} cells missing"
    said = tables.said(found)
    means = f"{said['here']} dB, the authors' {said['authors']} on the same images"
    return f"{title}: {found['verdict']}, {said['cells']} cells; {means}; {said['difference [95 %]']}"


def in_db(mean: float, low: float, high: float) -> str:
    """Return an effect and its interval as README has them."""
    return f"{mean:+z.1f} dB [{low:+z.1f}, {high:+z.1f}]"


def overview(format: str = "text", folder: Path = RESULTS) -> str:
    """Return the seven tables in short, in both columns."""
    return formatted(tables.overview(folder), format)


def refused(folder: Path = RESULTS) -> list[str]:
    """Return a sentence for each record of a table that does not count."""
    return [why for name in tables.TABLES for why in tables.counted(name, folder)[1]]


def answer(folder: Path = RESULTS) -> str:
    """Return what the study found so far: seven lines, each with its numbers."""
    every = tables.overview(folder)
    far = [f"`{cell}` {row.difference:+.1f} dB" for cell, row in tables.outlying(folder).iterrows()]
    judged = {whose: claims.in_words(of.holds) for whose, of in claims.all_verdicts().groupby("whose")}
    lines = [
        f"**The tables**, with {PAPER}: {'; '.join(how_many(every, column) for column in (OF_2017, TODAY))} "
        "([table](#results)).",
        f"**Far off**, by today's library: {', '.join(far) or 'no cell'}. [Why](data/RESULTS.md).",
        f"**The experiments** on bundled pictures, which stand in for the paper's. Of what the paper claims: "
        f"{judged['paper']}. Of what this study claims besides: {judged['study']} ([which](notebooks/README.md)). "
        "*Shown* is said of one fit; *yes* and *no* of several, or of an interval.",
        f"**The open detail that matters most**: {dearest(folder)}",
        f"**A library's default**: {of_2017(folder)}",
        f"**The setting that we recommend**, beside the paper's: {of_front(folder)}",
        f"**Chosen blind.** {blind_check(folder)}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def how_many(every: pd.DataFrame, column: str) -> str:
    """Return how many cells of a column are done, and the words for its tables, from `tables.overview`."""
    found = every.xs(column, level="column")
    words = ", ".join(f"{count} {word}" for word, count in found.verdict.value_counts().items())
    total = (found.cells + found.missing).sum()
    return f"by {column.partition(', ')[2]} {found.cells.sum()} of {total} cells are done (tables: {words})"


def dearest(folder: Path = RESULTS) -> str:
    """Return the reading with the largest effect, in words."""
    effects = ambiguities.effects(folder)
    if effects.empty:
        return "not measured yet."
    row = effects.iloc[0]
    return (
        f"“{ambiguities.in_words(row.reading)}” moves the PSNR by {row.effect:+.1f} dB on {row.task}. "
        "[The guide](data/GUIDE.md) has all of them."
    )


def of_2017(folder: Path = RESULTS) -> str:
    """Return what PyTorch's initial scale of batch norm in 2017 is worth, with the paper's widths, in words."""
    found = ambiguities.again(folder).set_index(["reading", "task"])
    rows = {task: found.loc[("norm-scale/U(0, 1)", task)] for of, task in found.index if of == "norm-scale/U(0, 1)"}
    if not rows:
        return "not measured yet."
    worth = [f"{in_db(row.effect, row.low, row.high)} in {task}" for task, row in rows.items()]
    gains = tables.gains_of_2017(folder).query("tried == 'scale'").droplevel("tried")
    cells = [f"{one_or_mean(row)} on `{name}`" for name, row in gains.iterrows()]
    return (
        "in 2017 PyTorch drew the initial scale of batch norm from U(0, 1); today it is 1. On bundled pictures the old "
        f"default is worth {' and '.join(worth)}. On cells of the tables, in pairs of equal precision: "
        f"{', '.join(cells)}."
    )


def one_or_mean(row: pd.Series) -> str:
    """Return the gain of some pairs in words: their mean and its interval, or that of the only one."""
    if row.pairs < 2:
        return f"{row.gain:+z.1f} dB (one pair)" if row.pairs else "no pair"
    return f"{in_db(row.gain, row.low, row.high)} ({row.pairs:.0f} pairs)"


def of_front(folder: Path = RESULTS) -> str:
    """Return what the recommended setting of each task gains over the paper's, and its time, in words."""
    found = {task: front.chosen(front.beside_the_papers(task, folder)) for task in front.FAMILIES}
    gains = [
        f"{task} {in_db(row.gain, row.low, row.high)}, {row.faster:.1f} times faster"
        for task, row in found.items()
        if row is not None
    ]
    if not gains:
        return "not measured yet."
    return (
        f"{of_photos(folder)}On the {len(front.NOISY)} pictures of {front.SIDE}² that chose it: {'; '.join(gains)} "
        "([notebook 19](notebooks/19_recommended.ipynb))."
    )


def of_photos(folder: Path = RESULTS) -> str:
    """Return what the recommended setting loses on photos, and its time, in words; empty where not measured."""
    found = front.photos_beside_the_papers(folder).dropna()
    if len(found) < 2:
        return ""
    gain = in_db(*interval(found.gain))
    return (
        f"on {len(found)} photos of 256² with σ = 25 that no round of its search had (the stopping rule had seen them "
        f"at 128²): {gain}, {found.faster.mean():.1f} times faster. "
    )


def gallery() -> str:
    """Return a thumbnail of each notebook's figure, linked to the notebook, four in a row."""
    cards = [
        f'[<img src="figures/{entry["figure"]}.png" width="190">](notebooks/{entry["file"]})<br>'
        f"{entry['number']} {entry['title']}"
        for entry in notebooks()
    ]
    rows = [cards[i : i + 4] + [""] * (4 - len(cards[i : i + 4])) for i in range(0, len(cards), 4)]
    return "\n".join(f"| {' | '.join(row)} |" for row in ([""] * 4, [":-:"] * 4, *rows))


def results(folder: Path = RESULTS) -> str:
    """Return the verdicts on the seven tables with the paper's settings, in short, as a table."""
    libraries = {column.partition(", ")[2]: column for column in (OF_2017, TODAY)}
    rows = {
        table.title: {title: in_short(name, column, folder) for title, column in libraries.items()}
        for name, table in tables.TABLES.items()
    }
    return tables.markdown(pd.DataFrame.from_dict(rows, orient="index").rename_axis("table"))


def in_short(name: str, column: str, folder: Path = RESULTS) -> str:
    """Return the verdict on a table with its count, its mean difference to the authors and the interval of that."""
    said = tables.said(tables.judged(name, tables.COLUMNS[column], folder))
    word = f"{said['verdict']}, {said['cells']} cells"
    return word if said["here"] == "–" else f"{word}: {said['difference [95 %]']} dB"


def by_column(column: str, folder: Path = RESULTS) -> str:
    """Return the verdicts on the seven tables by one of `tables.COLUMNS`, with all that stands beside them."""
    score, names = tables.COLUMNS[column], tables.TABLES
    rows = {names[name].title: tables.said(tables.judged(name, score, folder)) for name in names}
    return tables.markdown(pd.DataFrame.from_dict(rows, orient="index").rename_axis("table"))


def full_results(folder: Path = RESULTS) -> str:
    """Return the page of the tables: what each column is, the rules of "ours", and why some cells are far off."""
    far = tables.outlying(folder)
    listed = tables.markdown(tables.shown(far).rename_axis("cell")) if len(far) else "none."
    return f"""\
# The paper's tables

Written by `dip-repro study report` from the committed records. PSNR in dB on the authors' own images, with {PAPER}. \
Each mean is over the cells that are done, beside the authors' published outputs for the same images.

{WORDS}

By the library of 2017, whose batch norm starts with a scale from U(0, 1). It was taken because the published files \
say so, so it is an attribution and no blind reading:

{by_column(OF_2017, folder)}

By today's library:

{by_column(TODAY, folder)}

By our rule, one for each task, described below:

{by_column(OURS, folder)}

## The numbers of the text

The paper prints some means that are not those of the published images. Ours stand beside them where all cells are done.

{yardsticks(folder)}

## Cell by cell

The cells that are done with {PAPER}. *Freeze*: of the readings, by its number in \
[the history](../docs/history.md). The seconds are without pauses. `dip-repro study table NAME` has the published \
methods too.

{single_cells(folder)}

## Black pixels

In a published masked image of restoration a missing pixel is 0, and so is a known one that is black. Of the pixels \
that are black in the truth, freeze 4 takes one half for known. So in five images **the truth enters the input**, by a \
few pixels. The same runs where all of them count as missing are kept beside:

{tables.markdown(tables.shown(tables.black_pixels(folder)))}

## Ours

{rules()}

## Cells over {tables.OUTLYING} dB from the authors'

{listed}
"""


def yardsticks(folder: Path = RESULTS) -> str:
    """Return the printed means beside ours, as a table."""
    return tables.markdown(tables.shown(tables.yardsticks(folder)))


def single_cells(folder: Path = RESULTS) -> str:
    """Return every finished cell with how it was made and how it ended, as a table."""
    every = results_of(tables.CELLS | tables.OF_2017, folder)
    return tables.markdown(tables.shown(every)) if len(every) else "none."


def results_of(columns: dict[str, dict], folder: Path) -> pd.DataFrame:
    """Return the finished cells of some tables, a row each, with how they were made and how they ended."""
    rows = {}
    for name in (name for name in columns if name.removeprefix("2017/") in tables.TABLES):
        authors = tables.cells(name.removeprefix("2017/"), folder).authors
        for image, record in tables.done(name, folder).items():
            said = row_of(record)
            wanted = {
                "scored": said["scored"],
                "authors": authors[image],
                "difference": said["scored"] - authors[image],
            }
            rows[name, image] = wanted | {part: said[part] for part in CELL}
    return pd.DataFrame(list(rows.values()), pd.MultiIndex.from_tuples(rows, names=["table", "image"]))


CELL = ("freeze", "seed", "precision", "iterations", "seconds", "stopped")


def rules() -> str:
    """Return a paragraph for each rule of "ours": its tables, what it scores, why, and what had been seen before."""
    names: dict[tables.Rule, list[str]] = {}
    for table in tables.TABLES.values():
        names.setdefault(table.ours, []).append(f"`{table.name}`")
    parts = []
    for rule, of in names.items():
        when = "\n".join(
            f"  - {row.date}, {row.commit}: {row.declared}. Seen before: {row.seen}." for row in history(of)
        )
        parts.append(f"- {', '.join(of)}: {rule.what}, {rule.compute}. {rule.why} Declared:\n{when}")
    return "\n".join(parts)


def history(names: list[str]) -> list:
    """Return the rows of docs/history.md that declare "ours" for one of these tables: date, commit, declared, seen."""
    lines = [line.strip("| ").split(" | ") for line in HISTORY.read_text(encoding="utf-8").splitlines()]
    rows = [line for line in lines if len(line) == 4 and "*ours*" in line[2]]
    found = pd.DataFrame(rows, columns=["date", "commit", "declared", "seen"])
    return [row for row in found.itertuples() if any(name in str(row.declared) for name in names)]


@functools.cache
def entries() -> list[dict]:
    """Return the figures and tables of the paper, as data/index.toml has them."""
    return tomllib.loads((DATA / "index.toml").read_text(encoding="utf-8"))["entry"]


@functools.cache
def notebooks() -> list[dict[str, str]]:
    """Return what each notebook says of itself: number, file, title, place in the paper, claim, first figure."""
    found = []
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        sources = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
        heading, _, text = sources[0].partition("\n\n")
        said = re.match(r"\*\*The paper's claim\*\*(?: \(([^)]*)\))?: (.*)", text.partition("\n\n")[0], re.DOTALL)
        place, claim = said.groups() if said else (None, text.partition("\n\n")[0])
        figure = re.findall(rf'"({path.name[:2]}-[\w-]+)"', "\n".join(sources))[0]
        found.append(
            {"number": path.name[:2], "file": path.name, "title": heading.lstrip("# 0123456789."), "figure": figure}
            | {"place": place or "not in the paper", "claim": claim[0].upper() + claim[1:].replace("\n", " ")}
        )
    return found


def contents() -> str:
    """Return the page of the notebooks: of each a picture, its claims, and what the paper says; then what failed."""
    parts, failed = [], []
    for entry in notebooks():
        number, file = entry["number"], entry["file"]
        title, verdicts = f"{number} {entry['title']}", claims.verdicts(number)
        parts += [
            f"""\
## [{title}]({file})

[<img src="../figures/{entry["figure"]}.png" alt="{title}" width="480">]({file})

*In the paper*: {entry["place"]}. {ledgers(number)}

{entry["claim"]}
"""
        ]
        failed += [
            {
                "claim": claim.statement,
                "whose": WHOSE[claim.whose],
                "the paper": claim.paper,
                "here": verdicts.here[claim.id],
                "verdict": verdicts.holds[claim.id],
                "notebook": f"[{title}]({file})",
            }
            for claim in claims.of(number)
            if verdicts.holds[claim.id] in claims.FAILED
        ]
    chapters = "\n".join(parts)
    return f"""\
# The notebooks

Written by `dip-repro study report`. For each notebook: where the paper speaks of it, how many of the paper's claims \
hold, how many of this study's own, and what the paper says there. *Shown* and *not shown* are said of the fit of one \
picture. The pictures are bundled ones, which stand in for the paper's. The last section lists every claim that does \
not hold.

{chapters}
## What did not hold

{tables.markdown(pd.DataFrame(failed).set_index("claim"))}
"""


def ledgers(number: str) -> str:
    """Return the verdicts on the claims of a notebook in words: the paper's, then the study's own."""
    judged, whose = claims.verdicts(number), {claim.id: claim.whose for claim in claims.of(number)}
    groups = {WHOSE[of]: group for of, group in judged.groupby(judged.index.map(whose))}
    return " ".join(f"*{of} claims*: {claims.counted(group)}." for of, group in groups.items())


def index(folder: Path = RESULTS) -> str:
    """Return the page of every figure and table of the paper, and what became of it."""
    rows = []
    links = {entry["number"]: f"[{entry['number']}](../notebooks/{entry['file']})" for entry in notebooks()}
    for entry in entries():
        verdict, size = of_table(entry["table"], folder) if "table" in entry else of_claims(entry)
        place = entry.get("table", entry.get("records", "none"))
        count = len(tables.counted(place, folder)[0])
        rows.append(
            {
                "in the paper": entry["place"],
                "what": entry["what"],
                "verdict": verdict,
                "judged on": size,
                "notebook": links.get(entry.get("notebook", ""), "–"),
                "records": f"[{count}](results/{place})" if count else "–",
            }
        )
    return f"""\
# The paper's figures and tables

Written by `dip-repro study report` from `data/index.toml`, the records and the verdicts of the notebooks. The \
verdict on a table is that of {PAPER}, beside it the mean difference to the authors' published images with its \
interval. Figures are tried with pictures that stand in for the paper's, so none counts as reproduced: all that the \
paper claims of a figure is counted, *shown* or *not shown* where it rests on one fit, *yes* or *no* where on several.

{WORDS}

{tables.markdown(pd.DataFrame(rows).set_index("in the paper"))}
"""


def of_table(name: str, folder: Path) -> tuple[str, str]:
    """Return the verdicts on a table by both libraries, and what they were judged on."""
    words = (f"{column.partition(', ')[2]}: {in_short(name, column, folder)}" for column in (OF_2017, TODAY))
    return "; ".join(words), "the paper's images"


def of_claims(entry: dict) -> tuple[str, str]:
    """Return the verdicts on all that the paper claims of an entry, and what they were judged on."""
    if "notebook" not in entry:
        return "not attempted", "–"
    if "claims" not in entry:
        return "not judged", "a stand-in"
    found = claims.all_verdicts().loc[entry["claims"]]
    return claims.in_words(found.holds), f"a stand-in, {', '.join(found['judged on'].unique())}"


def worth(row) -> str:
    """Return an effect with its interval and task; a star where it is significant."""
    return f"{row.effect:+z.2f} [{row.low:+z.2f}, {row.high:+z.2f}]{'*' if row.p < 0.05 else ''} {row.task}"


def frozen(entry: dict) -> str:
    """Return the chosen reading of an ambiguity in words; where it holds for one experiment only, the base too."""
    if entry["chosen"] == ambiguities.BASE:
        return entry["base"]
    where = " and ".join(entry.get("where", ()))
    return f"{entry['chosen']} in {where}, else {entry['base']}" if where else entry["chosen"]


def ranked(folder: Path) -> list[tuple[dict, pd.DataFrame, pd.DataFrame]]:
    """Return each ambiguity with its effects, the one with the largest first.

    An entry of data/study.toml; its rows of `ambiguities.effects`, of the study and with the paper's widths; both with
    the name of the reading as `name`.
    """
    tables, found = (ambiguities.effects(folder), ambiguities.again(folder)), []
    for entry in ambiguities.declaration()["ambiguity"]:
        names = dict(zip(ambiguities.labels(entry), entry["readings"], strict=True))
        effects, wide = (table.assign(name=table.reading.map(names)).dropna(subset="name") for table in tables)
        if len(effects):
            found.append((entry, effects, wide))
    return sorted(found, key=lambda one: one[1].effect.abs().max(), reverse=True)


def most_that_matter(folder: Path = RESULTS, most: int = 5) -> str:
    """Return the readings with the largest effects, as a table."""
    every, study = ranked(folder), ambiguities.declaration()
    if not every:
        return "The study has not been run yet: `dip-repro study run study --profile laptop --workers 4 --no-figure`."
    rows = {
        ambiguities.question(entry): {
            "chosen reading": frozen(entry),
            "other readings": ", ".join(effects.name.unique()),
            "effect in dB [95 %]": "<br>".join(map(worth, effects.itertuples())),
            "with the paper's widths": "<br>".join(map(worth, wide.itertuples())) or "–",
        }
        for entry, effects, wide in every[:most]
    }
    return f"""\
The {most} of {len(every)} with the largest effects, from paired runs on {len(study["images"])} bundled images \
and {len(study["seeds"])} seeds, {study["base"]["settings"]["iterations"]} iterations at 64². None of these \
images is in the paper's tables. A negative effect: the other reading is worse than the base. *: p < 0.05 after \
Holm's correction over {sum(len(effects) for _, effects, _ in every)} effects.

{tables.markdown(pd.DataFrame.from_dict(rows, orient="index").rename_axis("the paper leaves open"))}

{blind_check(folder)}"""


def blind_check(folder: Path = RESULTS) -> str:
    """Return what became of the readings that were chosen before anything of the released code was known."""
    counts, found = ambiguities.blind(), ambiguities.differing(folder)
    said = ", ".join(
        f"{count} {outcome.replace('agrees', 'agree').replace('differs', 'differ')}"
        for outcome, count in counts.items()
    )
    resolved = found[found.resolved].reading.nunique()
    return (
        f"Of the {counts.sum()} readings chosen from the text alone, compared with the released code: {said}. Of what "
        f"those that differ are worth, {resolved} of {found.reading.nunique()} is resolved on some task ([each with "
        f"its interval]({GUIDE_LINK}#where-the-released-code-differs))."
    )


def differing(folder: Path = RESULTS) -> str:
    """Return what each reading of the released code that differs from ours is worth, as a table."""
    found = ambiguities.differing(folder)
    rows = {
        (ambiguities.in_words(row.reading), row.task, row.size): {
            "effect in dB [95 %]": tables.with_interval(row.effect, row.low, row.high),
            "": how_sure(row),
        }
        for row in found.itertuples()
    }
    index = pd.MultiIndex.from_tuples(rows, names=["the released code's reading", "task", "measured at"])
    return tables.markdown(pd.DataFrame(list(rows.values()), index))


def how_sure(row) -> str:
    """Return in words how sure an effect is: an effect below the smallest that the test finds is never called none."""
    if row.resolved:
        return "resolved"
    if not row.least:
        return "every pair is equal: at this length it changes nothing"
    if row.low > 0 or row.high < 0:
        return "not resolved after Holm's correction, though its own interval excludes 0"
    return f"not resolved; an effect of {row.least:.2f} would have been found"


def guide(folder: Path = RESULTS) -> str:
    """Return the guide: every ambiguity, the one with the largest effect first."""
    parts = []
    for place, (entry, effects, wide) in enumerate(ranked(folder), 1):
        lines = [
            f"- {row.name}: {worth(row)}; the best moment differs by {row.peak:+z.2f} dB and {row.later:+z.0f} "
            f"iterations; the test would have found an effect of {row.least:.2f} dB"
            for row in effects.itertuples()
        ]
        lines += [f"- {row.name}, with the paper's widths: {worth(row)}" for row in wide.itertuples()]
        listed = "\n".join(lines)
        parts += [
            f"""\
## {place}. {ambiguities.question(entry)}

The text, in short: “{entry["sentence"]}”

The released code: {entry["code"]}.

Choose: **{frozen(entry)}**. {entry["why"]}

{listed}

Expected before the runs: {entry["expected"]}
"""
        ]
    readings = "\n".join(parts)
    return f"""\
# If you implement this from the paper

Written by `dip-repro study report` from `data/study.toml` and the records of the study. The open choices, the one \
with the largest effect first. An effect is the difference from the base of the study in dB, with its 95 % \
interval over images, and the task; * where p < 0.05 after Holm's correction. It was measured with small \
networks on small bundled pictures: profile `laptop`. An effect that is not significant is listed too, with its \
interval.

{most_that_matter(folder)}

## Where the released code differs

What its reading is worth beside ours: every task and size at which it was measured. Resolved: p < 0.05 after Holm's \
correction over the effects of its round.

{differing(folder)}

{readings}"""


def laptop(folder: Path = RESULTS) -> str:
    """Return the page of every `laptop` run of a restoration, beside the best of its baselines."""
    return f"""\
# At laptop size

Written by `dip-repro study report` from the records of profile `laptop`: bundled pictures, the paper's networks, \
minutes to an hour each on one core. PSNR in dB. *Ours* is the image that the run is scored by. *Baseline* is \
the best method without a network. *Level*: the difference is less than {tables.LEVEL} dB. The guided filter \
beside flash has a fixed strength; notebook 06 also has the one that is best by the truth. The enhancement has no \
truth; notebook 07 compares it with its baselines.

{tables.markdown(tables.shown(tables.beside_baselines(folder=folder)).rename_axis("run"))}
"""


def write() -> tuple[Path, ...]:
    """Write the generated sections of README and the pages that are generated, and return their paths.

    First what needs the paper's images is measured, where it is not stored yet.
    """
    tables.score_derived()
    published.write()
    readme = README.read_text(encoding="utf-8")
    for (begin, end), section in SECTIONS.items():
        before, _, rest = readme.partition(begin)
        readme = f"{before}{begin}\n{section()}\n{end}{rest.partition(end)[2]}"
    pages = {
        README: readme,
        INDEX: index(),
        GUIDE: guide(),
        FULL: full_results(),
        LAPTOP: laptop(),
        CONTENTS: contents(),
    }
    for path, text in pages.items():
        with written_whole(path) as partial:
            partial.write_text(text, encoding="utf-8")
    return tuple(pages)


SECTIONS = {
    (f"<!-- {name}: written by dip-repro study report -->", f"<!-- end of {name} -->"): section
    for name, section in {"answer": answer, "results": results, "gallery": gallery}.items()
}
