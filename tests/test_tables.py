"""The paper's tables from synthetic records, and what is written of them from committed ones."""

import importlib.util
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import call
from scipy import stats

from dip_repro import baselines, images, metrics
from dip_repro.config import NetworkConfig, Settings
from dip_repro.images import save
from dip_repro.runtime import ROOT, UserError
from dip_repro.study import claims, experiments, figures, records, report, results, runs, tables
from dip_repro.study.experiments import library_2017
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import Denoising


def write(folder, run, image_db, average_db, picture=None, precision="float32"):
    """Write a record of `run` with these scores, and its image."""
    record = {
        "schema": records.SCHEMA,
        "name": run.name,
        "freeze": run.freeze,
        "key": records.key(run.configuration),
        "configuration": run.configuration,
        "inputs": {},
        "scores": {"corrupted": 10.0, "image": image_db, "average": average_db},
        "curves": {"iteration": [10, 20], "loss": [2, 1], "psnr": [9.0, image_db], "psnr_average": [9.0, average_db]},
        "run": {"iterations": 20, "seconds": 1.5, "stopped": "iterations done"},
        "provenance": {"device": "an abacus", "precision": precision},
    }
    records.save(record, torch.zeros(1, 8, 8) if picture is None else picture, folder)


def fill(folder, name, differences, average=0.0):
    """Fill the first cells of a table with last iterates so far from the authors', the averages `average` above."""
    authors = tables.cells(name, folder).authors
    for image, difference in zip(authors.index, differences, strict=False):
        last = authors[image] + difference
        write(folder, tables.TABLES[name].runs[image], last, last + average)


@pytest.mark.parametrize("name", tables.TABLES)
def test_every_published_cell_is_declared_by_its_name(name):
    frame, declared = tables.cells(name), tables.TABLES[name].runs
    assert set(declared) == set(frame.index)
    scored = "average" if name.startswith("denoising") else "image"
    assert {run.scored for run in declared.values()} == {scored}


def seeds(folder, name, scatter, images=2):
    """Fill some images of a table with runs of two more seeds, which differ from the cell by ± `scatter`."""
    for run in list(tables.TABLES[name].runs.values())[:images]:
        cell = tables.cells(name, folder).scored[run.name.rpartition("/")[2]]
        for seed, sign in ((1, 1), (2, -1)):
            write(folder, replace(run, name=f"{run.name}-seed-{seed}", seed=seed), cell + sign * scatter, cell)


@pytest.mark.parametrize(
    ("differences", "scatter", "word"),
    [
        ((), 0.1, "not run"),
        ((0.0, 0.0), 0.01, "partial"),
        ((5.0,) * 4, None, "partial"),
        ((0.0,) * 5, None, "not resolved"),
        ((0.1, -0.1, 0.0, 0.05, 0.0), 0.05, "agrees"),
        ((0.2,) * 5, 0.05, "agrees"),
        ((0.2,) * 5, 0.2, "not resolved"),
        ((-0.5, -0.6, -0.4, -0.5, -0.5), 0.05, "lower"),
        ((0.5,) * 5, 0.05, "higher"),
        ((9.0, -9.0, 0.0, 0.0, 0.0), 0.01, "agrees"),
    ],
)
def test_verdicts(tmp_path, differences, scatter, word):
    fill(tmp_path, "sr4-set5", differences)
    if scatter and differences:
        seeds(tmp_path, "sr4-set5", scatter)
    found = tables.judged("sr4-set5", folder=tmp_path)
    assert (found["verdict"], found["cells"], found["missing"]) == (word, len(differences), 5 - len(differences))


def test_the_interval_is_the_scatter_between_runs_and_not_between_images(tmp_path):
    fill(tmp_path, "sr4-set5", (-3.0, 2.0, 1.0, 0.5, 1.0))
    seeds(tmp_path, "sr4-set5", 0.2)
    found, s = tables.judged("sr4-set5", folder=tmp_path), tables.scatter("sr4-set5", folder=tmp_path)
    assert s == pytest.approx((0.2, 4, 2))  # two images, three seeds each: 0, +0.2 and −0.2
    half = stats.t.ppf(0.975, 4) * 0.2 * np.sqrt(2 / 5)
    assert (found["low"], found["high"]) == pytest.approx((0.3 - half, 0.3 + half))
    assert (found["least"], found["most"]) == pytest.approx((-3.0, 2.0))


