import re
from dataclasses import replace

import pandas as pd
import pytest

from dip_repro.runtime import UserError
from dip_repro.study import claims, report
from dip_repro.study.claims import Claim

GAIN = Claim("gain", "start_here", "it gains", "yes", "gain_db", "bundled pictures", "paper", at_least=3)


@pytest.mark.parametrize(
    ("value", "margin", "outcome"),
    [
        (3.0, 0, "yes"),
        (2.9, 0, "no"),
        (float("nan"), 0, "not applicable"),
        (None, 0, "undecided"),
        ((2.0, 4.0), 0, "undecided"),
        ((3.5, 4.0), 0, "yes"),
        ((1.0, 2.0), 0, "no"),
        (3.5, 0.5, "yes"),
        (3.4, 0.5, "undecided"),
        (2.6, 0.5, "undecided"),
        (2.4, 0.5, "no"),
        ((3.4, 9.0), 0.5, "undecided"),
    ],
)
def test_outcomes(value, margin, outcome):
    assert GAIN.judge(value, margin) == outcome


@pytest.mark.parametrize("outcome", [("yes", "shown"), ("no", "not shown"), ("undecided", "undecided")])
def test_one_fit_is_shown_or_not_and_says_no_yes_and_no_no(outcome):
    value = {"yes": 3.5, "no": 2.0, "undecided": (2.0, 4.0)}[outcome[0]]
    assert (GAIN.judge(value), replace(GAIN, fits=1).judge(value)) == outcome


def test_a_measured_value_is_shown_in_words_where_it_has_no_number():
    values = [claims.shown(value) for value in (None, float("nan"), 1.0, (1.0, 2.0))]
    assert values == ["not measured", "not applicable", "1.00", "1.00 to 2.00"]


def test_a_value_that_misses_its_bound_is_not_shown_as_the_bound():
    half = replace(GAIN, at_least=0.5)
    bounds = (half.at_least, half.at_most)
    assert half.judge(0.4952) == "no" and claims.shown(0.4952, bounds) == "0.495"
    assert [claims.shown(value, bounds) for value in (0.5, 0.48, (0.4, 0.501))] == ["0.50", "0.48", "0.400 to 0.501"]


def test_a_claim_whose_condition_is_not_met_is_neither_among_those_that_fail_nor_among_those_that_hold(monkeypatch):
    every = claims.of("restoration")
    values = dict(zip((claim.quantity for claim in every), (float("nan"), -99.0, 99.0, None), strict=True))
    judged = claims.table("restoration", values, {}, "64 × 64")
    assert judged.holds.tolist() == ["not applicable", "not shown", "shown", "undecided"]
    read = claims.verdicts
    monkeypatch.setattr(claims, "verdicts", lambda name: judged if name == "restoration" else read(name))
    page = report.page("contents")
    assert "*The paper's claims*: 1 not applicable (judged on 64 × 64)" in page
    _, *lists = re.split(r"\n## What .*\n", page)
    listed = [[n for n, claim in enumerate(every) if claim.statement in part] for part in lists]
    assert listed == [[1], [0], [3]]


def test_the_closing_call_writes_what_it_shows_and_a_later_one_replaces_it(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "VERDICTS", tmp_path)
    measured = {"average_peak_gain_db": 9.0, "fall_from_peak_db": 0.1}
    table = claims.conclude("start_here", measured, {}, "256 × 256")
    pd.testing.assert_frame_equal(table, claims.table("start_here", measured, {}, "256 × 256"))
    assert claims.verdicts("start_here").holds.to_dict() == table.holds.to_dict()
    assert claims.counted(claims.verdicts("start_here")) == "1 shown, 1 not shown, 1 undecided (judged on 256 × 256)"
    claims.conclude("start_here", {}, measured, "256 × 256")
    assert claims.counted(claims.verdicts("start_here")) == "3 undecided (judged on 256 × 256)"


def test_claims_are_counted_by_what_they_were_judged_on():
    judged = pd.DataFrame({"judged on": ["128²", "256²", "128²"], "holds": ["no", "yes", "yes"]})
    assert claims.counted(judged) == "1 yes, 1 no (judged on 128²); 1 yes (judged on 256²)"


def test_a_claim_is_shown_whole_and_no_option_of_pandas_is_changed():
    width = pd.get_option("display.max_colwidth")
    table = claims.table("start_here", {}, {}, "256 × 256")
    sentence = claims.of("start_here")[1].statement
    assert sentence in table._repr_html_() and sentence in repr(table) and len(sentence) > width
    assert pd.get_option("display.max_colwidth") == width


def test_records_decide_and_the_live_run_is_told_beside_them(monkeypatch):
    both = replace(GAIN, id="both", margin=0.5)
    of_paper = replace(GAIN, id="paper", judged_on="the paper's images")
    monkeypatch.setattr(claims, "of", lambda notebook: [both, GAIN, of_paper])
    table = claims.table("start_here", {"gain_db": 2.0}, {"gain_db": 4.0}, "64 × 64")
    assert table[["judged on", "holds", "live"]].values.tolist() == [
        ["64 × 64", "no", "yes"],
        ["64 × 64", "no", "–"],
        ["the paper's images", "no", "–"],
    ]
    assert claims.table("start_here", {}, {"gain_db": 3.2}, "").live["both"] == "undecided"


def test_a_notebook_without_claims_is_told():
    with pytest.raises(UserError, match="99"):
        claims.of("99")


def test_all_that_the_paper_claims_of_a_figure_counts():
    entries = [claim for entry in report.entries() for claim in entry.get("claims", ())]
    assert sorted(entries) == sorted(claim.id for claim in claims.every() if claim.whose == "paper")


def test_the_two_ledgers_are_counted_apart():
    verdicts = claims.all_verdicts()
    assert len(verdicts) == len(claims.every()) and set(verdicts.whose) == {"paper", "study"}
    of_the_paper = verdicts[verdicts.whose == "paper"]
    assert claims.in_words(of_the_paper.holds) in report.page("readme-answers")
