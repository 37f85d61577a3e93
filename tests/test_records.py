import contextlib
import importlib.util
import json
import math
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from conftest import call

from dip_repro import corruptions, images, metrics
from dip_repro.config import NetworkConfig, Settings
from dip_repro.fitting import Fit
from dip_repro.runtime import ROOT, UserError
from dip_repro.study import experiments, figures, records, runs
from dip_repro.study.runs import Run
from dip_repro.study.tasks import Denoising, Jpeg, Restoration
from dip_repro.study.variants import Varied

TINY = Run(
    "tiny/one",
    Denoising("camera", side=32),
    NetworkConfig.uniform(width=8, depth=2, skip=2, out_channels=1),
    Settings(20),
)


@pytest.fixture
def record(tmp_path):
    return runs.perform(TINY, tmp_path, "cpu", progress=False)


def test_a_record_holds_what_proves_it(record, tmp_path):
    assert records.load(tmp_path / "tiny/one.json") == json.loads((tmp_path / "tiny/one.json").read_text()) == record
    assert record["configuration"]["task"]["kind"] == "Denoising"
    assert record["run"]["iterations"] == 20 and record["run"]["peak_memory_mb"] > 0
    assert {"commit", "torch", "device", "threads", "allocator"} <= record["provenance"].keys()
    assert records.history(record).iteration.tolist() == [10, 20]
    truth = TINY.task.problem(0).truth
    stored = images.open_image(tmp_path / "tiny/one.png")
    assert float(metrics.psnr(stored, truth)) == pytest.approx(record["scores"]["image"], abs=1e-3)
    assert not list(tmp_path.rglob("*.partial")) and not list(tmp_path.rglob("*.checkpoint"))


def test_without_a_ground_truth_there_are_measures_and_no_scores(tmp_path):
    run = Run("tiny/jpeg", Jpeg("camera", side=32, quality=None), TINY.network, Settings(20))
    record = runs.perform(run, tmp_path, "cpu", progress=False)
    assert record["scores"] == {} and record["inputs"].keys() == {"measurement", "z"}
    assert record["measures"]["blockiness"].keys() == {"corrupted", "image", "average"}
    measured = {"iteration", "loss", "rolled_back", "seconds", "blockiness", "blockiness_average"}
    assert record == records.load(tmp_path / "tiny/jpeg.json") and record["curves"].keys() == measured
    with pytest.raises(UserError, match="ground truth is not known"):
        call("study", "verify", tmp_path / "tiny/jpeg.json")
    compressed = Jpeg("camera", side=32).problem(0)
    assert torch.equal(compressed.truth, run.task.problem(0).measurement)
    assert not torch.equal(compressed.truth, compressed.measurement)


@pytest.mark.parametrize(
    ("task", "shared"),
    [(Denoising("camera", side=32), "noise_seed"), (Restoration("camera", side=32), "mask_seed")],
)
def test_runs_of_two_seeds_can_share_one_corruption(task, shared):
    made = [replace(task, **{shared: 0}).problem(seed).measurement for seed in (0, 1)]
    assert torch.equal(*made) and torch.equal(made[0], task.problem(0).measurement)
    assert not torch.equal(made[0], task.problem(1).measurement)


def test_a_finished_record_is_kept(record, tmp_path, monkeypatch):
    monkeypatch.setattr(Fit, "step", lambda self: pytest.fail("ran again"))
    assert runs.perform(TINY, tmp_path, "cpu", progress=False) == record


def test_another_configuration_does_not_overwrite_it(record, tmp_path):
    other = Run(TINY.name, TINY.task, TINY.network, TINY.settings, seed=1)
    with pytest.raises(UserError, match="another configuration"):
        runs.perform(other, tmp_path, "cpu", progress=False)