def test_scatter_needs_three_seeds_of_two_images_in_one_precision(tmp_path):
    fill(tmp_path, "sr4-set5", (0.0,) * 5)
    seeds(tmp_path, "sr4-set5", 0.1, images=1)
    assert tables.scatter("sr4-set5", folder=tmp_path) is None
    seeds(tmp_path, "sr4-set5", 0.1)
    assert tables.scatter("sr4-set5", folder=tmp_path).images == 2
    path = tmp_path / f"{next(iter(tables.TABLES['sr4-set5'].runs.values())).name}-seed-1.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"provenance": record["provenance"] | {"precision": "bfloat16"}}))
    assert tables.scatter("sr4-set5", folder=tmp_path) is None
    assert results.verdict(pd.Series([0.0, 0.1]), results.Scatter(0.1, 4, 2), runs=3).high == pytest.approx(
        0.2767, abs=1e-4
    )


def test_one_function_gives_the_word_on_every_page():
    for name, table in tables.TABLES.items():
        entry = next(entry for entry in report.entries() if entry.get("table") == name)
        (indexed,) = [line for line in report.INDEX.read_text().splitlines() if f"| {entry['what']} " in line]
        for title, column in tables.COLUMNS.items():
            said = tables.said(tables.judged(name, column))
            lines = [line for line in report.FULL.read_text().splitlines() if table.title in line]
            assert any(all(part in line for part in said.values()) for line in lines), (name, title)
            if column != tables.OURS:
                assert f"{said['verdict']}, {said['cells']} cells" in indexed
    said = tables.verdicts(*tables.TABLES)
    words = {tables.judged(name, column)["verdict"] for name in tables.TABLES for column in ("2017", "scored")}
    assert set(said.verdict) == words and len(said) == 14


def test_the_library_of_2017_is_a_column_with_a_scatter_of_its_own(tmp_path):
    cells = tables.OF_2017["2017/sr4-set5"]
    authors = tables.cells("sr4-set5", tmp_path).authors
    for image, run in cells.items():
        write(tmp_path, run, authors[image] + 0.1, 0.0)
    for run in (cells["bird"], cells["head"]):
        for seed, sign in ((1, 1), (2, -1)):
            score = authors[run.name.rpartition("/")[2]] + 0.1 + sign * 0.05
            write(tmp_path, library_2017.again(run, seed), score, 0.0)
    found = tables.judged("sr4-set5", "2017", tmp_path)
    assert (found["verdict"], found["cells"], round(found["difference"], 6)) == ("agrees", 5, 0.1)
    assert tables.judged("sr4-set5", folder=tmp_path)["verdict"] == "not run"


def test_the_numbers_of_the_text_stand_beside_ours_at_both_counts(tmp_path):
    for run in tables.OF_2017["2017/denoising-25"].values():
        write(tmp_path, run, 29.0, 30.5)
        path = tmp_path / f"{run.name}.json"
        record = json.loads(path.read_text())
        curves = {"iteration": [1800, 3000], "psnr": [29.2, 29.0], "psnr_average": [30.4, 30.5], "loss": [2, 1]}
        path.write_text(json.dumps(record | {"curves": curves}))
    found = tables.yardsticks(tmp_path).xs("deep prior, average", level="what").droplevel("table")
    expected = {("of 2017", 1800): 30.4, ("of 2017", 3000): 30.5}
    assert found.here.dropna().to_dict() == pytest.approx(expected)
    assert found["the text"].unique() == 30.43 and found.cells["today's", 1800] == "0 of 9"


