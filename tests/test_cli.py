import os
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
import torch
from conftest import call
from typer.testing import CliRunner

import dip_repro
from dip_repro import cli, console, images
from dip_repro.runtime import UserError
from dip_repro.study import cli as study_cli
from dip_repro.study import experiments, tables


def test_list_names_every_experiment():
    assert {"start", "restoration-50", "branching"} <= set(call("study", "list").output.split())


def wrong(tmp_path, photo):
    images.save(torch.ones(1, 30, 40), tmp_path / "other-size.png")
    images.save(torch.zeros(1, 40, 40), tmp_path / "nothing-known.png")
    (tmp_path / "empty.png").touch()
    images.save(torch.ones(3, 1, 1), tmp_path / "one-pixel.png")
    tifffile.imwrite(tmp_path / "nan.tif", np.full((40, 40), np.nan, np.float32))
    return [
        (("denoise", tmp_path / "none.png"), "no file of this name"),
        (("denoise", tmp_path / "empty.png"), "it is empty"),
        (("denoise", tmp_path / "nan.tif"), "NaN"),
        (("denoise", tmp_path / "one-pixel.png"), "too small"),
        (("denoise", "astronaut", "--device", "abacus"), "not one PyTorch knows"),
        (("denoise", photo, "--out", tmp_path / "no/where.png"), "no such folder"),
        (("inpaint", photo, tmp_path / "other-size.png"), "give them the same size"),
        (("inpaint", photo, tmp_path / "nothing-known.png"), "every pixel is missing"),
        (("denoise", "astronaut", "--device", "mps"), "sees none"),
        (("denoise", tmp_path / "phooto.png"), "did you mean .*photo.png"),
        (("denoise", "mood"), "no file of this name$"),
        (("study", "table", "--records", tmp_path / "nowhere"), "no such folder of records"),
        (("study", "run", "restoration"), "did you mean restoration-50"),
    ]


def test_bad_input_is_told_in_one_sentence(tmp_path, photo):
    for arguments, sentence in wrong(tmp_path, photo):
        with pytest.raises(UserError, match=sentence) as caught:
            call(*arguments)
        assert "\n" not in str(caught.value)


def test_an_error_ends_the_command_with_one_line_and_a_code():
    done = subprocess.run(
        [sys.executable, "-c", "from dip_repro.cli import main; main()", "denoise", "astronout"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stderr.startswith("dip-repro: astronout") and done.stderr.count("\n") == 1


def test_the_package_imports_without_the_notebook_stack():
    code = (
        "import sys\n"
        "for name in ('pooch', 'IPython', 'matplotlib'): sys.modules[name] = None\n"
        "import dip_repro.cli, dip_repro.study.cli, dip_repro.study.experiments, dip_repro.study.records"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_list_tells_how_long_finished_runs_took():
    queue = experiments.find("flash").runs("quick")
    done = {run.name: {"run": {"seconds": 100.0}} for run in queue}
    assert study_cli.extent(queue, {}) == "2 runs, none done"
    assert study_cli.extent(queue, {queue[0].name: done[queue[0].name]}) == "2 runs, 1 done in 100 s"
    assert study_cli.extent(queue, done) == "2 runs, 3 min"


def test_the_doctor_says_what_a_step_takes_and_what_that_means_for_the_tables():
    said = call("study", "doctor", "--side", 64).output
    assert "float32" in said and "s a step" in said and "fastest" in said
    assert all(table.title in said for table in tables.TABLES.values())


def test_a_ctrl_c_while_a_class_is_made_is_one(monkeypatch):
    class Interrupting:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt

    def app():
        type("Made", (), {"part": Interrupting()})  # Python 3.11 raises it as the cause of a RuntimeError

    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    with pytest.raises(SystemExit, match="dip-repro: interrupted"):
        console.ended(app, lambda: "interrupted")


def test_a_ctrl_c_that_meets_a_destructor_is_not_lost(monkeypatch):
    class Interrupted:
        def __del__(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "unraisablehook", console.repeat_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        Interrupted()
        for _ in range(300):  # Python looks for it between two sleeps
            time.sleep(0.1)


def test_it_says_its_version_and_is_a_module():
    said = subprocess.run([sys.executable, "-m", "dip_repro", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"dip-repro {dip_repro.__version__}\n"


def test_quiet_says_nothing_and_another_seed_is_another_result(photo, tmp_path):
    results = []
    for number, seed in enumerate((0, 0, 1)):
        out = tmp_path / f"{number}.png"
        said = call("denoise", photo, "--iterations", 2, "--seed", seed, "--quiet", "--device", "cpu", "--out", out)
        assert said.output == ""
        results.append(images.open_image(out))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_cannot_show_does_not_end_the_work(encoding, photo, tmp_path):
    name = photo.with_name("写真.png")
    photo.rename(name)
    more = {"PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"}
    arguments = ["denoise", name, "--iterations", "2", "--device", "cpu"]
    done = subprocess.run([sys.executable, "-m", "dip_repro", *arguments], env=os.environ | more, capture_output=True)
    assert done.returncode == 0 and b"-restored.png: did all 2 iterations" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["写真-restored.png", "写真.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_stdout_does_not_end_the_work(photo, tmp_path):
    arguments = ["denoise", photo, "--iterations", "2", "--device", "cpu"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([sys.executable, "-m", "dip_repro", *arguments], stdout=full)
    assert done.returncode == 0 and (tmp_path / "photo-restored.png").exists()


def test_values_of_options_are_completed():
    for before, expected in (("denoise x.png --setting ", "recommended"), ("study run start --profile ", "laptop")):
        more = {
            "_DIP_REPRO_COMPLETE": "complete_bash",
            "COMP_WORDS": f"dip-repro {before}",
            "COMP_CWORD": str(len(before.split()) + 1),
        }
        code = "import sys; sys.argv = ['dip-repro']; from dip_repro.cli import app; app(prog_name='dip-repro')"
        said = subprocess.run([sys.executable, "-c", code], env=os.environ | more, capture_output=True, text=True)
        assert expected in said.stdout.split()


def test_the_old_names_of_the_study_work_with_a_line():
    result = call("table", "--format", "csv")
    assert "`dip-repro table` is now `dip-repro study table`" in result.stderr
    assert result.stdout == call("study", "table", "--format", "csv").stdout


def test_a_value_that_is_none_of_a_few_is_told_with_them():
    result = CliRunner().invoke(cli.app, ["study", "run", "start", "--profile", "big"])
    assert result.exit_code == 2 and all(name in result.output for name in ("quick", "laptop", "paper"))


def test_the_commands_for_photos_do_not_import_the_study():
    code = (
        "import sys; from dip_repro import cli\n"
        "try: cli.app(['denoise', 'no-such-photo.png'], standalone_mode=False)\n"
        "except Exception: pass\n"
        "assert not [name for name in sys.modules if name.startswith('dip_repro.study')]"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
