"""What the records say, as text: the paper's tables, README's results, the index of the paper's figures and tables."""

from __future__ import annotations

import ast
import difflib
import json
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dip_repro.runtime import ROOT, UserError, written_whole
from dip_repro.study import claims, tables
from dip_repro.study.experiments import ambiguities
from dip_repro.study.runs import RESULTS

FORMATS = {
    "text": lambda frame: tables.shown(frame).to_string(),
    "markdown": lambda frame: tables.markdown(tables.shown(frame)),
    "csv": lambda frame: frame.round(4).to_csv().rstrip("\n"),
}
README, INDEX, ENTRIES = ROOT / "README.md", ROOT / "data" / "INDEX.md", ROOT / "data" / "index.toml"
NOTEBOOKS = ROOT / "notebooks"
GUIDE, LAPTOP = ROOT / "data" / "GUIDE.md", ROOT / "data" / "LAPTOP.md"
CONTENTS = NOTEBOOKS / "README.md"


def formatted(frame: pd.DataFrame, format: str) -> str:
    if format not in FORMATS:
        near = difflib.get_close_matches(format, FORMATS, n=1, cutoff=0)
        raise UserError(f"no format {format!r}; did you mean {near[0]}? (there are {', '.join(FORMATS)})")
    return FORMATS[format](frame)


def table(name: str, format: str = "text", folder: Path = RESULTS) -> str:
    """Return a table of the paper and, but for CSV, what it says: means over the cells done, verdicts, printed values.

    Raises
    ------
    UserError : no such table, or no such format; the nearest is suggested.
    """
    declared, frame = tables.find(name), tables.cells(name, folder)
    if format == "csv":
        return formatted(frame, format)
    done = frame[frame.scored.notna()]
    means = done.mean(numeric_only=True).to_frame(f"mean of {len(done)} done").T.head(len(done))
    text = formatted(pd.concat([frame, means]).rename_axis("image"), format)
    columns = [sentence(title, tables.summary(frame, column)) for title, column in tables.COLUMNS.items()]
    about = [f"ours: {declared.ours.what}, {declared.ours.compute}. {declared.ours.why}"]
    return "\n\n".join([declared.title + " (PSNR in dB)", text, *columns, *about, *printed(name)])


def sentence(title: str, found: dict) -> str:
    if not found["cells"]:
        return f"{title}: no cell done, {found['missing']} missing; undecided"
    means = f"{found['here']:.2f} dB, the authors' {found['authors']:.2f} on the same"
    return (
        f"{title}: {found['cells']} done, {found['missing']} missing; {means}; {difference(found)}; {found['verdict']}"
    )


def difference(found: dict | pd.Series) -> str:
    """Return a mean difference with its interval, as far as there are any."""
    if not found["cells"]:
        return "–"
    mean = f"{found['difference']:+z.2f}"
    return f"{mean} [{found['low']:+z.2f}, {found['high']:+z.2f}]" if found["cells"] > 1 else mean


def printed(name: str) -> list[str]:
    return [
        f"In the paper: {value.image}, {value.method} {value.psnr_db:.2f} dB ({value.source})"
        for value in tables.printed(name).itertuples()
    ]


def overview(format: str = "text", folder: Path = RESULTS) -> str:
    """Return the seven tables in short, in both columns."""
    return formatted(tables.overview(folder), format)


def refused(folder: Path = RESULTS) -> list[str]:
    """Return a sentence for each record of a table that does not count."""
    return [why for name in tables.TABLES for why in tables.counted(folder / name)[1]]


def answer(folder: Path = RESULTS) -> str:
    """Return the study's answer so far, in a sentence for each table begun."""
    found = tables.overview(folder)
    count = {name: found.loc[(name, "the paper's settings")] for name in tables.TABLES}
    every = {name: row.cells + row.missing for name, row in count.items()}
    begun = [
        f"- {tables.TABLES[name].title}: {difference(row)} dB over {row.cells} of {every[name]}, {row.verdict}"
        for name, row in count.items()
        if row.cells
    ]
    done = sum(row.cells for row in count.values())
    return (
        f"**Does it reproduce?** {done} of the {sum(every.values())} cells of the paper's seven tables are done with "
        "the paper's settings ([more](#results)). The mean difference from the authors' published outputs:\n"
        + "\n".join(begun)
    )


