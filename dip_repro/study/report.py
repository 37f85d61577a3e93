"""What the records say, as text: tables for the command line, and the pages, from the templates of data/templates."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dip_repro.runtime import DATA, ROOT, written_whole
from dip_repro.study import claims, published, tables
from dip_repro.study.experiments import ambiguities, library_2017, lookup
from dip_repro.study.results import MARGIN, ROUNDING, interval, of, precisions
from dip_repro.study.runs import RESULTS

FORMATS = {
    "text": lambda frame: tables.shown(frame).to_string(),
    "markdown": lambda frame: tables.markdown(tables.shown(frame)),
    "csv": lambda frame: frame.round(4).to_csv().rstrip("\n"),
}
README, CONTENTS = ROOT / "README.md", ROOT / "notebooks" / "README.md"
INDEX, GUIDE, LAPTOP, FULL = (DATA / f"{name}.md" for name in ("INDEX", "GUIDE", "LAPTOP", "RESULTS"))
FRONT_PAGE = "immunohistochemistry"  # the photo of README
HISTORY = ROOT / "docs" / "history.md"
OF_2017, TODAY, OURS = tables.COLUMNS
LIBRARIES = {column.partition(", ")[2]: column for column in (OF_2017, TODAY)}
WHOSE = {"paper": "The paper's", "study": "This study's"}
CELL = ("freeze", "seed", "precision", "iterations", "seconds", "stopped")


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
    rule = f"The improved rule: {declared.ours.what}, {declared.ours.compute}. {declared.ours.why}"
    printed = [
        f"In the paper: {value.image}, {value.method} {value.psnr_db:.2f} dB ({value.source})"
        for value in tables.printed(name).itertuples()
    ]
    return "\n\n".join([declared.title + " (PSNR in dB)", text, *columns, rule, *printed])


def sentence(title: str, found: dict) -> str:
    """Return `tables.judged` in words."""
    if not found["cells"]:
        return f"{title}: {found['verdict']}, {found['missing']} cells missing"
    said = tables.said(found)
    means = f"{said['here']} dB, the authors' {said['authors']} on the same images"
    return f"{title}: {found['verdict']}, {said['cells']} cells; {means}; {said['difference [95 %]']}"


def overview(format: str = "text", folder: Path = RESULTS) -> str:
    """Return the seven tables in short, in every column."""
    return formatted(tables.overview(folder), format)


def refused(folder: Path = RESULTS) -> list[str]:
    """Return a sentence for each record of a table that does not count."""
    return [why for name in tables.TABLES for why in tables.counted(name, folder)[1]]


# What the templates ask for. Each takes the folder of records as its last argument.


def how_many(column: str, folder: Path) -> str:
    """Return how many cells of a column are done, and the words for its tables."""
    judged = [tables.judged(name, column, folder) for name in tables.TABLES]
    found = pd.DataFrame(judged)
    words = ", ".join(f"{count} {word}" for word, count in found.verdict.value_counts().items())
    title = next(title for title, score in tables.COLUMNS.items() if score == column).partition(", ")[2]
    return f"{found.cells.sum()} of {(found.cells + found.missing).sum()} cells with {title} (tables: {words})"


def claimed(whose: str, folder: Path) -> str:
    """Return the verdicts on the claims of the "paper" or of the "study", counted."""
    every = claims.all_verdicts()
    return claims.in_words(every.holds[every.whose == whose])


def scale_of_2017(folder: Path) -> pd.DataFrame:
    """Return what batch norm's scale from U(0, 1) is worth with the paper's widths: rows of `ambiguities.again`."""
    return ambiguities.again(folder).query("reading == 'norm-scale/U(0, 1)'")


def photos(folder: Path) -> pd.DataFrame:
    """Return `tables.photos` where both settings are measured."""
    return tables.photos(folder).dropna()


def verdicts(column: str, folder: Path) -> pd.DataFrame:
    """Return the verdicts on the seven tables by one of `tables.COLUMNS`, with all that stands beside them."""
    rows = {table.title: tables.said(tables.judged(name, column, folder)) for name, table in tables.TABLES.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("table")


def in_short(name: str, column: str, folder: Path) -> str:
    """Return the verdict on a table with its count, its mean difference to the authors and the interval of that."""
    said = tables.said(tables.judged(name, tables.COLUMNS[column], folder))
    word = f"{said['verdict']}, {said['cells']} cells"
    return word if said["here"] == "–" else f"{word}: {said['difference [95 %]']} dB"


def in_a_sentence(folder: Path) -> list[str]:
    """Return a sentence for each table: the verdict with each library, the count of cells, the mean, its interval."""

    def words(name: str, title: str, column: str) -> str:
        said = tables.said(tables.judged(name, tables.COLUMNS[column], folder))
        found = f"*{said['verdict']}* with {title}"
        if said["here"] == "–":
            return found
        return f"{found} ({said['cells']} cells, mean difference {said['difference [95 %]']} dB)"

    return [
        f"**{table.title}**: {'; '.join(words(name, *library) for library in LIBRARIES.items())}."
        for name, table in tables.TABLES.items()
    ]


def single_cells(folder: Path) -> pd.DataFrame:
    """Return every finished cell with the paper's settings, how it was made and how it ended."""
    every, start = tables.CELLS | tables.OF_2017, library_2017.FOLDER
    names = [f"{folder_of}{name}" for folder_of in (start, "") for name in tables.TABLES]
    found = pd.concat({name: of(every[name], folder) for name in names}, names=["table", "image"])
    found["authors"] = pd.concat({name: tables.cells(name.removeprefix(start), folder).authors for name in names})
    found["difference"] = found.scored - found.authors
    return found.dropna(subset="key")[["scored", "authors", "difference", *CELL]]


