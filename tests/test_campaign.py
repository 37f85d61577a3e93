import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from dip_repro import cli
from dip_repro.config import NetworkConfig, Settings
from dip_repro.fitting import Fit
from dip_repro.runtime import UserError
from dip_repro.study import campaign, experiments, records, runs, tables
from dip_repro.study import cli as study_cli
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import Denoising

ONE = Run(
    "tiny/0",
    Denoising("camera", side=32),
    NetworkConfig.uniform(width=8, depth=2, skip=2, out_channels=1),
    Settings(20),
)
FULL = OSError(errno.ENOSPC, "No space left on device")
RUNS = [replace(ONE, name=f"tiny/{seed}", seed=seed) for seed in range(4)]


def same(record: dict) -> dict:
    """Return what two records of one configuration must share: all but time and host."""
    curves = {name: values for name, values in record["curves"].items() if name != "seconds"}
    run = {name: value for name, value in record["run"].items() if name not in ("seconds", "peak_memory_mb")}
    return {k: v for k, v in record.items() if k != "provenance"} | {"curves": curves, "run": run}


def all_below(folder) -> dict:
    found, damaged = records.load_all(folder)
    assert not damaged
    return {name: same(record) for name, record in found.items()}


def test_finished_runs_are_skipped_and_the_rest_done(tmp_path, monkeypatch):
    assert campaign.campaign(RUNS[:2], tmp_path, "cpu").finished == ["tiny/0", "tiny/1"]
    steps = []
    step = Fit.step
    monkeypatch.setattr(Fit, "step", lambda self: steps.append(1) or step(self))
    assert len(campaign.campaign(RUNS, tmp_path, "cpu").finished) == 4
    assert len(steps) == 2 * 20 and not list(tmp_path.rglob("*.lock"))


def test_the_budget_stops_it_cleanly_and_the_same_command_goes_on(tmp_path, monkeypatch):
    clock = iter([0.0, 0.0, 1.0] + [9.0] * 9)  # the start, before the first run, its first report, …
    with monkeypatch.context() as patched:
        patched.setattr(campaign.time, "time", lambda: next(clock))
        first = campaign.campaign(RUNS[:2], tmp_path, "cpu", budget=0.5)
    assert first.interrupted == ["tiny/0", "tiny/1"] and not first.finished
    assert [path.name[:2] for path in tmp_path.rglob("*.checkpoint")] == ["0."]
    campaign.campaign(RUNS[:2], tmp_path, "cpu")
    campaign.campaign(RUNS[:2], tmp_path / "whole", "cpu")
    assert all_below(tmp_path / "tiny") == all_below(tmp_path / "whole")
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_two_campaigns_share_a_folder(tmp_path):
    with campaign.claimed(tmp_path / "tiny/1.json") as mine:
        assert mine
        outcome = campaign.campaign(RUNS[:3], tmp_path, "cpu")
    assert outcome.elsewhere == ["tiny/1"] and outcome.finished == ["tiny/0", "tiny/2"]
    assert campaign.campaign(RUNS[:3], tmp_path, "cpu").finished == ["tiny/0", "tiny/1", "tiny/2"]


def test_what_a_run_complains_of_stops_no_other(tmp_path):
    impossible = replace(ONE, name="tiny/impossible", network=NetworkConfig(out_channels=1))
    outcome = campaign.campaign([impossible, ONE], tmp_path, "cpu")
    assert outcome.finished == ["tiny/0"] and "too small" in outcome.failed["tiny/impossible"]


class Broken(Denoising):
    def problem(self, seed):
        raise ZeroDivisionError("no such problem")


