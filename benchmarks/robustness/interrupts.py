"""Ctrl-C at random moments, checkpoints that lie, and results that would be written over their own input."""

from __future__ import annotations

import functools
import io
import itertools
import os
import pickle
import random
import tempfile
import time
import zipfile
from pathlib import Path

import torch
from files import PICTURE
from folders import OFTEN, made
from kills import counted, started
from trial import DECLARED, RIGHT, RUNS, TOLD, Row, command

from dip_repro import images
from dip_repro.study import runs

TRIALS = 40
EVERY_STEP = """
import dataclasses, trial
trial.RUNS[:] = [dataclasses.replace(run, settings=dataclasses.replace(run.settings, report_every=1)) for run in RUNS]
experiments.EXPERIMENTS["tiny"] = experiments.Experiment("tiny", "", "", {"quick": tuple(trial.RUNS)})
"""


def interrupts() -> list[Row]:
    row = Row(
        "interrupts", "Ctrl-C at a random moment of `dip-repro study run`, then the same command: every step the same"
    )
    draw, trials = random.Random(row.trial), itertools.count()
    with tempfile.TemporaryDirectory() as name:

        def run(folder: str, **how) -> str:
            out = Path(name) / folder
            return command(
                "study", "run", "tiny", "--out", out, "--device", "cpu", prelude=DECLARED + EVERY_STEP + OFTEN, **how
            )

        start = time.monotonic()
        row.count(run("alone", right=lambda: True))
        took = time.monotonic() - start
        whole, _ = counted(Path(name) / "alone")
        while row.right + row.told + len(row.wrong) < TRIALS:
            folder, start = f"{next(trials)}", time.monotonic()
            became = run(folder, right=lambda: True, interrupt_after=draw.uniform(0.01, took))
            if became == RIGHT:  # it had finished
                took = min(took, time.monotonic() - start)
                continue
            first, damaged = counted(Path(name) / folder)
            then = run(folder, right=lambda at=Path(name) / folder: counted(at)[0] == whole)
            sound = became == TOLD and not damaged and first.items() <= whole.items()
            row.count(then if sound else f"{folder}: {became}; damaged: {damaged}")
    row.note = "each of the 40 steps is in the record"
    return [row, of_runs()]


def of_runs() -> Row:
    row = Row(
        "interrupts",
        "Ctrl-C at a random moment of `dip-repro denoise --runs 2`, side by side: the mean so far, or a sentence",
    )
    draw, prelude = random.Random(row.trial), "import torch; torch.set_num_threads(2)"
    with tempfile.TemporaryDirectory() as name:
        photo = Path(name) / "photo.png"
        PICTURE.save(photo)

        def denoised(out: Path, **how) -> str:
            def whole() -> bool:
                read = images.open_image(out).shape[-2:] == PICTURE.size[::-1]
                return read and {path.name for path in Path(name).iterdir()} == {"photo.png", out.name}

            options = ("--runs", 2, "--iterations", 40, "--device", "cpu", "--out", out)
            became = command("denoise", photo, *options, prelude=prelude, right=whole, **how)
            left = {path.name for path in Path(name).iterdir()} - {"photo.png", out.name}
            for path in Path(name).iterdir():
                if path != photo:
                    path.unlink()
            return f"{became}, and left {', '.join(sorted(left))}" if left else became

        start = time.monotonic()
        row.count(denoised(Path(name) / "alone.png"))
        took = time.monotonic() - start
        for trial in range(TRIALS):
            row.count(denoised(Path(name) / f"{trial}.png", interrupt_after=draw.uniform(0.01, took)))
    return row


class Harmful:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def forged(sound: bytes, mark: Path) -> dict[str, bytes]:
    """Return files in the place of the checkpoint `sound`; where code of one is executed, `mark` appears."""
    buffer = io.BytesIO()
    torch.save({"network": Harmful(mark)}, buffer)
    state = torch.load(io.BytesIO(sound), weights_only=True)
    files = {"empty": b"", "noise": random.Random(0).randbytes(5000), "code in a pickle": pickle.dumps(Harmful(mark))}
    files |= {"code in a checkpoint": buffer.getvalue(), "no checkpoint": b"PK\x05\x06" + bytes(18)}
    files |= {f"cut at {share}": sound[: int(len(sound) * share)] for share in (0.1, 0.5, 0.9, 0.999)}
    changes = {
        "of another run": {"identity": "0" * 64},
        "without rows": {"rows": None},
        "of another shape": {"image": torch.zeros(1, 1, 8, 8)},
        "without a network": {"network": {}},
        "counts of words": {"counts": ["many"] * 4},
        "past its end": {"counts": [10**9, 0, 0.0, False]},
        "a list": None,
    }
    for what, change in changes.items():
        torch.save(list(state) if change is None else state | change, buffer := io.BytesIO())
        files[what] = buffer.getvalue()
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", bytes(10**8))
    return files | {"a bomb of 100 MB in 100 kB": buffer.getvalue()}


def checkpoints() -> list[Row]:
    row = Row("checkpoints", "a checkpoint that is damaged, forged or holds code, then without it")
    with tempfile.TemporaryDirectory() as name:
        folder, mark = Path(name) / "records", Path(name) / "executed"
        made(folder)
        whole, _ = counted(folder)
        started(
            lambda at: runs.perform(RUNS[0], at, "cpu", progress=False, interrupt=lambda report: True),
            Path(name) / "begun",
        ).join()
        (sound,) = (Path(name) / "begun").rglob("*.checkpoint")
        for what, content in forged(sound.read_bytes(), mark).items():
            at = Path(name) / what
            (at / "tiny").mkdir(parents=True)
            (forgery := at / "tiny" / sound.name).write_bytes(content)

            def as_alone(at: Path = at) -> bool:
                return counted(at)[0] == whole

            how = {"prelude": DECLARED, "right": as_alone}
            run = functools.partial(command, "study", "run", "tiny", "--out", at, "--device", "cpu", **how)
            row.count(f"{what}: its code was executed" if mark.exists() else run())
            forgery.unlink(missing_ok=True)
            row.count(run())
    return [row]


def itself() -> list[Row]:
    """The result, or the preview of the mask, has the name of an input: another name, or a sentence."""
    row = Row(
        "itself", "`--out` on the photo or the mask (also by a link, another spelling), a mask named as its preview"
    )
    short = ("--iterations", 2, "--device", "cpu")
    with tempfile.TemporaryDirectory() as name:
        photo, mask = Path(name) / "photo.png", Path(name) / "photo-restored-missing.png"  # the preview's name
        PICTURE.save(photo)
        PICTURE.convert("1").save(mask)
        (soft := Path(name) / "soft.png").symlink_to(photo)
        (hard := Path(name) / "hard.png").hardlink_to(photo)
        before = {path: path.read_bytes() for path in (photo, mask)}

        def untouched() -> bool:
            return all(path.read_bytes() == content for path, content in before.items())

        outs = (photo, soft, hard, mask, Path(name) / "." / "photo.png", Path(name) / "x" / ".." / "photo.png")
        (Path(name) / "x").mkdir()
        for what in (("denoise", photo), ("dejpeg", photo), ("upscale", photo), ("inpaint", photo, mask)):
            width = short if what[0] != "dejpeg" else (*short[:2], *short[4:])
            for out in outs:
                became = command(*what, "--out", out, *width)
                row.count(became if untouched() else f"{what[0]} --out {out}: an input was written over")
            row.count(command(*what, *width, right=untouched))
    return [row]
