"""The claims of the study (data/claims.toml), and the verdicts on them: yes, no or undecided."""

from __future__ import annotations

import json
import math
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dip_repro.runtime import CHECKOUT, DATA, UserError, written_whole

CLAIMS = DATA / "claims.toml"
OUTCOMES = ("yes", "no", "undecided")
VERDICTS = (
    DATA / "verdicts" if CHECKOUT else Path("verdicts")
)  # one file for each notebook, written by its closing cell
Measured = float | tuple[float, float]  # a number, or an interval
Quantities = dict[str, Measured]  # by name


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
    """A claim: the measured `quantity` is at least, or at most, a bound. It is judged in `profiles` only.

    paper : where the paper says so, or its number.
    margin : how far rounding alone moves the quantity of a quick run. Nearer to a bound than that, it is undecided.
    """

    id: str
    notebook: str
    statement: str
    paper: str
    quantity: str
    profiles: tuple[str, ...]
    at_least: float = -math.inf
    at_most: float = math.inf
    margin: float = 0.0

    def judge(self, value: Measured | None, profile: str) -> str:
        """Return yes, no or undecided. An interval that holds the bound is undecided; NaN is a no.

        The margin is for quick runs: other profiles are judged on committed records, which do not move.
        """
        if value is None or profile not in self.profiles:
            return "undecided"
        low, high = value if isinstance(value, tuple) else (value, value)
        if math.isnan(low) or math.isnan(high):
            return "no"
        margin = self.margin if profile == "quick" else 0.0
        if self.at_least + margin <= low and high <= self.at_most - margin:
            return "yes"
        return "no" if high < self.at_least - margin or low > self.at_most + margin else "undecided"


def of(notebook: str) -> list[Claim]:
    """Return the claims of a notebook, by its number ("00")."""
    declared = tomllib.loads(CLAIMS.read_text(encoding="utf-8"))["claim"]
    found = [
        Claim(**entry | {"profiles": tuple(entry["profiles"])}) for entry in declared if entry["notebook"] == notebook
    ]
    if not found:
        raise UserError(f"{CLAIMS.name} holds no claim of notebook {notebook}")
    return found


def table(notebook: str, profile: str, measured: Quantities, laptop: Quantities | None = None) -> Whole:
    """Return the verdicts on the claims of a notebook, indexed by their names: claim, paper, here, profile, holds.

    laptop : what its committed records of that profile measure. Claims that do not speak of `profile` are judged on it.
    """
    rows = {}
    for claim in of(notebook):
        judged, values = profile, measured
        if laptop is not None and profile not in claim.profiles and "laptop" in claim.profiles:
            judged, values = "laptop", laptop
        value = values.get(claim.quantity)
        rows[claim.id] = {
            "claim": claim.statement,
            "paper": claim.paper,
            "here": shown(value),
            "profile": judged,
            "holds": claim.judge(value, judged),
        }
    return Whole(pd.DataFrame.from_dict(rows, orient="index"))


def shown(value: Measured | None) -> str:
    """Return a measured value with two decimals."""
    if value is None:
        return "not measured"
    return f"{value[0]:.2f} to {value[1]:.2f}" if isinstance(value, tuple) else f"{value:.2f}"


def conclude(notebook: str, profile: str, measured: Quantities, laptop: Quantities | None = None) -> Whole:
    """Return `table`, and write its verdicts to data/verdicts: the closing call of a notebook."""
    judged = table(notebook, profile, measured, laptop)
    verdicts = judged[["here", "profile", "holds"]].to_dict(orient="index")
    with written_whole(VERDICTS / f"{notebook}.json") as partial:
        partial.write_text(json.dumps(verdicts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return judged


def verdicts(notebook: str) -> pd.DataFrame:
    """Return what the closing call of a notebook wrote, indexed by the names of its claims: here, profile, holds.

    Raises
    ------
    UserError : it has not been run.
    """
    path = VERDICTS / f"{notebook}.json"
    if not path.exists():
        raise UserError(f"{path}: no verdicts of notebook {notebook} yet; run it, or `make figures`")
    return pd.DataFrame.from_dict(json.loads(path.read_text(encoding="utf-8")), orient="index")


def counted(judged: pd.DataFrame) -> str:
    """Return how many claims hold, by profile: "3 yes, 1 no (profile quick)"."""
    return "; ".join(
        ", ".join(
            f"{count} {outcome}" for outcome, count in Counter(sorted(of_profile.holds, key=OUTCOMES.index)).items()
        )
        + f" (profile {profile})"
        for profile, of_profile in judged.groupby("profile", sort=False)
    )