def rules(folder: Path = RESULTS) -> list[tuple[tables.Rule, list[str]]]:
    """Return each improved rule of this study, with the names of its tables."""
    names: dict[tables.Rule, list[str]] = {}
    for table in tables.TABLES.values():
        names.setdefault(table.ours, []).append(f"`{table.name}`")
    return list(names.items())


def history(names: list[str], folder: Path = RESULTS) -> list:
    """Return what docs/history.md says of the improved rules of these tables: date, commit, declared, seen."""
    lines = [line.strip("| ").split(" | ") for line in HISTORY.read_text(encoding="utf-8").splitlines()]
    rows = [line for line in lines if len(line) == 4 and "the improved rule for" in line[2]]
    found = pd.DataFrame(rows, columns=["date", "commit", "declared", "seen"])
    return [row for row in found.itertuples() if any(name in str(row.declared) for name in names)]


@functools.cache
def entries() -> list[dict]:
    """Return the figures and tables of the paper, as data/index.toml has them."""
    return tomllib.loads((DATA / "index.toml").read_text(encoding="utf-8"))["entry"]


@functools.cache
def book() -> list[dict]:
    """Return the parts of the book, as data/book.toml has them."""
    return tomllib.loads((DATA / "book.toml").read_text(encoding="utf-8"))["part"]


def parts(folder: Path = RESULTS) -> list[tuple[str, list[dict[str, str]]]]:
    """Return the title of each part of the book, such as "I. Your photo", with its notebooks."""
    numbered = zip(("I", "II", "III", "IV"), book(), strict=True)
    return [
        (f"{number}. {part['title']}", [one for one in notebooks() if one["name"] in part["notebooks"]])
        for number, part in numbered
    ]


@functools.cache
def notebooks(folder: Path = RESULTS) -> list[dict[str, str]]:
    """Return what each notebook says of itself: number, file, title, place in the paper, claim, first figure.

    And its `sentence` of data/book.toml.
    """
    found, sentences = [], {name: said for part in book() for name, said in part["notebooks"].items()}
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        sources = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
        heading, _, text = sources[0].partition("\n\n")
        said = re.match(r"\*\*The paper's claim\*\*(?: \(([^)]*)\))?: (.*)", text.partition("\n\n")[0], re.DOTALL)
        place, claim = said.groups() if said else (None, text.partition("\n\n")[0])
        name = path.stem[3:]
        figure = re.findall(rf', "({name.replace("_", "-")}-[\w-]+)"\)', "\n".join(sources))[0]
        found.append(
            {
                "number": path.name[:2],
                "name": name,
                "file": path.name,
                "title": heading.lstrip("# 0123456789."),
                "figure": figure,
                "sentence": sentences[name],
            }
            | {"place": place or "not in the paper", "claim": claim[0].upper() + claim[1:].replace("\n", " ")}
        )
    return found


def ledgers(name: str, folder: Path) -> str:
    """Return the verdicts on the claims of a notebook in words: the paper's, then the study's own."""
    judged, whose = claims.verdicts(name), {claim.id: claim.whose for claim in claims.of(name)}
    groups = {WHOSE[of]: group for of, group in judged.groupby(judged.index.map(whose))}
    return " ".join(f"*{of} claims*: {claims.counted(group)}." for of, group in groups.items())


def claims_with(verdicts: tuple[str, ...], folder: Path) -> pd.DataFrame:
    """Return every claim whose verdict is one of these."""
    rows = [
        {
            "claim": claim.statement,
            "whose": WHOSE[claim.whose],
            "the paper": claim.paper,
            "here": judged.here[claim.id],
            "verdict": judged.holds[claim.id],
            "notebook": f"[{book['number']} {book['title']}]({book['file']})",
        }
        for book in notebooks()
        for judged in [claims.verdicts(book["name"])]
        for claim in claims.of(book["name"])
        if judged.holds[claim.id] in verdicts
    ]
    return pd.DataFrame(rows).set_index("claim") if rows else pd.DataFrame()