def test_damaged_records_are_named_and_not_counted(record, tmp_path):
    whole = (tmp_path / "tiny/one.json").read_text()
    (tmp_path / "half.json").write_text(whole[: len(whole) // 2])
    (tmp_path / "old.json").write_text(json.dumps(record | {"schema": 0}))
    changed = json.loads(whole)
    changed["configuration"]["seed"] = 7
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    found, damaged = records.load_all(tmp_path)
    assert list(found) == ["tiny/one"] and len(damaged) == 3
    assert all(any(name in sentence for sentence in damaged) for name in ("half.json", "old.json", "changed.json"))


def test_a_score_that_is_not_finite_is_stored_and_read_back_as_nan(tmp_path):
    run = replace(TINY, task=Denoising("camera", side=32, sigma_8bit=0))  # the corrupted image is the truth
    record = runs.perform(run, tmp_path, "cpu", progress=False)
    assert json.loads((tmp_path / "tiny/one.json").read_text())["scores"]["corrupted"] is None
    assert math.isnan(record["scores"]["corrupted"]) and math.isfinite(record["scores"]["image"])
    record["curves"]["loss"][-1] = math.nan
    record["scores"]["image"] = -math.inf
    again = records.load(records.save(record, torch.zeros(1, 32, 32), tmp_path))
    assert records.history(again).loss.isna().tolist() == [False, True] and math.isnan(again["scores"]["image"])
    assert again["configuration"]["task"]["noise_seed"] is None  # a null that is no number stays one


def test_an_interrupted_run_goes_on(tmp_path):
    checkpoint = tmp_path / f"tiny/one.{records.key(TINY.configuration)}.checkpoint"
    checkpoint.parent.mkdir()
    _, fitting = runs.prepare(TINY, "cpu", checkpoint=checkpoint)
    with contextlib.closing(iter(fitting)) as reports:
        next(reports)
    resumed = runs.perform(TINY, tmp_path, "cpu", progress=False)
    whole = runs.perform(TINY, tmp_path / "whole", "cpu", progress=False)
    assert resumed["scores"] == whole["scores"] and not checkpoint.exists()


def test_a_record_that_cannot_be_written_loses_no_fit(tmp_path, monkeypatch):
    """A full disk at the moment of the record: the checkpoint of the finished fit stays, and nothing is run again."""
    with monkeypatch.context() as full:
        full.setattr(records, "save", lambda *_: (_ for _ in ()).throw(UserError("no room")))
        with pytest.raises(UserError, match="no room"):
            runs.perform(TINY, tmp_path, "cpu", progress=False)
    monkeypatch.setattr(Fit, "step", lambda self: pytest.fail("it was finished"))
    record = runs.perform(TINY, tmp_path, "cpu", progress=False)
    assert record["run"]["iterations"] == TINY.settings.iterations and not list(tmp_path.rglob("*.checkpoint"))


def test_every_declared_run_is_distinct_and_plain_data():
    every = [run for e in experiments.EXPERIMENTS.values() for profile in e.profiles for run in e.runs(profile)]
    assert len({run.name for run in every}) == len(every)
    for run in every:
        assert json.loads(json.dumps(run.configuration)) == run.configuration
    assert {"start", "restoration-50", "branching", "flash", "enhancement"} <= experiments.EXPERIMENTS.keys()


OF_THE_EXTRA = ("preimage/", "activation/")  # their operator is a network of the extra "features"
# The experiments whose pictures are not committed.
ALONE = tuple(re.findall(r"^data/results/(.+/)\*\*/\*\.png$", (ROOT / ".gitignore").read_text(), re.MULTILINE))
NO_LONGER_DECLARED: dict[str, str] = {}  # the name of a record that is kept, and why


def test_every_committed_record_belongs_to_its_declared_run():
    found, damaged = records.load_all(runs.RESULTS)
    declared = {
        run.name: run for e in experiments.EXPERIMENTS.values() for every in e.profiles.values() for run in every
    }
    assert not damaged and len(found) > 1000
    assert found.keys() - declared.keys() == NO_LONGER_DECLARED.keys()
    for name in found.keys() & declared.keys():
        assert found[name]["key"] == records.key(declared[name].configuration), name
        assert name.startswith(ALONE) or (runs.RESULTS / f"{name}.png").exists(), name


def test_importing_the_study_reads_no_file_of_the_data():
    code = (
        "import sys; seen = []\n"
        "sys.addaudithook(lambda event, args: event == 'open' and seen.append(str(args[0])))\n"
        "import dip_repro.study.report, dip_repro.study.figures\n"
        "print(*[name for name in seen if name.endswith(('.toml', '.csv', '.txt', '.json')) and '/data/' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == ""


def test_the_reconstruction_of_a_record_scores_what_it_says(mirror):
    found, _ = records.load_all(runs.RESULTS)
    # Without vector instructions, resizing and noise round single pixels to the next grey level. The scores stay.
    vectors = torch.backends.cpu.get_cpu_capability() != "DEFAULT"
    for name, record in found.items():
        run = experiments.declared(record)
        if name.startswith(OF_THE_EXTRA) and not importlib.util.find_spec("efficientnet_lite_pytorch"):
            continue
        problem = runs.problem_of(run)
        if "phases" not in name:  # they are made by a Fourier transform, whose last bits depend on the processor
            assert records.tensor_hash(problem.measurement) == record["inputs"]["measurement"] or not vectors
        if problem.truth is None or name.startswith(ALONE):
            continue
        stored = images.open_image(runs.RESULTS / f"{name}.png")
        score = record["scores"][record["configuration"]["scored"]]
        assert float(problem.score(stored, problem.truth)) == pytest.approx(score, abs=1e-3)


def test_verify_runs_a_record_again(record, tmp_path, monkeypatch):
    tiny = runs.Experiment("tiny", "", "", {"quick": (TINY,)})
    monkeypatch.setitem(experiments.EXPERIMENTS, "tiny", tiny)
    path = tmp_path / "tiny/one.json"
    output = call("study", "verify", path).output
    assert output.count("again +0.0000") == 4
    changed = record | {"scores": record["scores"] | {"image": record["scores"]["image"] + 1}}
    path.write_text(json.dumps(changed))
    with pytest.raises(UserError, match="differs by more than"):
        call("study", "verify", path)
    path.write_text(json.dumps(record | {"scores": record["scores"] | {"image": None}}))
    with pytest.raises(UserError, match="differs by more than"):  # NaN
        call("study", "verify", path)
    path.write_text(json.dumps(record | {"provenance": record["provenance"] | {"precision": "bfloat16"}}))
    asked = []
    monkeypatch.setattr(runs, "perform", lambda run, folder, device, precision: asked.append(precision) or record)
    call("study", "verify", path)
    assert asked == ["bfloat16"]
    with pytest.raises(UserError, match="declared otherwise"):
        experiments.declared(record | {"key": "0"})
    with pytest.raises(UserError, match="no experiment declares"):
        experiments.declared(record | {"name": "gone"})


def test_a_thumbnail_is_the_left_of_one_picture_and_the_right_of_another(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", tmp_path)
    before, after = metrics.quantise(torch.rand(2, 3, 32, 32))
    shown = images.open_image(figures.thumbnail(before, after, "tiny-thumbnail"))[:, ::2, ::2]
    assert torch.equal(shown[..., :15], before[..., :15]) and torch.equal(shown[..., 17:], after[..., 17:])


def test_of_the_black_pixels_of_a_masked_file_a_share_is_known(tmp_path):
    truth = torch.rand(1, 64, 64).clamp(min=0.1)
    truth[:, :32] = 0
    known = corruptions.missing_pixels((64, 64), 0.5, seed=3)
    for name, image in {"truth": truth, "masked": truth * known}.items():
        images.save(image, tmp_path / f"{name}.png")
    task = Restoration(str(tmp_path / "truth.png"), masked=str(tmp_path / "masked.png"))
    without, half = (replace(task, black_known=share).problem(0).operator.mask for share in (0.0, 0.5))
    assert not without[:, :32].any() and 0.4 < half[:, :32].mean() < 0.6
    assert torch.equal(without[:, 32:], known[:, 32:]) and torch.equal(half[:, 32:], known[:, 32:])


def test_a_key_holds_all_that_decides_when_a_run_ends(monkeypatch):
    stopped = replace(TINY, stop="held-out")
    assert stopped.configuration["stop"].keys() == {"rule", "share", "patience", "window", "calm_patience"}
    before = records.key(stopped.configuration)
    for number in runs.STOPS["held-out"]:
        with monkeypatch.context() as changed:
            changed.setitem(runs.STOPS, "held-out", runs.STOPS["held-out"] | {number: 7})
            assert records.key(stopped.configuration) != before


def test_equal_settings_have_one_key_however_they_are_written():
    assert records.key(replace(TINY, settings=Varied(20)).configuration) == records.key(TINY.configuration)
    assert records.key(replace(TINY, settings=Varied(20, weight_noise=0.1)).configuration) != records.key(
        TINY.configuration
    )
