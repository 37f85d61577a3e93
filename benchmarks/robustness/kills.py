"""kill −9 at random moments, and two processes on one folder: the records are those of a run left alone."""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from trial import DECLARED, RIGHT, RUNS, Row, command, fork, side_by_side

from dip_repro import checkpoint, images, runtime
from dip_repro.study import campaign, records

TRIALS = 40
SHARED = 10
SAVES = 40


def run_all(folder: Path) -> None:
    """Perform the tiny runs, with a checkpoint at every report."""
    checkpoint.SECONDS = 0
    campaign.campaign(RUNS, folder, "cpu")


def save_all(folder: Path) -> None:
    """Save records without a pause, and announce each once it is saved; those that are there already are kept."""
    folder.mkdir(exist_ok=True)
    with (folder / "announced").open("a") as announced:
        for number in range(SAVES):
            record, image = numbered(number)
            if not (folder / f"{record['name']}.json").exists():
                records.save(record, image, folder)
            announced.write(f"{record['name']}\n")
            announced.flush()


def numbered(number: int) -> tuple[dict, torch.Tensor]:
    """Return a record as large as one of the paper's tables, and its image: both differ from number to number."""
    configuration = {"number": number}
    curve = [number / 7 + k for k in range(2000)]
    record = {name: {} for name in records.FIELDS} | {"schema": records.SCHEMA, "name": f"saved-{number}"}
    record |= {"configuration": configuration, "key": records.key(configuration), "curves": {"loss": curve}}
    return record, torch.full((3, 64, 64), number / 255)


def quietly(work: Callable[[Path], None], folder: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # progress bars
    work(folder)


def started(work: Callable[[Path], None], folder: Path) -> multiprocessing.Process:
    process = fork.Process(target=quietly, args=(work, folder))
    process.start()
    return process


def same(record: dict) -> dict:
    """Return what two records of one configuration share: all but time and host."""
    curves = {name: values for name, values in record["curves"].items() if name != "seconds"}
    told = {name: value for name, value in record["run"].items() if name not in ("seconds", "peak_memory_mb")}
    return {k: v for k, v in record.items() if k != "provenance"} | {"curves": curves, "run": told}


def counted(folder: Path) -> tuple[dict, list[str]]:
    """Return the records that are counted below `folder`, each with its image, and what is damaged."""
    found, damaged = records.load_all(folder)
    return {n: (same(r), images.open_image(folder / f"{n}.png").tolist()) for n, r in found.items()}, damaged


def announced(folder: Path) -> set[str]:
    path = folder / "announced"
    return set(path.read_text().splitlines()) if path.exists() else set()


def killed(work: Callable[[Path], None], row: Row) -> Row:
    """Kill `work` at a random moment, look at what is counted, and let it go on; until `TRIALS` were killed at work."""
    draw = random.Random(row.trial)
    resumed = leftovers = trial = 0
    with tempfile.TemporaryDirectory() as name:
        alone = Path(name) / "alone"
        start = time.monotonic()
        started(work, alone).join()
        took = time.monotonic() - start
        whole, _ = counted(alone)
        while row.right + len(row.wrong) < TRIALS:
            trial += 1
            folder = Path(name) / str(trial)
            process = started(work, folder)
            process.join(draw.uniform(0, took))
            process.kill()
            process.join()
            if process.exitcode != -signal.SIGKILL:
                continue  # it had finished
            resumed += any(folder.rglob("*.checkpoint"))
            leftovers += len(list(folder.rglob("*.partial")))
            first, damaged = counted(folder)
            said = announced(folder)
            started(work, folder).join()
            last, damaged_after = counted(folder)
            if damaged or damaged_after:
                row.count(f"trial {trial}: half-written, and under a record's name: {damaged + damaged_after}")
            elif not said <= first.keys() or not first.items() <= whole.items():
                row.count(f"trial {trial}: a record was lost, or one is not what was saved")
            else:
                row.count(RIGHT if last == whole else f"trial {trial}: the records are not those of a run left alone")
    row.note = f"{leftovers} leftover .partial files, none of them counted"
    row.note += f"; {resumed} went on from a checkpoint" if resumed else ""
    return row


def kills() -> list[Row]:
    torch.set_num_threads(1)
    runtime.commit()  # asked of git once, not in every fork
    moment = "kill −9 at a random moment of"
    return [
        killed(run_all, Row("kills", f"{moment} a campaign with a checkpoint at every report, then once more")),
        killed(save_all, Row("kills", f"{moment} saving records without a pause, then once more")),
    ]


def shared() -> list[Row]:
    """Two processes work on one folder at once, while a third reads it."""
    torch.set_num_threads(1)
    row = Row("shared", "two campaigns on one folder at once, read all the while")
    looks = 0
    with tempfile.TemporaryDirectory() as name:
        started(run_all, Path(name) / "alone").join()
        whole, _ = counted(Path(name) / "alone")
        for trial in range(SHARED):
            folder = Path(name) / str(trial)
            both = [started(run_all, folder) for _ in range(2)]
            torn = []
            while any(process.is_alive() for process in both):
                torn += records.load_all(folder)[1] if folder.exists() else []
                looks += 1
                time.sleep(0.01)
            codes = [process.exitcode for process in both]
            left = [path.name for path in folder.rglob("*") if path.suffix in (".lock", ".partial", ".checkpoint")]
            fine = codes == [0, 0] and not torn and not left and counted(folder)[0] == whole
            row.count(RIGHT if fine else f"trial {trial}: exit codes {codes}, torn {torn}, left {left}")
        row.note = f"{looks} looks at the folder meanwhile, none of which met half a record"
        commands = Row("shared", "two `dip-repro study run --out` of one folder at once")
        for trial in range(3):
            folder = Path(name) / f"command-{trial}"
            call = functools.partial(
                command,
                *("study", "run", "tiny", "--out", folder, "--device", "cpu"),
                prelude=DECLARED,
                right=lambda: True,
            )
            became = side_by_side([call, call])
            commands.count(*(b if counted(folder)[0] == whole else f"{b}, but other records" for b in became))
    return [row, commands]