def index_rows(folder: Path) -> pd.DataFrame:
    """Return every figure and table of the paper, and what became of it."""
    rows = []
    links = {book["name"]: f"[{book['number']}](../notebooks/{book['file']})" for book in notebooks()}
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
    return pd.DataFrame(rows).set_index("in the paper")


def of_table(name: str, folder: Path) -> tuple[str, str]:
    """Return the verdicts on a table by both libraries, and what they were judged on."""
    words = (f"{title}: {in_short(name, column, folder)}" for title, column in LIBRARIES.items())
    return "; ".join(words), "the paper's images"


def of_claims(entry: dict) -> tuple[str, str]:
    """Return the verdicts on all that the paper claims of an entry, and what they were judged on."""
    if "notebook" not in entry:
        return "not attempted", "–"
    if "claims" not in entry:
        return "not judged", "a stand-in"
    found = claims.all_verdicts().loc[entry["claims"]]
    return claims.in_words(found.holds), f"a stand-in, {', '.join(found['judged on'].unique())}"


def questions(folder: Path) -> list[tuple[str, list[tuple[dict, pd.DataFrame, pd.DataFrame]]]]:
    """Return the questions by their number, each with its entries of data/study.toml.

    Beside an entry stand its rows of `ambiguities.effects` and of `ambiguities.again`; both have the reading as `name`.
    """
    both = (ambiguities.effects(folder), ambiguities.again(folder))
    found: dict[str, list[tuple[dict, pd.DataFrame, pd.DataFrame]]] = {}
    for entry in ambiguities.declaration()["ambiguity"]:
        names = {
            label: entry.get("words", {}).get(reading, reading)
            for label, reading in zip(ambiguities.labels(entry), entry["readings"], strict=True)
        }
        effects, wide = (frame.assign(name=frame.reading.map(names)).dropna(subset="name") for frame in both)
        if len(effects):
            found.setdefault(ambiguities.number(entry), []).append((entry, effects, wide))
    return sorted(found.items(), key=lambda one: [(int(n), rest) for n, rest in re.findall(r"(\d+)(\D*)", one[0])])


def listed(folder: Path) -> dict[str, list[str]]:
    """Return a sentence for each question of the study, by `ambiguities.LISTS`: its effects, and the released code."""
    found = ambiguities.judged(folder)
    entries = {ambiguities.number(entry): entry for entry in reversed(ambiguities.declaration()["ambiguity"])}
    sentences: dict[str, list[str]] = {word: [] for word in ambiguities.LISTS}
    for (word, number), rows in found.groupby(["list", "number"], sort=False, observed=True):
        worths = "; ".join(
            f"{tables.with_interval(row.effect, row.low, row.high)} dB in {row.task} ({measured_at(row)})"
            for row in rows.assign(task=rows.task.map(ambiguities.task_in_words)).itertuples()
        )
        entry, other = entries[number], " or ".join(f"*{words}*" for words in rows.words.unique())
        said = f"**{number}. {rows.question.iloc[0]}**: {other} in place of *{entry['base']}* is worth {worths}."
        sentences[word].append(
            said + (f" The released code: {entry['code']}." if word != ambiguities.LISTS[-1] else "")
        )
    return sentences


def turned(folder: Path) -> str:
    """Return in words which effects on a task have another sign with the paper's widths than in the small study."""
    found = ambiguities.judged(folder)
    other = found[(found.effect * found.small < 0) & (found.effect.abs() >= 0.05)]
    names = [f"{row.number} ({row.task}, {row.small:+z.2f} and {row.effect:+z.2f} dB)" for row in other.itertuples()]
    return (
        f"The sign differs between the two sizes for {', '.join(names)}."
        if names
        else "No sign differs between the two."
    )


def measured_at(row) -> str:
    """Return the size of the runs that an effect is of; where they are larger ones, the small study's effect too."""
    small = ambiguities.WHERE[ambiguities.STUDY]
    return row.where if row.where == small else f"{row.where}; {row.small:+z.2f} at {small}"


def blind(page: str, folder: Path) -> str:
    """Return what became of the readings that were chosen before anything of the released code was known."""
    counts, found = ambiguities.blind(), ambiguities.differing(folder)
    plural = {"agrees": "agree", "differs": "differ"}
    said = ", ".join(f"{count} {plural.get(outcome, outcome)}" for outcome, count in counts.items())
    resolved = found[found.resolved].reading.nunique()
    return (
        f"Of the {counts.sum()} readings chosen from the text alone, compared with the released code: {said}. Of what "
        f"those that differ are worth, {resolved} of {found.reading.nunique()} are resolved on some task ([each with "
        f"its interval]({page}#where-the-released-code-differs))."
    )