class Deadly(Denoising):
    def problem(self, seed):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_of_any_kind_in_one_run_is_reported_and_the_others_go_on(tmp_path, caplog, capsys, workers):
    broken = replace(ONE, name="tiny/broken", task=Broken("camera", side=32))
    outcome = campaign.campaign([broken, *RUNS[:2]], tmp_path, "cpu", workers=workers)
    assert sorted(outcome.finished) == ["tiny/0", "tiny/1"] and not list(tmp_path.rglob("*.lock"))
    assert outcome.failed == {"tiny/broken": "ZeroDivisionError: no such problem"}
    assert "tiny/broken" in caplog.text and "in problem" in caplog.text  # the traceback
    said = capsys.readouterr().err
    assert workers == 1 or ("| 40.0/60.0 [" in said and "3 of 3 runs" in said)  # the iterations of all workers
    campaign.campaign(RUNS[:3], tmp_path, "cpu", workers=workers)
    assert workers == 1 or "| 20.0/20.0 [" in capsys.readouterr().err  # without those of finished runs


@pytest.mark.slow
def test_a_run_that_kills_its_workers_does_not_end_the_campaign(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "MOST_DEATHS", 3)
    deadly = replace(ONE, name="tiny/deadly", task=Deadly("camera", side=32))
    outcome = campaign.campaign([deadly, *RUNS[:2]], tmp_path, "cpu", workers=2)
    assert sorted(outcome.finished) == ["tiny/0", "tiny/1"] and outcome.failed.keys() == {"tiny/deadly"}
    assert "enough memory" in outcome.failed["tiny/deadly"]


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(tmp_path):
    longer = [replace(run, settings=Settings(300)) for run in RUNS]
    killed = []

    def kill_one():
        while not killed:
            time.sleep(0.2)
            workers = multiprocessing.active_children()
            if workers and list(tmp_path.rglob("*.lock")):  # at work
                workers[0].kill()
                killed.append(workers[0])

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    outcome = campaign.campaign(longer, tmp_path, "cpu", workers=2)
    killer.join(5)
    assert killed and sorted(outcome.finished) == [run.name for run in longer] and not outcome.failed
    assert len(all_below(tmp_path)) == 4


@pytest.mark.slow
def test_killed_ten_times_it_ends_with_the_same_records(tmp_path):
    script = (
        "import pathlib, sys; from dip_repro import checkpoint; from dip_repro.study import campaign;"
        "checkpoint.SECONDS = 0;"  # a checkpoint at every report: kills hit it
        "queue = campaign.select(['restoration-50'], 'quick');"
        "campaign.campaign(queue, pathlib.Path(sys.argv[1]), 'cpu')"
    )
    start = [sys.executable, "-c", script]
    draw = random.Random(0)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for _ in range(10):
        process = subprocess.Popen([*start, str(tmp_path / "killed")], **quiet)
        time.sleep(draw.uniform(2, 7))
        process.kill()
        process.wait()
    for folder in ("killed", "alone"):
        subprocess.run([*start, str(tmp_path / folder)], check=True, **quiet)
    killed, alone = (all_below(tmp_path / folder) for folder in ("killed", "alone"))
    assert len(alone) == 2 and killed == alone
    assert not list((tmp_path / "killed").rglob("*.checkpoint"))


def test_what_cannot_be_written_is_told_and_what_was_saved_is_whole(tmp_path, monkeypatch):
    campaign.campaign(RUNS[:1], tmp_path, "cpu")
    for call in ("mkdir", "replace"):  # before the run, and when all but the end is done
        with monkeypatch.context() as patched:
            patched.setattr(Path, call, lambda *_, **__: (_ for _ in ()).throw(FULL))
            outcome = campaign.campaign(RUNS[:2], tmp_path, "cpu")
        assert "No space left on device" in outcome.failed["tiny/1"]
        assert all_below(tmp_path).keys() == {"tiny/0"} and not list(tmp_path.rglob("*.partial"))
    assert campaign.campaign(RUNS[:2], tmp_path, "cpu").finished == ["tiny/0", "tiny/1"]


def test_a_full_disk_and_a_damaged_checkpoint_are_told(tmp_path, monkeypatch):
    path = tmp_path / "x.checkpoint"
    _, fit = runs.prepare(ONE, "cpu", checkpoint=path)
    reports = iter(fit)
    next(reports)
    fit.checkpoint.write()
    whole = path.read_bytes()
    with monkeypatch.context() as patched, pytest.raises(UserError, match="No space left on device"):
        patched.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(FULL))
        fit.checkpoint.write()
    assert path.read_bytes() == whole
    for damaged in (b"", whole[:-100], b"x" * 100):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="a damaged checkpoint; remove it"):
            runs.prepare(ONE, "cpu", checkpoint=path)
    reports.close()