def test_the_tidy_table_against_a_dozen_records_by_hand():
    every = results.every()
    names = list(every.index[:: len(every) // 12])[:12]
    for name in names:
        record = json.loads((runs.RESULTS / f"{name}.json").read_text())
        row, scores = every.loc[name], record["scores"]
        assert (
            row.seed == record["configuration"]["seed"] and row.key == record["key"] and row.freeze == record["freeze"]
        )
        assert row.iterations == record["run"]["iterations"] and row.stopped == record["run"]["stopped"]
        assert row.precision == record["provenance"].get("precision", "float32")
        if scores:
            assert row["last"] == scores["image"] and row.scored == scores[record["configuration"]["scored"]]
        assert 0 < row.seconds <= record["run"]["seconds"] + 1e-9


def test_seconds_are_without_pauses():
    curves = {"iteration": [10, 20, 30, 40, 50], "seconds": [2.0, 4.0, 106.0, 108.0, 111.0]}
    assert results.seconds({"curves": curves, "run": {"seconds": 112.0}}) == 12.0


def test_the_scored_image_is_the_rules(tmp_path):
    fill(tmp_path, "sr4-set14", [1.0], average=0.25)
    fill(tmp_path, "denoising-25", [1.0], average=0.25)
    enlarged, denoised = (tables.cells(name, tmp_path).iloc[0] for name in ("sr4-set14", "denoising-25"))
    assert enlarged.scored == enlarged["last iterate"] and enlarged.ours == enlarged.average
    assert enlarged["ours − authors"] == pytest.approx(1.25) and enlarged.difference == pytest.approx(1.0)
    assert denoised.scored == denoised.average and np.isnan(denoised.ours)  # its second run is missing
    assert (enlarged.iterations, enlarged.seconds, enlarged.device) == (20, 1.5, "an abacus")
    assert (enlarged.precision, enlarged.seed, enlarged.stopped) == ("float32", 0, "iterations done")


def test_only_records_of_todays_declarations_count(tmp_path):
    fill(tmp_path, "sr4-set5", [0.0, 0.1, 0.2])
    baby, bird = (tmp_path / f"sr4-set5/{image}.json" for image in ("baby", "bird"))
    record = json.loads(baby.read_text())
    record["configuration"]["seed"] = 7
    baby.write_text(json.dumps(record | {"key": records.key(record["configuration"])}))
    bird.write_text(bird.read_text()[:50])
    assert tables.cells("sr4-set5", tmp_path).scored.dropna().index.tolist() == ["butterfly"]
    shown = call("study", "table", "sr4-set5", "--records", tmp_path)
    assert "sr4-set5/baby was declared otherwise" in shown.stderr and "bird.json: a damaged record" in shown.stderr


def test_another_precision_is_told(tmp_path):
    write(tmp_path, tables.TABLES["sr4-set5"].runs["baby"], 30.0, 31.0, precision="bfloat16")
    assert tables.cells("sr4-set5", tmp_path).precision["baby"] == "bfloat16"


def test_two_runs_are_averaged_from_their_stored_images(tmp_path, monkeypatch):
    def run(name, seed):
        task = Denoising("astronaut", side=32, noise_seed=0)
        return Run(f"{name}/baby", task, NetworkConfig.uniform(width=8, depth=2), Settings(20), seed, "average")

    pair = [run(name, seed) for seed, name in enumerate(tables.TWO_ENLARGED.of)]
    monkeypatch.setitem(tables.CELLS, "sr4-set5", {"baby": replace(pair[0], name="sr4-set5/baby")})
    for name, one in zip(tables.TWO_ENLARGED.of, pair, strict=True):
        monkeypatch.setitem(tables.CELLS, name, {"baby": one})
    truth = pair[0].task.problem(0).truth
    noise = 0.1 * torch.randn(2, *truth.shape, generator=torch.Generator().manual_seed(0))
    pictures = [(truth + one).clamp(0, 1) for one in noise]
    scores = [float(metrics.psnr(picture, truth)) for picture in pictures]
    write(tmp_path, pair[0], 0.0, scores[0], pictures[0])
    tables.score_derived(tmp_path)
    assert tables.cells("sr4-set5", tmp_path).ours.isna().all()

    write(tmp_path, pair[1], 0.0, scores[1], pictures[1])
    assert tables.cells("sr4-set5", tmp_path).ours.isna().all()  # not scored yet
    tables.score_derived(tmp_path)
    ours = tables.cells("sr4-set5", tmp_path).ours["baby"]
    assert ours == pytest.approx(float(metrics.psnr(sum(pictures) / 2, truth)), abs=0.01) and ours > max(scores) + 2

    monkeypatch.setattr(Denoising, "problem", lambda *_: pytest.fail("scored again"))
    tables.score_derived(tmp_path)
    assert tables.cells("sr4-set5", tmp_path).ours["baby"] == ours
    save(truth, tmp_path / "recommended-second-sr4-set5/baby.png")
    assert tables.cells("sr4-set5", tmp_path).ours.isna().all()  # another image than was scored


def test_ours_is_of_declared_runs():
    declared = {run for experiment in experiments.EXPERIMENTS.values() for run in experiment.profiles.get("paper", ())}
    for table in tables.TABLES.values():
        assert all(tables.CELLS[name].keys() == table.runs.keys() for name in table.ours.of)
        assert declared.issuperset(run for name in table.ours.of for run in tables.CELLS[name].values()), table.name


def test_laptop_runs_stand_beside_the_best_baseline(tmp_path, monkeypatch):
    run = replace(experiments.find("denoising").runs("laptop")[0], task=Denoising("astronaut", side=48))
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"": Experiment("denoising", "", "", {"laptop": (run,)}, True)})
    truth = run.task.problem(0).truth
    write(tmp_path, run, 0.0, 60.0, truth)
    assert tables.beside_baselines("denoising", tmp_path).empty  # not scored yet
    tables.score_derived(tmp_path)
    (row,) = tables.beside_baselines("denoising", tmp_path).itertuples()
    noisy = run.task.problem(0).corrupted
    best = max(float(metrics.psnr(f(noisy, 25), truth)) for f in baselines.DENOISERS.values())
    assert row.baseline == pytest.approx(best, abs=1e-3) and row.ours == 60 and row.outcome == "above"
    assert tables.beside_baselines("jpeg", tmp_path).empty and "above" in report.page("LAPTOP", tmp_path)

    other = replace(run, seed=1)  # done again by another declaration: what was scored before is not its
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"": Experiment("denoising", "", "", {"laptop": (other,)}, True)})
    write(tmp_path, other, 0.0, 60.0, truth)
    tables.score_derived(tmp_path)
    assert len(tables.beside_baselines("denoising", tmp_path)) == 1
    assert list(map(len, tables.derived(tmp_path).values())) == [len(baselines.DENOISERS)]