def results(folder: Path = RESULTS) -> str:
    """Return README's section of results."""
    found = tables.overview(folder)
    rows = {}
    for name, declared in tables.TABLES.items():
        paper, ours = (found.loc[(name, title)] for title in tables.COLUMNS)
        rows[f"{declared.title} (`{name}`)"] = {
            "cells": f"{paper.cells} of {paper.cells + paper.missing}",
            "the paper's settings": f"{paper.here:.2f}" if paper.cells else "–",
            "authors": f"{paper.authors:.2f}" if paper.cells else "–",
            "difference [95 %]": difference(paper),
            "verdict": paper.verdict,
            "ours − authors [95 %]": difference(ours),
            "of ours": ours.verdict,
        }
    parts = [
        "PSNR in dB on the authors' own images, means over the cells done, beside the authors' published outputs on "
        f"the same; profile `paper`. *Reproduced*: the 95 % interval of the mean difference over images lies within "
        f"±{tables.MARGIN} dB; *better* or *worse*: it lies wholly outside; else *undecided*.",
        tables.markdown(pd.DataFrame.from_dict(rows, orient="index").rename_axis("table")),
        "*Ours* is one improved rule a task, declared before its runs, that of σ = 50 after one cell by the paper's "
        "settings had been seen:\n" + "\n".join(rules()),
        far(folder),
    ]
    return "\n\n".join(parts)


def rules() -> list[str]:
    declared: dict[tuple[str, str, str], list[str]] = {}
    for table in tables.TABLES.values():
        declared.setdefault((table.ours.what, table.ours.compute, table.ours.why), []).append(f"`{table.name}`")
    return [f"- {', '.join(names)}: {rule}, {compute}. {why}" for (rule, compute, why), names in declared.items()]


def far(folder: Path) -> str:
    outlying = tables.outlying(folder)
    if outlying.empty:
        return f"No cell done is over {tables.OUTLYING} dB from the authors'."
    return f"Cells over {tables.OUTLYING} dB from the authors':\n\n" + tables.markdown(
        tables.shown(outlying).rename_axis("cell")
    )


def index(folder: Path = RESULTS) -> str:
    """Return the index: every figure and table of the paper (data/index.toml), and what became of it."""
    found, rows = tables.overview(folder), []
    for entry in tomllib.loads(ENTRIES.read_text())["entry"]:
        outcome = (
            of_table(found.loc[(entry["table"], "the paper's settings")]) if "table" in entry else of_claims(entry)
        )
        place = folder / entry.get("table", entry.get("records", "none"))
        count = len(tables.counted(place)[0])
        rows.append(
            {"in the paper": entry["place"], "what": entry["what"]}
            | dict(zip(("verdict", "profile"), outcome, strict=True))
            | {
                "notebook": ", ".join(f"[{path.stem[:2]}](../notebooks/{path.name})" for path in notebook(entry))
                or "–",
                "records": f"[{count}](results/{place.name})" if count else "–",
            }
        )
    return "\n\n".join(
        [
            "# The paper's figures and tables",
            "Written by `dip-repro report` from `data/index.toml`, the records and the notebooks as they are stored. A "
            f"table's verdict is that of the paper's settings: the 95 % interval of the mean difference lies within "
            f"±{tables.MARGIN} dB. A notebook's is that of its claims on the figure: all hold, one does not, or "
            "undecided; in small: in the profile named, on bundled images, not on the paper's.",
            tables.markdown(pd.DataFrame(rows).set_index("in the paper")) + "\n",
        ]
    )


def of_table(found: pd.Series) -> tuple[str, str]:
    if not found.cells:
        return "not attempted", "–"
    return f"{found.verdict}, {found.cells} of {found.cells + found.missing} cells", "paper"


@dataclass(frozen=True)
class Chapter:
    """What a notebook, as it is stored, says of itself.

    `place` is where the paper speaks of it, and `claim` what it says there; `figure` is the first that the notebook
    saves; `holds` is its closing table, judged in `profile`.
    """

    path: Path
    title: str
    place: str
    claim: str
    figure: Path
    profile: str
    holds: dict[str, str]

    @property
    def verdict(self) -> str:
        counts = Counter(self.holds.values())
        said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("yes", "no", "undecided") if counts[outcome])
        return f"{said} (profile {self.profile})"