def differing(folder: Path) -> pd.DataFrame:
    """Return what each reading of the released code that differs from the one chosen is worth."""
    rows = {
        (ambiguities.in_words(row.reading), row.task, row.size): {
            "effect in dB [95 %]": tables.with_interval(row.effect, row.low, row.high),
            "resolved?": how_sure(row),
        }
        for row in ambiguities.differing(folder).itertuples()
    }
    index = pd.MultiIndex.from_tuples(rows, names=["the released code's reading", "task", "measured at"])
    return pd.DataFrame(list(rows.values()), index)


# How the templates show it.


def worth(row) -> str:
    """Return an effect with its interval and task; a star where it is significant."""
    effect = tables.with_interval(row.effect, row.low, row.high)
    return f"{effect} dB{'*' if row.p < 0.05 else ''} in {ambiguities.task_in_words(row.task)}"


def best_moment(row) -> str:
    """Return in words how the best moments of the curves differ, which only the truth tells."""
    peak = tables.with_interval(row.peak, row.peak_low, row.peak_high)
    return f"at the best moment of each {peak} dB, {row.later:+z.0f} iterations"


def how_sure(row) -> str:
    """Return in words how sure an effect is: an effect below the smallest that the test finds is never called none."""
    if row.resolved:
        return "resolved"
    if not row.least:
        return "every pair is equal: at this length it changes nothing"
    if row.low > 0 or row.high < 0:
        return "not resolved after Holm's correction, though its own interval excludes 0"
    return f"not resolved; an effect of {row.least:.2f} would have been found"


def frozen(entry: dict) -> str:
    """Return the chosen reading of an ambiguity in words; where it holds for one experiment only, the base too."""
    if entry["chosen"] == ambiguities.BASE:
        return entry["base"]
    where = " and ".join(entry.get("where", ()))
    return f"{entry['chosen']} in {where}, else {entry['base']}" if where else entry["chosen"]


def in_db(mean: float, low: float, high: float) -> str:
    """Return an effect and its interval as README has them."""
    return f"{mean:+z.1f} dB [{low:+z.1f}, {high:+z.1f}]"


FILTERS = {
    "table": lambda frame: tables.markdown(tables.shown(frame)) if len(frame) else "none.",
    "in_db": lambda row: in_db(row.effect, row.low, row.high),
    "mean_in_db": lambda values: in_db(*interval(values)),
    **{"worth": worth, "best_moment": best_moment, "frozen": frozen, "question": ambiguities.question},
}
ASKED = (
    *(how_many, claimed, scale_of_2017, photos, verdicts, in_a_sentence, single_cells, rules, history, parts),
    *(
        ledgers,
        claims_with,
        index_rows,
        questions,
        listed,
        turned,
        blind,
        differing,
        ambiguities.effects,
        ambiguities.judged,
    ),
    *(precisions, tables.outlying, tables.yardsticks, tables.black_pixels, tables.beside_baselines),
)
CONSTANTS = {
    "ROUNDING": ROUNDING,
    "FAILED": claims.FAILED,
    "FRONT_PAGE": FRONT_PAGE,
    "MARGIN": MARGIN,
    "OUTLYING": tables.OUTLYING,
    "LEVEL": tables.LEVEL,
    "SMALL": ambiguities.SMALL,
    "LARGE": f"{ambiguities.LARGE:g}",
}


def page(name: str, folder: Path = RESULTS) -> str:
    """Return a page, or a section of README, from its template and the records below `folder`."""
    found = Environment(
        loader=FileSystemLoader(DATA / "templates", encoding="utf-8"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= FILTERS
    asked: dict[str, Callable] = {function.__name__: functools.partial(function, folder=folder) for function in ASKED}
    text = found.get_template(f"{name}.md").render(asked | CONSTANTS | {"declaration": ambiguities.declaration})
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def write() -> tuple[Path, ...]:
    """Write the generated sections of README and the pages that are generated, and return their paths.

    First what needs the paper's images is measured, where it is not stored yet.
    """
    tables.score_derived()
    published.write()
    readme = README.read_text(encoding="utf-8")
    for (begin, end), name in SECTIONS.items():
        before, _, rest = readme.partition(begin)
        readme = f"{before}{begin}\n{page(name)}{end}{rest.partition(end)[2]}"
    for path, text in {README: readme, **{path: page(name) for path, name in PAGES.items()}}.items():
        with written_whole(path) as partial:
            partial.write_text(text, encoding="utf-8")
    return (README, *PAGES)


PAGES = {path: path.stem for path in (INDEX, GUIDE, FULL, LAPTOP)} | {CONTENTS: "contents"}
SECTIONS = {
    (f"<!-- {name}: written by dip-repro study report -->", f"<!-- end of {name} -->"): f"readme-{name}"
    for name in ("picture", "answers", "book")
}
