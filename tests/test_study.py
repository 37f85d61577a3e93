"""The declared study: its entries, its switches, its statistics; and that the freeze alone decides the defaults."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from dip_repro.config import NetworkConfig, Settings
from dip_repro.presets import PAPER
from dip_repro.study import experiments, report, results, runs, tables
from dip_repro.study.experiments import ambiguities, front, library_2017, search
from dip_repro.study.results import Cell
from dip_repro.study.tasks import Denoising
from dip_repro.study.variants import Varied

DECLARATION = ambiguities.declaration()
AMBIGUITIES = DECLARATION["ambiguity"]
# A bias before batch norm moves nothing but rounding; in three steps no loss is looked at, and no output of z is taken.
SAME_AT_FIRST = {"bias/biases", "rollback/a rise by 0.001", "output/of z itself", "rollback-ratio/5 dB"}


def test_every_entry_says_what_it_is():
    assert len(AMBIGUITIES) >= 18
    assert len({entry["name"] for entry in AMBIGUITIES}) == len(AMBIGUITIES)
    for entry in AMBIGUITIES:
        assert {"question", "sentence", "base", "readings", "on", "expected"} <= entry.keys() and entry["readings"]
    assert len(DECLARATION["images"]) >= 6 and len(DECLARATION["seeds"]) >= 2


def trajectory(run: runs.Run, monkeypatch) -> torch.Tensor:
    """Return the image after three steps of a narrow run, in float64; what is scored afterwards plays no part.

    Adam's first update depends on no beta and no schedule. Its second one does, and the third image shows it.
    """
    narrow = {"n_d": (4,) * 4, "n_u": (4,) * 4, "n_s": tuple(min(n, 2) for n in run.network.n_s)}
    torch.set_num_threads(1)
    _, fitting = runs.prepare(replace(run, network=replace(run.network, **narrow)), "cpu")
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # the loop computes its loss in float32
    fitting.network.double()
    fitting.operator.double()
    fitting.z, fitting.x0 = fitting.z.double(), fitting.x0.double()
    for _ in range(3):
        fitting.step()
    monkeypatch.undo()
    assert fitting.image.dtype == torch.float64
    return fitting.image


CHANGED = [arm for arm in ambiguities.arms() if arm.label in ambiguities.readings()]


@pytest.mark.parametrize("arm", CHANGED, ids=lambda arm: f"{arm.task}: {arm.label}")
def test_a_reading_changes_the_trajectory(arm, monkeypatch):
    """In float64, rounding moved no image by more than 2e-13; the least effect of a reading was 5e-5."""
    image = "coins" if arm.task == "restoration-grey" else "astronaut"  # it has blacks
    arms = (ambiguities.Arm(arm.task, ambiguities.BASE, {}), arm)
    base, other = (trajectory(each.run(image, 0), monkeypatch) for each in arms)
    assert ((base - other).abs().max() > 1e-8) == (arm.label not in SAME_AT_FIRST)


def synthetic(effect: float, spread: float = 0.02) -> pd.DataFrame:
    """Return scores of two arms on six images and two seeds; each image has a level of its own."""
    draw = np.random.default_rng(0)
    cells = [Cell("t", arm, str(i), seed) for arm in ("base", "other") for i in range(6) for seed in range(2)]
    scores = [20 + int(c.image) + effect * (c.arm == "other") + draw.normal(0, spread) for c in cells]
    index = pd.MultiIndex.from_tuples(cells, names=Cell._fields)
    return pd.DataFrame({"psnr": scores, "precision": "float32"}, index)


def test_effects_are_paired_by_image_and_seed():
    scores = synthetic(0.5).sample(frac=1, random_state=1)
    values = results.differences(scores, "psnr", "t", "other", "base")
    found = results.effect(values)
    assert found["images"] == 6 and found["low"] < 0.5 < found["high"] and found["high"] - found["low"] < 0.1
    assert found["effect"] == pytest.approx(0.5, abs=0.05) and found["p"] < 1e-6 and found["least"] < 0.1
    half = scores.drop([("t", "other", "3", 0), ("t", "other", "4", 0), ("t", "other", "4", 1)])
    values = results.differences(half, "psnr", "t", "other", "base")
    assert list(values.index) == ["0", "1", "2", "3", "5"]  # of image 3 one pair is left, of image 4 none
    assert results.differences(scores, "psnr", "t", "absent", "base").empty
    assert results.differences(scores, "psnr", "another", "other", "base").empty


def test_a_pair_of_two_precisions_is_left_out():
    scores = synthetic(0.5)
    scores.loc[("t", "other", "3"), "precision"] = "bfloat16"
    assert list(results.differences(scores, "psnr", "t", "other", "base").index) == ["0", "1", "2", "4", "5"]


def test_a_pair_of_precisions_is_of_one_configuration(monkeypatch):
    columns = ["key", "precision", "scored", "last", "average"]
    rows = [("a", "float32", 30.0, 30.0, 31.0), ("a", "bfloat16", 29.5, 29.5, 31.2), ("b", "float32", 20.0, 20.0, 20.0)]
    found = pd.DataFrame([*rows, ("c", "bfloat16", 9.0, 9.0, 9.0)], ["one", "two", "three", "four"], columns)
    monkeypatch.setattr(results, "every", lambda folder: found)
    (row,) = results.precisions().reset_index().to_numpy().tolist()
    assert row[0] == "one" and row[1:] == pytest.approx([30.0, 29.5, -0.5, 0.2])


def test_equal_differences_are_certain_and_zeros_are_not():
    assert results.effect(pd.Series([0.5, 0.5, 0.5]))["p"] == 0 and results.effect(pd.Series([0.0, 0.0]))["p"] == 1


def test_of_what_is_compared_the_committed_runs_have_one_precision():
    every = results.every()
    for cells in (front.CELLS, front.PHOTO_CELLS, search.CELLS):
        assert every.precision.reindex([run.name for run in cells]).nunique() <= 1


def test_no_picture_of_the_search_is_judged_elsewhere_and_its_seeds_share_the_noise():
    judged = {run.task.image for run in (*library_2017.LIBRARY_2017.runs("paper"), *front.PHOTO_CELLS)}
    assert not judged & {cell.image for cell in search.CELLS.values()}
    assert len({run.key for run in search.CELLS}) == len(search.CELLS)
    one, two = (search.run(Cell("denoising", search.BEFORE, "page", seed)).task.problem(seed) for seed in (0, 1))
    assert torch.equal(one.corrupted, two.corrupted) and not torch.equal(one.measurement, two.measurement)
    assert 0 < (one.measurement == 0).float().mean() - (one.corrupted == 0).float().mean() <= search.HELD_OUT


def test_every_reading_that_differs_from_the_code_is_told_with_its_interval():
    found = ambiguities.differing()
    for entry in ambiguities.chosen_blind():
        if entry["blind"] == "differs":
            labels = [entry["decides"]] if "decides" in entry else list(ambiguities.labels(entry))
            assert set(labels) <= set(found.reading), entry["name"]
    assert {"padding", "norm-scale"} <= {entry["name"] for entry in ambiguities.chosen_blind()}
    page = report.page("GUIDE")
    for row in found.itertuples():
        assert tables.with_interval(row.effect, row.low, row.high) in page


def test_each_question_has_one_number_and_is_in_one_list():
    of_number: dict[str, set] = {}
    for entry in AMBIGUITIES:
        of_number.setdefault(ambiguities.number(entry), set()).add(entry.get("same_as", entry["name"]))
    assert all(len(questions) == 1 for questions in of_number.values())  # same_as: another entry of one question
    found, page = ambiguities.judged(), report.page("GUIDE")
    assert (found.groupby("number")["list"].nunique() == 1).all() and not found.duplicated(["number", "task"]).any()
    for number, rows in found.groupby("number"):
        assert f"\n## {number}. " in page
        assert page.count(f"\n- **{number}. {rows.question.iloc[0]}**: ") == 1
    given_up = {f"{entry['name']}/{reading}" for entry in AMBIGUITIES for reading in entry.get("not_judged", ())}
    assert given_up <= set(ambiguities.readings()) and "preimage" not in set(found.task)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (1.1, 1.3, "must be right"),
        (-1.9, -0.3, "must be right"),
        (0.3, 0.5, "worth a check"),
        (-0.1, 2.5, "not resolved"),
        (0.05, 0.35, "not resolved"),
        (0.05, 0.25, "does not matter"),
    ],
)
def test_the_list_of_an_effect(low, high, word):
    assert ambiguities.in_list(pd.Series({"effect": (low + high) / 2, "low": low, "high": high})) == word


def test_a_comparison_has_every_cell_once_and_its_table_one_row_for_each_run():
    def run(cell: Cell) -> runs.Run:
        return runs.Run("/".join(map(str, cell)), Denoising(cell.image, 16), NetworkConfig(), Settings(1), cell.seed)

    cells = results.crossed(run, ("t",), ("base", "other"), ("camera", "coins"), (0, 1))
    assert len(cells) == 8 and all(run.seed == cell.seed for run, cell in cells.items())
    table = results.tidy(cells, {run: {"score": run.seed} for run in list(cells)[:5]})
    assert len(table) == 5 and table.score["t", "base", "coins", 1] == 1


def test_intervals_and_holm_against_known_values():
    assert results.interval([1, 2, 3, 4, 5]) == pytest.approx((3, 1.0368, 4.9632), abs=1e-4)
    p = pd.Series([0.01, 0.04, 0.03, 0.005], index=list("abcd"))
    assert results.holm(p).to_dict() == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


def test_wide_runs_have_the_papers_widths():
    run = ambiguities.Arm("mesh", ambiguities.BASE, {}).run("coffee", 0, ambiguities.WIDE)
    assert run.network == replace(run.network, n_d=(128,) * 5, n_s=(0,) * 5, in_channels=2)
    assert NetworkConfig(**DECLARATION["base"]["readings"]).n_d == run.network.n_d
    assert run.settings.iterations == DECLARATION["study-wide"]["settings"]["iterations"]


def test_the_runs_at_real_size_have_the_papers_counts_and_rates():
    full = ambiguities.comparison(ambiguities.FULL)
    found = {cell.task: run for run, cell in full.items() if cell.arm == ambiguities.BASE}
    for task in ("denoising", "super-resolution", "restoration"):
        run, paper = found[task], PAPER[task]
        for what in ("iterations", "learning_rate"):
            assert getattr(run.settings, what) == getattr(paper.settings, what)
        assert run.network.n_d == paper.network.n_d and run.task.side == 128
    assert {cell.seed for cell in full.values() if cell.task == "restoration"} == {0}
    assert {cell.seed for cell in full.values() if cell.task == "denoising"} == {0, 1}


def test_an_arm_of_a_round_counts_once_all_of_its_runs_are_done(monkeypatch):
    cells = [cell for cell in ambiguities.comparison(ambiguities.FULL).values() if cell.task == "super-resolution"]
    rows = {cell: dict.fromkeys(ambiguities.OUTCOME, 1.0) | {"precision": "float32"} for cell in cells}
    arm = ambiguities.Cell("super-resolution", "padding/zeros", "rocket", 1)
    del rows[arm]
    index = pd.MultiIndex.from_tuples(rows, names=ambiguities.Cell._fields)
    monkeypatch.setattr(ambiguities, "outcomes", lambda folder, name: pd.DataFrame(list(rows.values()), index))
    found = ambiguities.compared(ambiguities.readings(), ambiguities.RESULTS, ambiguities.FULL)
    assert set(found.reading) == {"norm-scale/U(0, 1)", "corners-again/aligned"}


def test_the_frozen_readings_alone_are_the_defaults():
    base, changes = DECLARATION["base"], ambiguities.readings()
    frozen = {"network": dict(base["readings"]), "settings": dict(base["settings"])}
    by_task = {name: dict(task["task"]) for name, task in DECLARATION["tasks"].items()}
    for entry in AMBIGUITIES:
        assert entry["chosen"] == ambiguities.BASE or entry["chosen"] in entry["readings"]
        assert entry["why"]
        if "where" in entry:  # chosen for one experiment, not as a default
            for run in (run for where in entry["where"] for run in experiments.find(where).runs("paper")):
                for part, values in changes[f"{entry['name']}/{entry['chosen']}"].items():
                    assert values.items() <= runs.plain(getattr(run, part)).items()
            continue
        for part, values in changes.get(f"{entry['name']}/{entry['chosen']}", {}).items():
            (by_task[entry["on"][0]] if part == "task" else frozen[part]).update(values)
    of_an_experiment = {"iterations", "learning_rate", "sigma_p", "report_every"}
    defaults = {"network": NetworkConfig(), "settings": Varied(iterations=1)}
    for part, values in frozen.items():
        for name, value in values.items():
            assert name in of_an_experiment or getattr(defaults[part], name) == value, name
    assert NetworkConfig().in_channels == 32  # for grey images too
    for name, task in DECLARATION["tasks"].items():
        fields = getattr(ambiguities.tasks, task["kind"]).__dataclass_fields__
        for reading in ("stored", "normalise", "a", "known", "phase", "border", "x0_by"):
            if reading in fields and reading in by_task[name]:
                assert fields[reading].default == by_task[name][reading]