def chapter(path: Path) -> Chapter:
    """Read a notebook's title, the paper's claim, its first figure and its closing table."""
    cells = json.loads(path.read_bytes())["cells"]
    title, about = "".join(cells[0]["source"]).split("\n\n")[:2]
    place, claim = re.findall(r"(?:\*\*The paper's claim\*\*(?: \((.*?)\))?: )?(.*)", about, re.DOTALL)[0]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    source = "\n".join("".join(cell["source"]) for cell in code)
    return Chapter(
        path,
        f"{path.stem[:2]} {re.sub(r'^#[ 0-9.·]*', '', title)}",
        place or "not in the paper",
        claim[0].upper() + " ".join(claim.split())[1:],
        ROOT / "figures" / (re.findall(f'"({path.stem[:2]}-[\\w-]+)"', source)[0] + ".png"),
        re.findall(r'^profile = "(\w+)"', source, re.MULTILINE)[0],
        ast.literal_eval("".join(code[-1]["outputs"][-1]["data"]["text/plain"])),
    )


def notebooks() -> list[Path]:
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def contents() -> str:
    """Return the notebooks' contents: of each a picture, and the paper's place and claim; then what did not hold."""
    parts = [
        "# The notebooks",
        "Written by `dip-repro report` from the notebooks as they are stored: where the paper speaks of each, what it "
        "claims there, and how many of this study's claims on it hold. Last, every claim that did not.",
    ]
    chapters = [chapter(path) for path in notebooks()]
    for one in chapters:
        picture = f'<img src="../figures/{one.figure.name}" alt="{one.title}" width="480">'
        parts += [
            f"## [{one.title}]({one.path.name})",
            f"[{picture}]({one.path.name})",
            f"*In the paper*: {one.place}. *Claims*: {one.verdict}.",
            one.claim,
        ]
    failed = [
        {"claim": claim.statement, "the paper": claim.paper, "notebook": f"[{one.title}]({one.path.name})"}
        for one in chapters
        for claim in claims.of(one.path.stem[:2])
        if one.holds.get(claim.id) == "no"
    ]
    parts += ["## What did not hold", tables.markdown(pd.DataFrame(failed).set_index("claim")) + "\n"]
    return "\n\n".join(parts)


def of_claims(entry: dict) -> tuple[str, str]:
    """Return the verdict on an entry, and its profile, by its claims in the stored closing table of its notebook."""
    for found in map(chapter, notebook(entry)):
        if "claims" not in entry:
            return "in small, shown and not judged", "laptop"
        outcomes = {found.holds[name] for name in entry["claims"]}
        small = "" if found.profile == "paper" else " in small"
        if outcomes == {"yes"}:
            return f"reproduced{small}", found.profile
        return f"not reproduced{small}" if "no" in outcomes else "undecided", found.profile
    return "not attempted", "–"


def notebook(entry: dict) -> list[Path]:
    """Return the path of an entry's notebook, none where it has none yet."""
    return sorted(NOTEBOOKS.glob(f"{entry['notebook']}_*.ipynb")) if "notebook" in entry else []


def worth(row: pd.Series) -> str:
    return f"{row.effect:+z.2f} [{row.low:+z.2f}, {row.high:+z.2f}]{'*' if row.p < 0.05 else ''} {row.task}"


def frozen(entry: dict) -> str:
    """Return the reading chosen, in words; one that is chosen for an experiment alone stands beside the base."""
    if entry["chosen"] == ambiguities.BASE:
        return entry["base"]
    return f"{entry['chosen']} in {entry['where']}, else {entry['base']}" if "where" in entry else entry["chosen"]


def ranked(effects: pd.DataFrame) -> list[tuple[dict, pd.DataFrame]]:
    """Return each ambiguity with its rows of `ambiguities.effects`, the one of the largest effect first."""
    groups = dict(iter(effects.groupby(effects.reading.map(lambda name: name.partition("/")[0]), sort=False)))
    entries = [entry for entry in ambiguities.DECLARATION["ambiguity"] if entry["name"] in groups]
    return sorted(
        ((entry, groups[entry["name"]]) for entry in entries), key=lambda pair: pair[1].effect.abs().max(), reverse=True
    )


