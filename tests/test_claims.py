import tomllib
from dataclasses import replace

import pandas as pd
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


def test_the_closing_call_writes_what_it_shows_and_a_later_one_replaces_it(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "VERDICTS", tmp_path)
    measured = {"average_peak_gain_db": 9.0, "fall_from_peak_db": 0.1}
    table = claims.conclude("00", "quick", measured)
    pd.testing.assert_frame_equal(table, claims.table("00", "quick", measured))
    assert claims.verdicts("00").holds.to_dict() == table.holds.to_dict()
    assert claims.counted(claims.verdicts("00")) == "1 yes, 1 no, 1 undecided (profile quick)"
    claims.conclude("00", "paper", {})
    assert claims.counted(claims.verdicts("00")) == "3 undecided (profile paper)"


def test_claims_judged_on_records_are_counted_by_their_profile():
    judged = pd.DataFrame({"profile": ["quick", "laptop", "quick"], "holds": ["no", "yes", "yes"]})
    assert claims.counted(judged) == "1 yes, 1 no (profile quick); 1 yes (profile laptop)"


def test_a_claim_is_shown_whole_and_no_option_of_pandas_is_changed():
    width = pd.get_option("display.max_colwidth")
    table = claims.table("00", "quick", {})
    sentence = claims.of("00")[1].statement
    assert sentence in table._repr_html_() and sentence in repr(table) and len(sentence) > width
    assert pd.get_option("display.max_colwidth") == width


@pytest.mark.parametrize(
    ("value", "profile", "outcome"),
    [
        (3.5, "quick", "yes"),
        (3.4, "quick", "undecided"),
        (2.6, "quick", "undecided"),
        (2.4, "quick", "no"),
        ((3.6, 9.0), "quick", "yes"),
        ((3.4, 9.0), "quick", "undecided"),
        (3.1, "laptop", "yes"),
        (2.9, "laptop", "no"),
    ],
)
def test_within_the_margin_of_its_bound_a_quick_run_decides_nothing(value, profile, outcome):
    assert replace(GAIN, profiles=("quick", "laptop"), margin=0.5).judge(value, profile) == outcome


def test_what_quick_cannot_judge_is_judged_on_records_and_says_so(monkeypatch):
    both = replace(GAIN, id="both", profiles=("quick", "laptop"))
    monkeypatch.setattr(claims, "of", lambda notebook: [both, replace(GAIN, profiles=("laptop",))])
    live, recorded = {"gain_db": 2.0}, {"gain_db": 4.0}
    table = claims.table("00", "quick", live, recorded)
    assert table[["here", "profile", "holds"]].values.tolist() == [["2.00", "quick", "no"], ["4.00", "laptop", "yes"]]
    assert claims.table("00", "quick", live).holds.to_dict() == {"both": "no", "gain": "undecided"}


def test_every_claim_can_be_read_and_can_fail():
    for notebook in sorted({claim["notebook"] for claim in tomllib.loads(claims.CLAIMS.read_text())["claim"]}):
        for claim in claims.of(notebook):
            assert {claim.judge(x, claim.profiles[0]) for x in (-1e3, 1e3)} >= {"no"}
            assert claim.judge(float("nan"), claim.profiles[0]) == "no"
    with pytest.raises(UserError, match="99"):
        claims.of("99")
