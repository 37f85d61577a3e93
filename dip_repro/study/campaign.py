"""Many runs, in this process or on several: finished ones are skipped, interrupted ones are resumed."""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, MutableSequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from dip_repro import runtime
from dip_repro.fitting import Report
from dip_repro.runtime import UserError
from dip_repro.study import experiments, records, runs
from dip_repro.study.runs import Run

COUNTED: list = []  # in a worker: the counts of all, and its own place among them
MOST_DEATHS = 20  # of worker processes, before a campaign gives up
SPAWN = multiprocessing.get_context("spawn")
Counts = MutableSequence[int]  # the iterations that each worker has done, in memory that all share


@dataclass
class Outcome:
    """The names of a campaign's runs, by what became of them; for those that failed, why."""

    finished: list[str]
    interrupted: list[str]  # by the budget; their checkpoints are kept
    elsewhere: list[str]  # another process is running them
    failed: dict[str, str]


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Yield whether this process alone works on the record at `path`; the claim ends with the process."""
    lock = FileLock(path.with_suffix(".lock"))
    with runtime.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(Timeout):
            lock.acquire(blocking=False)
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            with contextlib.suppress(PermissionError):  # Windows, where `release` removes the file
                Path(lock.lock_file).unlink()
            lock.release()


def attempt(run: Run, folder: Path, device: str, precision: str, compiled: bool, until: float, progress: bool) -> str:
    """Perform one run in this process, and say what became of it: finished, interrupted or elsewhere."""
    seen = 0

    def interrupt(report: Report) -> bool:
        nonlocal seen
        for counts, place in COUNTED:
            counts[place] += report.iteration - seen
        seen = report.iteration
        return time.time() > until

    if time.time() > until:
        return "interrupted"
    with claimed(folder / f"{run.name}.json") as mine:
        if not mine:
            return "elsewhere"
        done = runs.perform(run, folder, device, precision, compiled, progress, interrupt)
    return "finished" if done else "interrupted"


class Inline(Executor):
    """An executor that does each task at once in this process, where its progress bar can be seen."""

    def submit(self, function, /, *arguments, **named) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - as every executor does
            future.set_exception(error)
        return future


def processes(workers: int, counts: Counts) -> Executor:
    """Return an executor of so many processes, each with cores of its own: more threads than cores are slow."""
    return ProcessPoolExecutor(workers, SPAWN, take_place, (workers, runtime.cores(), counts))


def take_place(workers: int, every: list[int], counts: Counts) -> None:
    """Bind this process, one of so many, to its share of the cores, with a thread for each, and to its own count."""
    # They are numbered as they start: "SpawnProcess-2", and in a process that was itself started so "SpawnProcess-7:2".
    number = int(re.findall(r"\d+", multiprocessing.current_process().name)[-1])
    cores = every[number % workers :: workers] or every
    threads = max(1, len(every) // workers)
    COUNTED[:] = [(counts, number % workers)]  # without a lock, which a killed worker would hold for ever
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    torch.set_num_threads(threads)


def take_in(future: Future, name: str, became: dict[str, str], failed: dict[str, str]) -> None:
    """Note what became of a run; nothing where its worker died, and the pool with it: it is done again in another."""
    try:
        became[name] = future.result()
    except BrokenExecutor:
        pass
    except UserError as error:
        failed[name] = str(error)
    except Exception as error:
        logging.exception("%s failed", name)
        failed[name] = f"{type(error).__name__}: {error}"


def campaign(
    queue: Iterable[Run],
    folder: Path = runs.RESULTS,
    device: str = "auto",
    precision: str = "float32",
    compiled: bool = False,
    budget: float = math.inf,
    workers: int = 1,
) -> Outcome:
    """Perform every run of `queue` that has no record below `folder`; after `budget` seconds, save and stop.

    An error in one run is reported in `failed`, and the others go on. The run of a worker that is killed is done again,
    from its checkpoint if there is one. Several campaigns, on one machine or on many, may share a folder.

    Raises
    ------
    UserError : no worker.
    """
    if workers < 1:
        raise UserError(f"{workers} workers do no work: give 1 or more")
    until, named = time.time() + budget, {run.name: run for run in queue}
    became: dict[str, str] = {}
    failed: dict[str, str] = {}
    left = list(named)
    alone = workers == 1  # then a run shows its own progress; the bars of several would mix
    missing = named.keys() - {run.name for run in runs.finished(named.values(), folder)}
    total, counts = sum(named[name].settings.iterations for name in missing), SPAWN.RawArray("q", workers)
    with tqdm(total=total, unit="it", unit_scale=True, disable=alone) as bar:
        for _ in range(MOST_DEATHS):
            with Inline() if alone else processes(workers, counts) as pool:
                how = Path(folder).absolute(), device, precision, compiled, until, alone
                futures = {pool.submit(attempt, named[name], *how): name for name in left}
                waiting = set(futures)
                while waiting:
                    ended, waiting = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
                    for future in ended:
                        take_in(future, futures[future], became, failed)
                    bar.set_postfix_str(f"{len(became) + len(failed)} of {len(named)} runs", refresh=False)
                    bar.update(sum(counts) - bar.n)
            left = [name for name in left if name not in became and name not in failed]
            if not left:
                break
            left = left[1:] + left[:1]  # if it is the first that kills its worker, the others come before it now
            workers = max(1, workers // 2)  # fewer at once: too little memory is the usual cause
    failed |= dict.fromkeys(left, f"its workers died, {MOST_DEATHS} of them; is there enough memory?")
    groups = {what: [n for n in named if became.get(n) == what] for what in ("finished", "interrupted", "elsewhere")}
    return Outcome(**groups, failed=failed)


def select(selection: Iterable[str], profile: str) -> list[Run]:
    """Return the runs that `selection` names in `profile`: experiments ("denoising"), or patterns ("sr4-set5/*")."""
    return list({run.name: run for wanted in selection for run in experiments.matching(wanted, profile)}.values())


def collect(source: Path, folder: Path = runs.RESULTS) -> tuple[list[str], list[str]]:
    """Copy the valid records below `source` to `folder`; return their names, and a sentence for each that is refused.

    A record is refused if it is damaged, has another schema, a configuration that is not declared today, other inputs
    than its task has here, or no reconstruction beside it, or if `folder` holds another of its name.
    """
    if not source.is_dir():
        raise UserError(f"{source}: no such folder to collect from")
    found, refused = records.load_all(source)
    taken = []
    for name, record in tqdm(found.items(), unit="record"):
        try:
            run = experiments.declared(record)
            if runs.input_hashes(runs.problem_of(run)) != record["inputs"]:
                raise UserError(f"{name}: its inputs are not those that its task makes here; it is not counted")
            target, origin = folder / f"{name}.json", source / f"{name}.json"
            if target.exists() and records.load(target)["key"] != record["key"]:
                raise UserError(f"{target} is the record of another configuration: move it away")
            if not origin.with_suffix(".png").exists():
                raise UserError(f"{name}: its reconstruction is missing")
        except UserError as error:
            refused.append(str(error))
            continue
        if not target.exists():
            for suffix in (".png", ".json"):
                with runtime.written_whole(target.with_suffix(suffix)) as partial:
                    shutil.copyfile(origin.with_suffix(suffix), partial)
        taken.append(name)
    return taken, refused
