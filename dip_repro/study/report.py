"""What the records say, as text: the paper's tables, the results in README, and the pages beside it."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

import pandas as pd

from dip_repro.runtime import DATA, ROOT, written_whole
from dip_repro.study import claims, published, tables
from dip_repro.study.comparisons import interval
from dip_repro.study.experiments import ambiguities, front, lookup
from dip_repro.study.runs import RESULTS

FORMATS = {
    "text": lambda frame: tables.shown(frame).to_string(),
    "markdown": lambda frame: tables.markdown(tables.shown(frame)),
    "csv": lambda frame: frame.round(4).to_csv().rstrip("\n"),
}
README, CONTENTS = ROOT / "README.md", ROOT / "notebooks" / "README.md"
INDEX, GUIDE, LAPTOP, FULL = (DATA / f"{name}.md" for name in ("INDEX", "GUIDE", "LAPTOP", "RESULTS"))
PAPER = "the paper's settings"  # of `tables.COLUMNS`


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
    columns = [sentence(title, tables.summary(frame, column)) for title, column in tables.COLUMNS.items()]
    ours = f"ours: {declared.ours.what}, {declared.ours.compute}. {declared.ours.why}"
    printed = [
        f"In the paper: {value.image}, {value.method} {value.psnr_db:.2f} dB ({value.source})"
        for value in tables.printed(name).itertuples()
    ]
    return "\n\n".join([declared.title + " (PSNR in dB)", text, *columns, ours, *printed])


def sentence(title: str, found: dict) -> str:
    """Return a summary of `tables.summary` in words."""
    if not found["cells"]:
        return f"{title}: no cell done, {found['missing']} missing; undecided"
    means = f"{found['here']:.2f} dB, the authors' {found['authors']:.2f} on the same images"
    count = f"{found['cells']} done, {found['missing']} missing"
    return f"{title}: {count}; {means}; {difference(found)}; {found['verdict']}"


def difference(found: dict | pd.Series) -> str:
    """Return a mean difference with its interval; a dash where there is none."""
    if not found["cells"]:
        return "–"
    mean = f"{found['difference']:+z.2f}"
    return f"{mean} [{found['low']:+z.2f}, {found['high']:+z.2f}]" if found["cells"] > 1 else mean


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
    found = tables.overview(folder).xs(PAPER, level="column")
    found["all"] = found.cells + found.missing
    verdicts = found.verdict.value_counts()
    far = [f"`{cell}` {row.difference:+.1f} dB" for cell, row in tables.outlying(folder).iterrows()]
    judged = pd.concat([claims.verdicts(entry["number"]) for entry in declared("notebook")]).holds.value_counts()
    lines = [
        f"**The tables.** {found.cells.sum()} of {found['all'].sum()} cells are done with {PAPER}. "
        f"Verdicts on the seven tables: {', '.join(f'{count} {verdict}' for verdict, count in verdicts.items())} "
        "([table](#results)).",
        f"**Far off**: {', '.join(far) or 'no cell'}. [Why](data/RESULTS.md).",
        f"**The experiments** on bundled pictures: of the study's claims {judged.get('yes', 0)} hold, "
        f"{judged.get('no', 0)} do not ([which](notebooks/README.md)), {judged.get('undecided', 0)} are undecided.",
        f"**The open detail that matters most**: {dearest(folder)}",
        f"**A library's default**: {of_2017(folder)}",
        f"**The setting that we recommend**, beside the paper's: {of_front(folder)}",
        f"**Chosen blind.** {blind_check(folder)}",
    ]
    return "\n".join(f"- {line}" for line in lines)


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
    moved = [
        f" On `{table}` it moves the mean difference to the authors from {row.before:+.2f} to {row.after:+.2f} dB "
        f"[{row['after low']:+.2f}, {row['after high']:+.2f}] ({row.cells:.0f} cells)."
        for (table, tried), row in tables.explained_by_2017(folder).iterrows()
        if tried == "scale"
    ]
    return (
        "in 2017 PyTorch drew the initial scale of batch norm from U(0, 1); today it is 1. "
        f"The old default is worth {' and '.join(worth)}.{''.join(moved)}"
    )


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
    return f"{'; '.join(gains)} ([4 pictures of {front.SIDE}²](notebooks/19_recommended.ipynb)).{of_photos(folder)}"


def of_photos(folder: Path = RESULTS) -> str:
    """Return what the recommended setting loses on photos, and its time, in words; empty where not measured."""
    found = front.photos_beside_the_papers(folder).dropna()
    if len(found) < 2:
        return ""
    gain = in_db(*interval(found.gain))
    return f" On {len(found)} photos of 256² with σ = 25: {gain}, {found.faster.mean():.1f} times faster."


def gallery() -> str:
    """Return a thumbnail of each notebook's figure, linked to the notebook, four in a row."""
    cards = [
        f'[<img src="figures/{entry["figure"]}.png" width="190">](notebooks/{entry["file"]})<br>'
        f"{entry['number']} {entry['title']}"
        for entry in declared("notebook")
    ]
    rows = [cards[i : i + 4] + [""] * (4 - len(cards[i : i + 4])) for i in range(0, len(cards), 4)]
    return "\n".join(f"| {' | '.join(row)} |" for row in ([""] * 4, [":-:"] * 4, *rows))


