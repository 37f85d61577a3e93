"""The study's claims (data/claims.toml), judged from what a notebook measured: yes, no, undecided."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass

import pandas as pd

from dip_repro.runtime import ROOT, UserError

pd.set_option("display.max_colwidth", None)  # a claim is shown whole
CLAIMS = ROOT / "data" / "claims.toml"


@dataclass(frozen=True)
class Claim:
    """`quantity` is at least, or at most, a bound; asked in `profiles`. `paper` is its place, or its number, there.

    margin : how far rounding alone moves the quantity of a quick run; nearer to a bound than that, it is undecided.
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

    def judge(self, value: float | tuple[float, float] | None, profile: str) -> str:
        """Return yes, no or undecided; a pair is an interval, undecided where the bound lies inside it.

        A profile other than quick is judged on committed records, which do not move: without the margin.
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
    found = [
        Claim(**claim | {"profiles": tuple(claim["profiles"])})
        for claim in tomllib.loads(CLAIMS.read_text())["claim"]
        if claim["notebook"] == notebook
    ]
    if not found:
        raise UserError(f"{CLAIMS.name} holds no claim of notebook {notebook}")
    return found


Measured = dict[str, float | tuple[float, float]]


def table(notebook: str, profile: str, measured: Measured, laptop: Measured | None = None) -> pd.DataFrame:
    """Return the closing table of a notebook: claim | paper | here | profile | holds, indexed by the claims' names.

    `laptop` is what its committed records of that profile measure: the claims that do not speak of `profile` are judged
    on it.
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
    return pd.DataFrame.from_dict(rows, orient="index")


def shown(value: float | tuple[float, float] | None) -> str:
    if value is None:
        return "not measured"
    return f"{value[0]:.2f} to {value[1]:.2f}" if isinstance(value, tuple) else f"{value:.2f}"
