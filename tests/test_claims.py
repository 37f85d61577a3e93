import tomllib

import pytest

from dip_repro.runtime import UserError
from dip_repro.study import claims
from dip_repro.study.claims import Claim

GAIN = Claim("gain", "00", "it gains", "yes", "gain_db", ("quick",), at_least=3)


@pytest.mark.parametrize(
    ("value", "profile", "outcome"),
    [
        (3.0, "quick", "yes"),
        (2.9, "quick", "no"),
        (float("nan"), "quick", "no"),
        (None, "quick", "undecided"),
        (5.0, "paper", "undecided"),
        ((2.0, 4.0), "quick", "undecided"),
        ((3.5, 4.0), "quick", "yes"),
        ((1.0, 2.0), "quick", "no"),
    ],
)
def test_outcomes(value, profile, outcome):
    assert GAIN.judge(value, profile) == outcome


def test_every_claim_can_be_read_and_can_fail():
    for notebook in sorted({claim["notebook"] for claim in tomllib.loads(claims.CLAIMS.read_text())["claim"]}):
        for claim in claims.of(notebook):
            assert {claim.judge(x, claim.profiles[0]) for x in (-1e3, 1e3)} >= {"no"}
            assert claim.judge(float("nan"), claim.profiles[0]) == "no"
    with pytest.raises(UserError, match="99"):
        claims.of("99")