def results(folder: Path = RESULTS) -> str:
    """Return the seven tables in short, for README."""
    found, rows = tables.overview(folder), {}
    for name, declared in tables.TABLES.items():
        paper, ours = (found.loc[(name, title)] for title in tables.COLUMNS)
        rows[declared.title] = {
            "cells": f"{paper.cells} of {paper.cells + paper.missing}",
            "here": f"{paper.here:.2f}" if paper.cells else "–",
            "authors": f"{paper.authors:.2f}" if paper.cells else "–",
            "difference [95 %]": difference(paper),
            "verdict": paper.verdict,
            "ours − authors [95 %]": difference(ours),
        }
    return tables.markdown(pd.DataFrame.from_dict(rows, orient="index").rename_axis("table"))


def full_results(folder: Path = RESULTS) -> str:
    """Return the page of the tables: what each column is, the rules of "ours", and why some cells are far off."""
    far = tables.outlying(folder)
    listed = tables.markdown(tables.shown(far).rename_axis("cell")) if len(far) else "none."
    lines = "\n".join(rules())
    return f"""\
# The paper's tables

Written by `dip-repro study report` from the committed records. PSNR in dB on the authors' own images, with {PAPER}. \
Each mean is over the cells that are done, beside the authors' published outputs for the same images. *Reproduced*: \
the 95 % interval of the mean difference over images lies within ±{tables.MARGIN} dB. *Better* or *worse*: it lies \
wholly outside. Everything else is *undecided*. Image by image: `dip-repro study table NAME`, and \
[notebook 09](../notebooks/09_tables.ipynb).

{results(folder)}

## Ours

One improved rule for each task. Each rule was declared before the runs of its table; only that for σ = 50 was \
declared after one cell with the paper's settings had been seen.

{lines}

## Cells over {tables.OUTLYING} dB from the authors'

{listed}
"""


def rules() -> list[str]:
    """Return a line for each rule of the column "ours": its tables, what it scores, and why."""
    names: dict[tables.Rule, list[str]] = {}
    for declared in tables.TABLES.values():
        names.setdefault(declared.ours, []).append(f"`{declared.name}`")
    return [f"- {', '.join(of)}: {rule.what}, {rule.compute}. {rule.why}" for rule, of in names.items()]


@functools.cache
def declared(kind: str) -> list[dict]:
    """Return the entries of one kind in data/index.toml: "notebook" or "entry"."""
    return tomllib.loads((DATA / "index.toml").read_text(encoding="utf-8"))[kind]