def test_far_cells_are_explained_or_said_not_to_be(tmp_path, monkeypatch):
    fill(tmp_path, "sr8-set5", [0.6, -0.7, 0.4])
    explanations = tmp_path / "explanations.toml"
    explanations.write_text('"sr8-set5/baby" = "it has {{ psnr(\'sr8-set5/baby\') }} dB"\n')
    monkeypatch.setattr(tables, "EXPLANATIONS", explanations)
    assert tables.outlying(tmp_path).explanation.to_dict() == {
        "sr8-set5/baby": f"it has {tables.cells('sr8-set5', tmp_path).scored['baby']:.2f} dB",
        "sr8-set5/bird": "not explained",
    }


def test_explanations_and_printed_values_name_what_exists():
    cells = {f"{name}/{image}" for name in tables.TABLES for image in tables.TABLES[name].runs}
    assert cells >= report.tomllib.loads(tables.EXPLANATIONS.read_text()).keys()
    assert set(tables.TABLES) >= set(pd.read_csv(tables.PRINTED).table)
    assert pd.read_csv(tables.PRINTED).source.notna().all()


def test_no_explanation_types_a_number_of_ours():
    for text in report.tomllib.loads(tables.EXPLANATIONS.read_text()).values():
        assert not re.search(r"\d\.\d|\d dB", re.sub(r"{{.*?}}", "", text)), text


def printed(*arguments):
    return call("study", "table", *arguments).stdout


