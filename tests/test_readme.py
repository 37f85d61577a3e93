"""What README and the pages beside it say is what the committed results say."""

import importlib
import re
import sys
import types

from dip_repro.runtime import ROOT
from dip_repro.study import experiments, report, runs, tables


def test_the_section_on_speed_is_the_committed_benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    bench = importlib.import_module("bench")
    section = (ROOT / "docs" / "speed.md").read_text().partition(bench.BEGIN)[2].partition(bench.END)[0]
    assert section.strip() == bench.section()


def test_every_open_reading_is_a_setting_that_exists():
    from dip_repro import corruptions, metrics, networks
    from dip_repro.study import runs, tasks, variants

    known = set(networks.NetworkConfig.__dataclass_fields__) | set(variants.Varied.__dataclass_fields__)
    for task in (runs.Run, tasks.Restoration, tasks.Denoising, tasks.SuperResolution, tasks.Inpainting):
        known |= set(task.__dataclass_fields__)
    known |= {module.__name__.split(".")[1] for module in (corruptions, metrics)}
    table = (
        (ROOT / "docs" / "readings.md")
        .read_text()
        .partition("| the text leaves open | setting |")[2]
        .partition("\n\n")[0]
    )
    rows = [line.split("|")[2] for line in table.splitlines()[2:]]
    names = {part for row in rows for part in row.split("`")[1::2]}
    assert len(rows) >= 18 and names <= known


def test_the_experiment_in_contributing_is_one_that_runs(monkeypatch):
    page = (ROOT / "CONTRIBUTING.md").read_text()
    lines = page.partition("+++ b/dip_repro/study/experiments/columns.py\n")[2].partition("```")[0].splitlines()
    module = types.ModuleType("dip_repro.study.experiments.columns")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec("\n".join(line[1:] for line in lines), vars(module))
    (experiment,) = experiments.declared_in(module)
    (run,) = experiment.runs("quick")
    problem = runs.problem_of(run)
    columns = problem.operator.mask[0].unique(dim=0)
    assert len(columns) == 1 and 0.3 < float(columns.mean()) < 0.7
    assert module.CLAIMS[0].judge(6.0) == "shown" and run.configuration["task"]["kind"] == "Columns"


def test_every_commit_of_the_history_is_one_and_no_template_types_a_measurement():
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "docs" / "history.md").read_text().splitlines()]
    commits = [commit for row in rows if len(row) == 4 and row[0][:2] == "20" for commit in row[1].split(", ")]
    assert len(commits) > 15 and all(re.fullmatch("[0-9a-f]{7}", commit) for commit in commits)
    for template in (ROOT / "data" / "templates").glob("*.md"):
        typed = re.sub(r"{{.*?}}|{%.*?%}|< 0\.05", "", template.read_text())
        assert not re.search(r"\d\.\d|\d dB", typed), template


def test_readme_is_short_and_its_first_screen_holds_a_command_for_a_photo():
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 900
    first_screen = text.splitlines()[:25]
    assert any(line.startswith("dip-repro denoise figures/noisy.png") for line in first_screen)
    assert "git clone --depth 1 <this repository>" in text and (ROOT / "figures" / "noisy.png").is_file()


def test_the_picture_of_readme_is_no_worse_than_its_baseline():
    row = tables.photos().loc[report.FRONT_PAGE]
    assert row.recommended >= row.nlm > row.noisy and f"{row.recommended:.1f} dB" in (ROOT / "README.md").read_text()


def test_the_book_has_every_notebook_in_one_part_and_a_sentence_for_it():
    listed = [name for part in report.book() for name in part["notebooks"]]
    books = [book["name"] for _, of in report.parts() for book in of]
    assert sorted(books) == sorted(book["name"] for book in report.notebooks()) and len(listed) == len(set(listed))
    assert all(book["sentence"].endswith(".") for book in report.notebooks())
