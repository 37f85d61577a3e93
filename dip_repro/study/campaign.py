"""Many runs: a queue on any `concurrent.futures.Executor` that skips what is finished and goes on with what is not."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from dip_repro import runtime
from dip_repro.runtime import UserError
from dip_repro.study import experiments, records, runs
from dip_repro.study.runs import Run

MOST_DEATHS = 20  # of worker processes, before a campaign gives up


@dataclass
class Outcome:
    """The names of a campaign's runs by what became of them; `failed` holds a sentence for each."""

    finished: list[str]
    interrupted: list[str]  # by the budget; their checkpoints wait
    elsewhere: list[str]  # another campaign is at them
    failed: dict[str, str]


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Yield whether this process alone works for the record at `path`; the system lets go when a process dies."""
    try:
        import fcntl
    except ImportError:  # Windows: one campaign a folder
        yield True
        return
    with runtime.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
        Path(lock.name).unlink(missing_ok=True)  # who waits on the old file finds the record, or works beside: alike


def attempt(run: Run, folder: Path, device: str, precision: str, compiled: bool, until: float, progress: bool) -> str:
    """Perform one run in this process, and say what became of it: finished, interrupted or elsewhere."""
    if time.time() > until:
        return "interrupted"
    with claimed(folder / f"{run.name}.json") as mine:
        if not mine:
            return "elsewhere"
        done = runs.perform(run, folder, device, precision, compiled, progress, until)
    return "finished" if done else "interrupted"


class Inline(Executor):
    """An executor that does each task at once, in this process, where a progress bar can be seen."""

    def submit(self, function, /, *arguments, **named) -> Future:
        future: Future = Future()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - as every executor does
            future.set_exception(error)
        return future


def executor(workers: int, scheduler: str | None) -> Executor:
    """Return what runs the queue: this process, `workers` processes, or the Dask cluster at `scheduler`."""
    if scheduler:
        try:
            from distributed import Client
        except ImportError:
            raise UserError("--scheduler needs Dask: pip install 'dip_repro[cluster]'") from None
        try:
            return Client(scheduler, timeout=10).get_executor()
        except OSError:
            raise UserError(f"no Dask scheduler answers at {scheduler}: start one with `dask scheduler`") from None
    if workers == 1:
        return Inline()
    # More threads than cores bring a step from tenths of a second to seconds. (Dask sees to that by itself.)
    threads = max(1, torch.get_num_threads() // workers)
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, spawn, torch.set_num_threads, (threads,))


def campaign(
    queue: Iterable[Run],
    folder: Path = runs.RESULTS,
    device: str = "auto",
    precision: str = "float32",
    compiled: bool = False,
    budget: float = math.inf,
    workers: int = 1,
    scheduler: str | None = None,
) -> Outcome:
    """Perform every run of `queue` that has no record below `folder`; stop cleanly after `budget` seconds.

    A worker that is killed loses no record: its run is done again, from its checkpoint where that is there. Several
    campaigns may share a folder: a run is one process's at a time.

    Raises
    ------
    UserError : workers died again and again, or no scheduler answers. What a run itself complains of is in `failed`.
    """
    if workers < 1:
        raise UserError(f"{workers} workers do no work: give 1 or more")
    until, named = time.time() + budget, {run.name: run for run in queue}
    became: dict[str, str | UserError] = {}
    alone = workers == 1 and not scheduler  # then the bar is the run's own: several would write over one another
    for _ in range(MOST_DEATHS):
        left = {name: run for name, run in named.items() if name not in became}
        with executor(workers, scheduler) as pool, tqdm(total=len(left), unit="run", disable=alone) as bar:
            how = Path(folder).absolute(), device, precision, compiled, until, alone
            futures = {pool.submit(attempt, run, *how): name for name, run in left.items()}
            for future in as_completed(futures):
                name = futures[future]
                try:
                    became[name] = future.result()
                except UserError as error:
                    became[name] = error
                except BrokenExecutor:
                    continue  # a worker died, and its pool with it: once more, in another
                bar.update()
        if len(became) == len(named):
            break
    else:
        raise UserError(f"workers died {MOST_DEATHS} times: {len(left)} runs are left; is memory short?")
    groups = {what: [n for n in named if became[n] == what] for what in ("finished", "interrupted", "elsewhere")}
    return Outcome(**groups, failed={n: str(became[n]) for n in named if isinstance(became[n], UserError)})


def select(selection: Iterable[str], profile: str) -> list[Run]:
    """Return the runs that `selection` names: experiments ("denoising"), or runs by pattern ("sr4-set5/*").

    A pattern is looked for in `profile`.
    """
    return list({run.name: run for wanted in selection for run in experiments.matching(wanted, profile)}.values())


def collect(source: Path, folder: Path = runs.RESULTS) -> tuple[list[str], list[str]]:
    """Copy the records below `source` that stand to `folder`; return their names, and a sentence for each refused.

    Refused: a damaged record or one of another schema, of a configuration that is not declared today, of other inputs
    than its task makes here, without its reconstruction, or where `folder` holds another.
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