def test_the_command_shows_any_number_of_cells(tmp_path):
    assert "not run, 11 cells missing" in printed("restoration-50", "--records", tmp_path)
    fill(tmp_path, "restoration-50", (1.0, 1.1), average=0.5)
    text = printed("restoration-50", "--records", tmp_path)
    assert "partial, 2 of 11 cells" in text and "+1.05 [?]" in text and "+1.00" in text
    assert "33.48" in text  # as printed in the paper
    shown = printed("restoration-50", "--format", "markdown", "--records", tmp_path)
    assert "| image | last iterate |" in " ".join(shown.split())
    again = pd.read_csv(io.StringIO(printed("restoration-50", "--format", "csv", "--records", tmp_path)), index_col=0)
    pd.testing.assert_frame_equal(again, tables.cells("restoration-50", tmp_path), check_dtype=False)
    short = pd.read_csv(io.StringIO(printed("--format", "csv", "--records", tmp_path)), index_col=[0, 1])
    assert short.loc[("restoration-50", report.TODAY)].verdict == "partial"
    assert len(short) == 3 * len(tables.TABLES)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("restoration",), "did you mean restoration-50"), (("sr4-set5", "--format", "cvs"), "did you mean csv")],
)
def test_bad_names_suggest_the_nearest(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        printed(*arguments)


def test_readme_and_index_are_what_the_records_say():
    for (begin, end), name in report.SECTIONS.items():
        written = report.README.read_text().partition(begin)[2].partition(end)[0]
        assert written.strip() == report.page(name).strip(), "stale: dip-repro study report"
    for path, name in report.PAGES.items():
        assert path.read_text() == report.page(name), f"{path} is stale: dip-repro study report"


def test_readme_and_index_change_with_the_records(tmp_path):
    empty = report.page("readme-answers", tmp_path), report.page("INDEX", tmp_path)
    fill(tmp_path, "sr4-set5", (0.0, 0.01, 0.9))
    page = " ".join(report.page("RESULTS", tmp_path).split())
    assert "3 of 5" in page and "sr4-set5/butterfly | +0.90 | not explained" in page
    assert "today's library: partial, 3 of 5 cells" in report.page("INDEX", tmp_path)
    assert "3 of 67 cells with today's library" in report.page("readme-answers", tmp_path)
    fill(tmp_path, "sr4-set5", (0.0, 0.01, 0.0, 0.0, 0.02))
    seeds(tmp_path, "sr4-set5", 0.05)
    assert "agrees, 5 of 5 cells" in report.page("INDEX", tmp_path)
    assert empty == (report.page("readme-answers", tmp_path / "none"), report.page("INDEX", tmp_path / "none"))


@pytest.mark.parametrize(
    ("differences", "word"), [((), "not run"), ((0.1,), "partial"), (np.linspace(-0.1, 0.1, 14), "not resolved")]
)
def test_the_notebook_judges_any_number_of_cells(differences, word, tmp_path, monkeypatch):
    for name in tables.TABLES:
        fill(tmp_path, name, differences)
    load_all, stamp = records.load_all, records.stamp

    def there(folder):
        return tmp_path / folder.relative_to(runs.RESULTS) if folder.is_relative_to(runs.RESULTS) else folder

    monkeypatch.setattr(records, "load_all", lambda folder: load_all(there(folder)))
    monkeypatch.setattr(records, "stamp", lambda folder: stamp(there(Path(folder))))
    monkeypatch.setattr(claims, "VERDICTS", tmp_path / "verdicts")
    # Records alone are made up here, not the pictures beside them.
    drawn = torch.rand(3, 32, 32)
    monkeypatch.setattr(tables, "reconstructions", lambda name: dict.fromkeys(tables.done(name, runs.RESULTS), drawn))
    names, saved = {}, []
    monkeypatch.setattr(figures, "save", lambda figure, name: saved.append(name))
    for cell in nbformat.read(ROOT / "notebooks" / "14_tables.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "tables", "exec"), names)
    plt.close("all")
    said = names["overview"].xs("the paper's settings, today's library", level="column")
    assert set(said.verdict) == {word} and set(names["table"].holds) == {"undecided"}
    of_cells = ["tables-curves", "tables-restored"] if len(differences) else []
    assert saved == ["tables-dots", *of_cells, "tables-files"]


def test_the_index_names_tables_and_experiments_that_exist():
    for entry in report.entries():
        assert "table" not in entry or entry["table"] in tables.TABLES
        assert "records" not in entry or entry["records"] in experiments.EXPERIMENTS


def test_every_notebook_has_a_title_a_figure_and_verdicts():
    for entry in report.notebooks():
        assert entry["title"][0].isupper() and entry["claim"] and "\n\n" not in entry["claim"]
        assert (figures.FIGURES / f"{entry['figure']}.png").exists()
        assert set(claims.verdicts(entry["name"]).index) == {claim.id for claim in claims.of(entry["name"])}


def test_pages_follow_the_verdicts(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "VERDICTS", tmp_path)
    with pytest.raises(UserError, match="no verdicts of notebook start_here yet"):
        report.page("contents")
    for name in (entry["name"] for entry in report.notebooks()):
        claims.conclude(name, {claim.quantity: math.nan for claim in claims.of(name)}, {}, "256 × 256")
    verdicts = [line for line in report.page("contents").splitlines() if line.startswith("*In the paper*")]
    assert "3 not applicable (judged on 256 × 256)" in verdicts[0] and not any(" yes" in line for line in verdicts)
    assert " reproduced |" not in report.page("INDEX") and "3 not applicable" in report.page("INDEX")
    gains = {"average_peak_gain_db": 9.0, "fall_from_peak_db": 9.0, "average_over_iterate_db": 9.0}
    claims.conclude("start_here", gains, {}, "256 × 256")
    assert "*The paper's claims*: 3 shown (judged on 256 × 256)" in report.page("contents")


@pytest.fixture(scope="module")
def scorer(mirror):
    """The scorer that comes with the mirror folder, independent of this package's metrics."""
    path = mirror.parent / "tools" / "score.py"
    if not path.exists():
        pytest.skip("the mirror folder comes without the independent scorer")
    spec = importlib.util.spec_from_file_location("score", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_independent_scorer_finds_each_cell_and_agrees(name, scorer, tmp_path):
    image, run = min(tables.TABLES[name].runs.items(), key=lambda cell: cell[0].lower())
    problem = run.task.problem(run.seed)
    authors = images.open_image(run.task.image.replace("_GT", f"_{tables.TABLES[name].authors}"))
    if name.startswith("sr"):  # black outside the crop
        authors = images.crop_to_multiple(authors, 32)
    authors = authors[: len(problem.truth)]
    write(tmp_path, run, 0.0, 0.0, authors)
    stored = tmp_path / f"{run.name}.png"
    assert images.open_image(stored).shape == problem.truth.shape
    ours = float(problem.score(images.open_image(stored), problem.truth))
    assert scorer.score(name, image, stored) == pytest.approx(ours, abs=0.01)
    assert ours == pytest.approx(tables.cells(name).authors[image], abs=0.01)


def test_the_independent_scorer_confirms_the_committed_cells(scorer):
    for name in tables.TABLES:
        for image, score in tables.cells(name).scored.dropna().items():
            path = runs.RESULTS / f"{tables.done(name, runs.RESULTS)[image]['name']}.png"
            assert scorer.score(name, image, path) == pytest.approx(score, abs=0.01)


def test_the_stored_scores_of_ours_are_those_of_their_images(mirror):
    for name in tables.MEANS:
        for image, of in tables.parts(name).items():
            problem = of[0].task.problem(0)
            pictures = list(map(images.open_image, tables.pictures(of, runs.RESULTS)))
            score = float(problem.score(sum(pictures) / len(pictures), problem.truth))
            assert tables.of_means(name).ours[image] == pytest.approx(score, abs=1e-3)


def test_cells_run_as_in_2017_stand_beside_those_of_their_tables(tmp_path):
    assert tables.as_in_2017(tmp_path).empty
    found, every = tables.as_in_2017(), results.every()
    for (table, tried, image), row in found.iterrows():
        assert row.authors == tables.published(tables.find(table)).loc[image, tables.find(table).authors]
        assert row.difference == row["as in 2017"] - row.authors
        assert math.isnan(row.gain) == (row.precision != row["precision, 2017"]), (table, tried, image)
    assert len(found) == len(every[every.experiment == "as-in-2017"])


def test_the_command_line_says_improved_and_never_ours():
    for said in (report.table("sr4-set5"), report.overview()):
        assert "improved" in said and not re.search(r"\bours\b", said)


def test_a_rule_of_ours_says_what_had_been_seen_before():
    said = report.page("rules")
    for name in tables.TABLES:
        assert report.history([f"`{name}`"]), name
    assert "Seen before: four of its five cells" in said and "Seen before: seven runs of the first" in said


def test_no_page_calls_what_is_not_resolved_no_effect():
    pages = [
        ROOT / "README.md",
        *(ROOT / "data").glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "notebooks").glob("*.md"),
    ]
    notebooks = [nbformat.read(path, as_version=4) for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
    texts = [page.read_text() for page in pages] + [cell.source for book in notebooks for cell in book.cells]
    for text in texts:
        assert not re.search(
            r"no (measurable )?effect|without measurable|cannot be told from (nothing|zero)", text, re.I
        ), text