def test_selection_is_by_experiment_or_pattern():
    assert campaign.select(["start"], "quick") == list(experiments.find("start").runs("quick"))
    assert [run.name for run in campaign.select(["text", "restoration-50/house"], "paper")] == [
        "text/paper",
        "restoration-50/house",
    ]
    assert len(campaign.select(["start", "start/quick"], "quick")) == 1
    for table, cells in (tables.CELLS | tables.OF_2017).items():
        for wanted in (table, f"{table}/*"):
            if wanted not in experiments.EXPERIMENTS:
                found = campaign.select([wanted], "paper")
                assert set(cells.values()) <= set(found), wanted
    with pytest.raises(UserError, match="did you mean restoration-50/house"):
        campaign.select(["restoration-50/hose"], "paper")


def test_budgets_are_read():
    assert [study_cli.seconds(text) for text in ("90", "90s", "9m", "1.5h")] == [90, 90, 540, 5400]
    with pytest.raises(UserError, match="is not a time"):
        study_cli.seconds("soon")


def test_collecting_takes_what_stands_and_refuses_the_rest(tmp_path, monkeypatch):
    monkeypatch.setitem(experiments.EXPERIMENTS, "tiny", Experiment("tiny", "", "", {"quick": tuple(RUNS)}))
    source, target = tmp_path / "source", tmp_path / "target"
    campaign.campaign(RUNS, source, "cpu")

    def spoil(seed: int, **changes):
        path = source / f"tiny/{seed}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    changed = replace(RUNS[1], settings=Settings(30))
    spoil(1, configuration=changed.configuration, key=records.key(changed.configuration))
    spoil(2, inputs={"truth": "0"})
    spoil(3, schema=0)
    taken, refused = campaign.collect(source, target)
    assert taken == ["tiny/0"] and all_below(target).keys() == {"tiny/0"} and (target / "tiny/0.png").exists()
    assert len(refused) == 3
    assert all(any(word in sentence for sentence in refused) for word in ("schema", "inputs", "declared otherwise"))
    assert campaign.collect(source, target)[0] == ["tiny/0"]
    with pytest.raises(UserError, match="no such folder"):
        campaign.collect(tmp_path / "nowhere", target)
    result = CliRunner().invoke(cli.app, ["study", "collect", str(source), "--out", str(target)])
    assert "1 records copied, 3 refused" in result.output and isinstance(result.exception, UserError)


def test_bad_ways_to_run_are_told(tmp_path):
    with pytest.raises(UserError, match="1 or more"):
        campaign.campaign(RUNS, tmp_path, workers=0)


@pytest.mark.parametrize("called", ["SpawnProcess-{}", "SpawnProcess-7:{}"])  # the second in a process of a pool
def test_workers_get_cores_of_their_own(called, monkeypatch):
    bound, threads = [], []
    monkeypatch.setattr(campaign.os, "sched_setaffinity", lambda process, cores: bound.append(cores), raising=False)
    monkeypatch.setattr(campaign.torch, "set_num_threads", threads.append)
    for cores, workers, places, each in (
        ([0, 1, 2, 3], 2, [[0, 2], [1, 3]], 2),
        ([4, 5], 3, [[4], [5], [4, 5]], 1),
    ):
        monkeypatch.setattr(campaign.runtime, "cores", lambda cores=cores: cores)
        with campaign.processes(workers, [0] * workers) as pool:
            for number in range(7, 7 + workers):  # after others had ended
                name = called.format(number)
                monkeypatch.setattr(multiprocessing, "current_process", lambda name=name: SimpleNamespace(name=name))
                pool._initializer(*pool._initargs)
        assert sorted(bound[-workers:]) == sorted(places) and threads[-workers:] == [each] * workers