def contents() -> str:
    """Return the page of the notebooks: of each a picture, its claims, and what the paper says; then what failed."""
    parts, failed = [], []
    for entry in declared("notebook"):
        number, file = entry["number"], entry["file"]
        title, verdicts = f"{number} {entry['title']}", claims.verdicts(number)
        parts += [
            f"""\
## [{title}]({file})

[<img src="../figures/{entry["figure"]}.png" alt="{title}" width="480">]({file})

*In the paper*: {entry.get("place", "not in the paper")}. *Claims*: {claims.counted(verdicts)}.

{entry["claim"]}
"""
        ]
        failed += [
            {"claim": claim.statement, "the paper": claim.paper, "notebook": f"[{title}]({file})"}
            for claim in claims.of(number)
            if verdicts.holds[claim.id] == "no"
        ]
    chapters = "\n".join(parts)
    return f"""\
# The notebooks

Written by `dip-repro study report`. For each notebook: where the paper speaks of it, how many of this study's claims \
on it hold, and what the paper says there. The last section lists every claim that does not hold.

{chapters}
## What did not hold

{tables.markdown(pd.DataFrame(failed).set_index("claim"))}
"""


def index(folder: Path = RESULTS) -> str:
    """Return the page of every figure and table of the paper, and what became of it."""
    found, rows = tables.overview(folder).xs(PAPER, level="column"), []
    links = {entry["number"]: f"[{entry['number']}](../notebooks/{entry['file']})" for entry in declared("notebook")}
    for entry in declared("entry"):
        verdict, size = of_table(found.loc[entry["table"]]) if "table" in entry else of_claims(entry)
        place = entry.get("table", entry.get("records", "none"))
        count = len(tables.counted(place, folder)[0])
        rows.append(
            {
                "in the paper": entry["place"],
                "what": entry["what"],
                "verdict": verdict,
                "judged on": size,
                "notebook": links.get(entry.get("notebook"), "–"),
                "records": f"[{count}](results/{place})" if count else "–",
            }
        )
    return f"""\
# The paper's figures and tables

Written by `dip-repro study report` from `data/index.toml`, the records and the verdicts of the notebooks. The verdict \
on a table is that of {PAPER}: *reproduced* where the 95 % interval of the mean difference lies within \
±{tables.MARGIN} dB. The verdict on a figure is that of the claims on it: *reproduced* if all hold, *not \
reproduced* if one does not. *Judged on*: the paper's own images, or bundled pictures of the size named.

{tables.markdown(pd.DataFrame(rows).set_index("in the paper"))}
"""


def of_table(found: pd.Series) -> tuple[str, str]:
    """Return the verdict on a table, and what it was judged on."""
    if not found.cells:
        return f"not run yet, 0 of {found.missing} cells: hours of a CPU each table", "–"
    return f"{found.verdict}, {found.cells} of {found.cells + found.missing} cells", "the paper's images"


def of_claims(entry: dict) -> tuple[str, str]:
    """Return the verdict on an entry by the claims on it, and what they were judged on."""
    if "notebook" not in entry:
        return "not attempted", "–"
    if "claims" not in entry:
        return "shown on a bundled picture, not judged", "–"
    found = claims.verdicts(entry["notebook"]).loc[entry["claims"]]
    worst = next(outcome for outcome in ("no", "undecided", "yes") if outcome in set(found.holds))
    return {"no": "not reproduced", "yes": "reproduced"}.get(worst, worst), ", ".join(found["judged on"].unique())


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
    counts = ambiguities.blind(folder)
    said = ", ".join(
        f"{count} {'agree' if outcome == 'agrees' else outcome.replace('differs', 'differ')}"
        for outcome, count in counts.items()
    )
    return f"Of the {counts.sum()} readings chosen from the text alone, compared with the released code: {said}."


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