def most_that_matter(folder: Path = RESULTS, most: int = 5) -> str:
    """Return README's section on the ambiguities that matter most."""
    effects, wide = ambiguities.effects(folder), ambiguities.effects(folder, wide=True)
    if effects.empty:
        return "The study has not been run yet: `dip-repro run study --profile laptop --workers 4 --no-figure`."
    rows = {}
    for entry, group in ranked(effects)[:most]:
        again = wide[wide.reading.isin(group.reading)]
        rows[entry["question"].partition(". ")[2]] = {
            "frozen reading": frozen(entry),
            "the other": ", ".join(dict.fromkeys(name.partition("/")[2] for name in group.reading)),
            "is worth, dB [95 %]": "<br>".join(worth(row) for row in group.itertuples()),
            "with the paper's widths": "<br>".join(worth(row) for row in again.itertuples()) or "–",
        }
    iterations = ambiguities.DECLARATION["base"]["settings"]["iterations"]
    return "\n\n".join(
        [
            f"The {most} of {len(ranked(effects))} that matter most, from paired runs of {iterations} iterations at "
            f"64² on {len(ambiguities.DECLARATION['images'])} bundled images, none of which is in the paper's tables, "
            f"and {len(ambiguities.DECLARATION['seeds'])} seeds. Below zero: the other reading is worse than the base. "
            f"*: p < 0.05 after Holm's correction over {len(effects)} rows.",
            tables.markdown(pd.DataFrame.from_dict(rows, orient="index").rename_axis("the text leaves open")),
            "All of them, what was expected of each, and a guide for who implements the method from the paper: "
            "[`data/GUIDE.md`](data/GUIDE.md), [notebook 08](notebooks/08_ambiguities.ipynb).",
        ]
    )


def guide(folder: Path = RESULTS) -> str:
    """Return the guide: every ambiguity, the one worth most first."""
    effects, wide, parts = ambiguities.effects(folder), ambiguities.effects(folder, wide=True), []
    for place, (entry, group) in enumerate(ranked(effects), 1):
        again = wide[wide.reading.isin(group.reading)]
        lines = [
            f"- {row.reading.partition('/')[2]}: {worth(row)}; peaks differ by {row.peak:+z.2f} dB and "
            f"{row.later:+z.0f} iterations; an effect of {row.least:.2f} dB would have been seen"
            for row in group.itertuples()
        ] + [f"- {row.reading.partition('/')[2]}, with the paper's widths: {worth(row)}" for row in again.itertuples()]
        parts += [
            f"## {place}. {entry['question'].partition('. ')[2]}",
            f"The text, in short: {entry['sentence']} Take: **{frozen(entry)}**. {entry['why']}",
            "\n".join(lines),
            f"Expected: {entry['expected']}",
        ]
    return (
        "\n\n".join(
            [
                "# If you implement this from the paper",
                "Written by `dip-repro report` from `data/study.toml` and the records of the study. The open choices "
                "in the order of what they are worth: dB against the base of the study, with the 95 % interval over "
                "images and the task; * where p < 0.05 after Holm's correction. Small networks, small images, bundled "
                "pictures: profile `laptop`. An effect that cannot be told from nothing has its interval all the same.",
                *parts,
            ]
        )
        + "\n"
    )


def laptop(folder: Path = RESULTS) -> str:
    """Return what every restoration came to in profile `laptop`, beside what needs no network."""
    return "\n\n".join(
        [
            "# At laptop size",
            "Written by `dip-repro report` from the records of profile `laptop`: bundled pictures, the paper's "
            "networks, minutes to an hour each on one core. PSNR in dB; *ours* is the image that the run is scored by, "
            f"*baseline* the best of those that need no network; level: within {tables.MARGINAL} dB. Flash is beside a "
            "guided filter of middling strength; set by the truth, that filter does as well as ours in small (notebook "
            "06). The enhancement has no truth to be scored by; notebook 07 has it beside its baselines.",
            tables.markdown(tables.shown(tables.beside_baselines(folder=folder)).rename_axis("run")) + "\n",
        ]
    )


def write() -> tuple[Path, ...]:
    """Write what of README is generated and the pages beside; score first what pairs and baselines have come."""
    tables.score_pairs()
    tables.score_baselines()
    readme = README.read_text()
    for (begin, end), section in SECTIONS.items():
        before, _, rest = readme.partition(begin)
        readme = f"{before}{begin}\n{section()}\n{end}{rest.partition(end)[2]}"
    pages = {README: readme, INDEX: index(), GUIDE: guide(), LAPTOP: laptop(), CONTENTS: contents()}
    for path, text in pages.items():
        with written_whole(path) as partial:
            partial.write_text(text)
    return tuple(pages)


SECTIONS = {
    ("<!-- answer: written by dip-repro report -->", "<!-- end of answer -->"): answer,
    ("<!-- results: written by dip-repro report -->", "<!-- end of results -->"): results,
    ("<!-- ambiguities: written by dip-repro report -->", "<!-- end of ambiguities -->"): most_that_matter,
}
