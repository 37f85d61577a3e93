"""The claims of the study (data/claims.toml), and the verdicts on them; of one fit they are shown, or not shown."""

from __future__ import annotations

import functools
import json
import math
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dip_repro.runtime import CHECKOUT, DATA, UserError, written_whole

CLAIMS = DATA / "claims.toml"
OUTCOMES = ("yes", "shown", "no", "not shown", "not applicable", "undecided")
FAILED = ("no", "not shown")
VERDICTS = (
    DATA / "verdicts" if CHECKOUT else Path("verdicts")
)  # one file for each notebook, written by its closing cell
Measured = float | tuple[float, float]  # a number, or an interval
Quantities = dict[str, Measured]  # by name


def ends(value: Measured) -> tuple[float, float]:
    """Return the two ends of an interval; of a number, the number twice."""
    return value if isinstance(value, tuple) else (value, value)


class Whole(pd.DataFrame):
    """A table whose sentences are shown whole, however long."""

    def __repr__(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return super().__repr__()

    def _repr_html_(self) -> str | None:
        with pd.option_context("display.max_colwidth", None):
            return super()._repr_html_()


@dataclass(frozen=True)
class Claim:
    """A claim: the measured `quantity` is at least, or at most, a bound. Committed records decide it, the evidence.

    paper : where the paper says so, or its number.
    judged_on : "bundled pictures" at full size, "the paper's images", or another size where no larger record exists.
    whose : "paper", where the paper says it; "study", where it is this study's own.
    fits : 1 where it rests on the fit of one picture; 0: on several, or on an interval.
    margin : how far rounding alone moves the quantity in the small live run. None: the live run cannot judge it.
    """

    id: str
    notebook: str
    statement: str
    paper: str
    quantity: str
    judged_on: str
    whose: str
    fits: int = 0
    at_least: float = -math.inf
    at_most: float = math.inf
    margin: float | None = None

    def judge(self, value: Measured | None, margin: float = 0.0) -> str:
        """Return one of `OUTCOMES`. Undecided: the bound lies in the interval, or nearer than `margin`.

        Not applicable: a condition of the claim is not met, which NaN says.
        """
        if value is None:
            return "undecided"
        low, high = ends(value)
        if math.isnan(low + high):
            return "not applicable"
        if self.at_least + margin <= low and high <= self.at_most - margin:
            return "shown" if self.fits == 1 else "yes"
        if high >= self.at_least - margin and low <= self.at_most + margin:
            return "undecided"
        return "not shown" if self.fits == 1 else "no"


@functools.cache
def every() -> list[Claim]:
    """Return all claims: those of data/claims.toml, then those that stand beside an experiment, as its CLAIMS."""
    from dip_repro.study import experiments  # which may hold claims

    found = [Claim(**entry) for entry in tomllib.loads(CLAIMS.read_text(encoding="utf-8"))["claim"]]
    return found + [claim for module in experiments.modules() for claim in getattr(module, "CLAIMS", ())]


def of(notebook: str) -> list[Claim]:
    """Return the claims of a notebook, by its name ("start_here")."""
    found = [claim for claim in every() if claim.notebook == notebook]
    if not found:
        raise UserError(f"{CLAIMS.name} holds no claim of notebook {notebook}")
    return found


def table(notebook: str, evidence: Quantities, live: Quantities, size: str) -> Whole:
    """Return the verdicts on the claims of a notebook, indexed by their names.

    Columns: claim; paper; here, what the records measure; judged on; holds; live, the verdict of the small live run,
    which decides nothing.

    evidence, live : what the records and the live run measure.
    size : what the bundled pictures of the records are, such as "256 × 256".
    """
    rows = {}
    for claim in of(notebook):
        value = evidence.get(claim.quantity)
        rows[claim.id] = {
            "claim": claim.statement,
            "paper": claim.paper,
            "here": shown(value, bounds=(claim.at_least, claim.at_most)),
            "judged on": size if claim.judged_on == "bundled pictures" else claim.judged_on,
            "holds": claim.judge(value),
            "live": "–" if claim.margin is None else claim.judge(live.get(claim.quantity), claim.margin),
        }
    return Whole(pd.DataFrame.from_dict(rows, orient="index"))


def shown(value: Measured | None, bounds: tuple[float, ...] = ()) -> str:
    """Return a measured value with two decimals; with three where two would show a bound that it does not have.

    NaN is where a condition of the claim is not met.
    """
    if value is None:
        return "not measured"
    if any(map(math.isnan, ends(value))):
        return "not applicable"
    places = 3 if any(end != bound and round(end, 2) == bound for end in ends(value) for bound in bounds) else 2
    low, high = (f"{end:.{places}f}" for end in ends(value))
    return low if low == high else f"{low} to {high}"


def conclude(notebook: str, evidence: Quantities, live: Quantities, size: str) -> Whole:
    """Return `table`, and write its verdicts to data/verdicts: the closing call of a notebook."""
    judged = table(notebook, evidence, live, size)
    verdicts = judged[["here", "judged on", "holds"]].to_dict(orient="index")
    with written_whole(VERDICTS / f"{notebook}.json") as partial:
        partial.write_text(json.dumps(verdicts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return judged


def verdicts(notebook: str) -> pd.DataFrame:
    """Return what the closing call of a notebook wrote, indexed by the names of its claims: here, judged on, holds.

    Raises
    ------
    UserError : it has not been run.
    """
    path = VERDICTS / f"{notebook}.json"
    if not path.exists():
        raise UserError(f"{path}: no verdicts of notebook {notebook} yet; run it, or `make figures`")
    return pd.DataFrame.from_dict(json.loads(path.read_text(encoding="utf-8")), orient="index")


def all_verdicts() -> pd.DataFrame:
    """Return `verdicts` of every notebook that has claims, with whose each claim is."""
    found = pd.concat([verdicts(number) for number in sorted({claim.notebook for claim in every()})])
    return found.assign(whose=pd.Series({claim.id: claim.whose for claim in every()}))


def counted(judged: pd.DataFrame) -> str:
    """Return how many claims hold, by what they were judged on: "3 yes, 1 no (judged on 256 × 256)"."""
    return "; ".join(
        f"{in_words(of_size.holds)} (judged on {size})" for size, of_size in judged.groupby("judged on", sort=False)
    )


def in_words(holds: pd.Series) -> str:
    """Return how often each of `OUTCOMES` occurs, such as "3 yes, 1 no"."""
    return ", ".join(f"{n} {outcome}" for outcome, n in Counter(sorted(holds, key=OUTCOMES.index)).items())
