"""The study's claims (data/claims.toml), judged from what a notebook measured: yes, no, undecided."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass

import pandas as pd

from dip_repro.runtime import DATA, UserError

pd.set_option("display.max_colwidth", None)  # a claim is shown whole
CLAIMS = DATA / "claims.toml"


@dataclass(frozen=True)
class Claim:
    """`quantity` is at least, or at most, a bound; asked in `profiles`. `paper` is its place, or its number, there."""

    id: str
    notebook: str
    statement: str
    paper: str
    quantity: str
    profiles: tuple[str, ...]
    at_least: float = -math.inf
    at_most: float = math.inf

    def judge(self, value: float | tuple[float, float] | None, profile: str) -> str:
        """Return yes, no or undecided; a pair is an interval, undecided where the bound lies inside it."""
        if value is None or profile not in self.profiles:
            return "undecided"
        low, high = value if isinstance(value, tuple) else (value, value)
        if math.isnan(low) or math.isnan(high):
            return "no"
        if self.at_least <= low and high <= self.at_most:
            return "yes"
        return "no" if high < self.at_least or low > self.at_most else "undecided"


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


def table(notebook: str, profile: str, measured: dict[str, float | tuple[float, float]]) -> pd.DataFrame:
    """Return the closing table of a notebook: claim | paper | here | holds, indexed by the claims' names."""
    rows = [
        {
            "claim": claim.statement,
            "paper": claim.paper,
            "here": shown(measured.get(claim.quantity)),
            "holds": claim.judge(measured.get(claim.quantity), profile),
        }
        for claim in of(notebook)
    ]
    return pd.DataFrame(rows, index=[claim.id for claim in of(notebook)])


def shown(value: float | tuple[float, float] | None) -> str:
    if value is None:
        return "not measured"
    return f"{value[0]:.2f} to {value[1]:.2f}" if isinstance(value, tuple) else f"{value:.2f}"
