"""A run: one fit, declared as plain data that decides its whole outcome, then performed and recorded."""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from dip_repro import images, metrics, runtime, stopping
from dip_repro.config import NetworkConfig, ResNetConfig, Settings
from dip_repro.fitting import Fit, FitResult, Report
from dip_repro.networks import noise_input
from dip_repro.runtime import CHECKOUT, ROOT, UserError
from dip_repro.study import records
from dip_repro.study.no_prior import PixelsConfig
from dip_repro.study.tasks import Problem, Task
from dip_repro.study.variants import Varied, strategies

RESULTS = ROOT / "data" / "results" if CHECKOUT else Path("results")


def numbers(rule: Callable) -> dict:
    """Return the numbers that a rule of `stopping` is made with, by name: its defaults, without the seed."""
    given = inspect.signature(rule).parameters.values()
    return {each.name: each.default for each in given if each.default is not each.empty and each.name != "seed"}


# The rules that may end a run, with all that decides when they do and what they keep.
STOPS: dict[str, dict] = {
    "": {},
    "variance": numbers(stopping.moving_variance),
    "held-out": numbers(stopping.recommended),
}
IN_RECORDS = {"variance_patience": "calm_patience"}  # records, and so their keys, have the earlier name of a number


@dataclass(frozen=True)
class Run:
    """One fit, and which of its images is scored.

    freeze : the freeze of the readings by which it is declared, by its number in docs/history.md; 0: before the first.
    scored : "image", the last iterate, or "average", the exponential average of the iterates.
    stop : the rule that ends the fit: "", none; "variance", `stopping.moving_variance`; "held-out",
    `stopping.recommended`. With a rule, the run's average is what the rule keeps.
    also_at : iterations at which the image that is scored is stored besides, as <name>-at-<iteration>.png.
    """

    name: str
    task: Task
    network: NetworkConfig | ResNetConfig | PixelsConfig
    settings: Settings
    seed: int = 0
    scored: str = "image"
    stop: str = ""
    freeze: int = 1
    also_at: tuple[int, ...] = ()

    def __post_init__(self):
        if self.stop not in STOPS:
            raise UserError(f"stop = {self.stop!r} is not one of {', '.join(STOPS)}")

    @property
    def configuration(self) -> dict:
        """Everything that decides the outcome, as JSON holds it."""
        varied = plain(self.settings if isinstance(self.settings, Varied) else Varied(**vars(self.settings)))
        return {
            "network": {"kind": type(self.network).__name__} | plain(self.network),
            "settings": varied,
            "task": {"kind": type(self.task).__name__} | plain(self.task),
            "seed": self.seed,
            "scored": self.scored,
            "stop": {"rule": self.stop} | {IN_RECORDS.get(n, n): number for n, number in STOPS[self.stop].items()},
        }

    @functools.cached_property
    def key(self) -> str:
        """The key of its record."""
        return records.key(self.configuration)

    @functools.cached_property
    def twins(self) -> str:
        """What the runs that differ from this one in the seed alone share, as `results.every` has it."""
        return records.key(self.configuration | {"seed": None})


def plain(part) -> dict:
    """Return a dataclass as JSON holds it: a tuple is a list, and an infinite number, a bound that is none, is null."""

    def as_json(value):
        infinite = isinstance(value, float) and math.isinf(value)
        return None if infinite else list(value) if isinstance(value, tuple) else value

    return {field.name: as_json(getattr(part, field.name)) for field in fields(part)}


def problem_of(run: Run) -> Problem:
    """Return the problem of a run with its rule, and with its z, drawn from the seed where the task gives none."""
    problem = run.task.problem(run.seed)
    if problem.z is None:
        problem.z = noise_input(run.network.in_channels, problem.corrupted.shape[-2:], run.seed)
    if run.stop == "variance":
        problem.stop = stopping.moving_variance(**STOPS[run.stop])
    elif run.stop == "held-out":
        problem.operator, problem.stop = stopping.recommended(problem.measurement, run.seed, **STOPS[run.stop])
        problem.measurement = problem.operator(problem.measurement)
    return problem


def input_hashes(problem: Problem) -> dict[str, str]:
    """Return the SHA-256 of each input tensor of a run, by name."""
    tensors = {"truth": problem.truth, "measurement": problem.measurement, "z": problem.z}
    return {name: records.tensor_hash(x) for name, x in tensors.items() if x is not None}


def prepare(run: Run, device: str = "auto", **how) -> tuple[Problem, Fit]:
    """Return the problem of a run, and its fit, ready to iterate over. Only the observer knows the ground truth.

    Without a ground truth nothing is scored; history and record then hold the loss.

    `how` goes to `Fit`: stop, checkpoint, progress, precision, compiled.
    """
    runtime.tune()
    problem = problem_of(run)
    assert problem.z is not None  # drawn there
    where = runtime.pick_device(device)
    network = run.network.build(run.seed).to(where)
    z, operator, observer = problem.z.to(where), problem.operator.to(where), problem.observer(where)
    how = (
        {"stop": problem.stop}
        | how
        | {"seed": run.seed, "observer": observer}
        | strategies(run.settings, run.seed, where)
    )
    return problem, Fit(problem.measurement, operator, network, z, run.settings, **how)


def fitted(run: Run, device: str = "auto") -> tuple[Problem, FitResult]:
    """Perform a run with a progress bar, and return its problem and its result. Nothing is saved."""
    problem, fitting = prepare(run, device, progress=True)
    for _ in fitting:
        pass
    return problem, fitting.result


def perform(
    run: Run,
    folder: Path = RESULTS,
    device: str = "auto",
    precision: str = "float32",
    compiled: bool = False,
    progress: bool = True,
    interrupt: Callable[[Report], bool] = lambda report: False,
) -> dict | None:
    """Perform a run, save its record below `folder`, and return the record; one that exists is returned as it is.

    An interrupted run resumes from its checkpoint. `interrupt` is shown each report; once it returns True, the run
    stops, its checkpoint stays, and None is returned.
    """
    path = folder / f"{run.name}.json"
    if path.exists():
        record = records.load(path)
        if record["key"] == run.key:
            return record
        raise UserError(f"{path} is the record of another configuration: move it away, or name another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    where = runtime.pick_device(device)
    # Read before the run: the code may change while it runs.
    provenance = runtime.provenance(where) | ({"compiled": True} if compiled else {})
    checkpoint = path.with_suffix(f".{run.key}.checkpoint")
    how = {"checkpoint": checkpoint, "progress": progress}
    problem, fitting = prepare(run, device, precision=precision, compiled=compiled, **how)
    with contextlib.closing(iter(fitting)) as reports:
        for report in reports:
            if report.iteration in run.also_at:
                so_far = report.image if run.scored == "image" else report.average
                images.save(so_far.cpu(), path.with_name(f"{path.stem}-at-{report.iteration}.png"))
            if interrupt(report):
                break
    if not fitting.stopped:
        return None
    result = fitting.result
    record = make_record(run, problem, result, where) | {"provenance": provenance | {"precision": fitting.precision}}
    records.save(record, getattr(result, run.scored), folder)
    checkpoint.unlink(missing_ok=True)  # only now is nothing lost with it
    return records.load(path)


def make_record(run: Run, problem: Problem, result: FitResult, device: torch.device) -> dict:
    """Return the record of a run, without its provenance. Without a ground truth, `scores` is empty."""
    history = result.history
    memory = runtime.peak_memory_mb(device)  # NaN where the system does not tell
    judged = {"corrupted": problem.corrupted, "image": result.image, "average": result.average}
    record: dict = {
        "schema": records.SCHEMA,
        "name": run.name,
        "freeze": run.freeze,
        "key": run.key,
        "configuration": run.configuration,
        "inputs": input_hashes(problem),
        "scores": {},
        "measures": {m: {n: round(float(f(x)), 4) for n, x in judged.items()} for m, f in problem.measures.items()},
        "curves": records.curves(history),
        "run": {
            "stopped": result.stopped,
            "iterations": int(history.iteration.iloc[-1]),
            "rollbacks": result.rollbacks,
            "seconds": round(result.seconds, 2),
            "peak_memory_mb": round(memory) if math.isfinite(memory) else memory,
        },
    }
    if problem.truth is None:
        return record
    scores = {name: problem.score(x, problem.truth) for name, x in judged.items()}
    scores["best_by_truth"] = history.psnr.max()
    record["scores"] = {name: round(float(value), 4) for name, value in scores.items()}
    record["scores"]["ssim"] = round(metrics.ssim(getattr(result, run.scored), problem.truth), 5)
    if history.psnr.notna().any():
        record["run"]["best_iteration_by_truth"] = int(history.iteration[history.psnr.idxmax()])
    return record


def finished(runs: Iterable[Run], folder: Path = RESULTS) -> dict[Run, dict]:
    """Return the record of each run that has one below `folder`.

    Damaged records, and records of another configuration than the run's, do not count.
    """
    runs = list(runs)
    found: dict[str, dict] = {}
    for parent in dict.fromkeys((folder / run.name).parent for run in runs):
        found |= records.load_all(parent)[0]
    answers = {run: found[run.name] for run in runs if run.name in found}
    return {run: record for run, record in answers.items() if record["key"] == run.key}


def complete(runs: Iterable[Run], folder: Path = RESULTS) -> dict[Run, dict]:
    """Return the record of each run, in their order; none at all where one is missing."""
    runs = list(runs)
    found = finished(runs, folder)
    return found if len(found) == len(runs) else {}


def recorded(runs: Iterable[Run], folder: Path = RESULTS) -> list[pd.DataFrame]:
    """Return the recorded history of each run; none at all where a record is missing."""
    return [records.history(record) for record in complete(runs, folder).values()]


def stored(runs: Iterable[Run], folder: Path = RESULTS) -> list[Tensor]:
    """Return the image of each run that was scored, (C, H, W) in 8 bits; none at all where a record is missing."""
    return [images.open_image(folder / f"{run.name}.png") for run in complete(runs, folder)]


def longest(runs: Iterable[Run], folder: Path = RESULTS) -> Run:
    """Return the finished run of the most iterations; the first run where none is finished."""
    runs = list(runs)
    return max(finished(runs, folder), key=lambda run: run.settings.iterations, default=runs[0])


def sizes(runs: Iterable[Run]) -> str:
    """Return the sizes of the pictures of some runs, such as "128 × 128, 256 × 256"."""
    return ", ".join(f"{side} × {side}" for side in sorted({run.task.side or 0 for run in runs}))


@dataclass(frozen=True)
class Experiment:
    """What an experiment answers in the paper, and its runs by profile.

    baselines : whether its `laptop` runs are restorations that are shown beside methods without a network.
    declared : the runs by profile; or a function that returns them, where reading the declaration can wait.
    """

    name: str
    title: str
    answers: str
    declared: Mapping[str, tuple[Run, ...]] | Callable[[], Mapping[str, tuple[Run, ...]]]
    baselines: bool = False

    @property
    def profiles(self) -> Mapping[str, tuple[Run, ...]]:
        return self.declared() if callable(self.declared) else self.declared

    def runs(self, profile: str) -> tuple[Run, ...]:
        """Return the runs of a profile.

        Raises
        ------
        UserError : there is no such profile.
        """
        if profile not in self.profiles:
            raise UserError(f"{self.name} has no profile {profile!r}; it has {', '.join(self.profiles)}")
        return self.profiles[profile]


def one_of_each(name: str, profiles: dict[str, tuple], scored: str = "image") -> dict[str, tuple[Run, ...]]:
    """Return one run for each profile, called <name>/<profile>, from its task, network and settings."""
    return {
        profile: (Run(f"{name}/{profile}", task, network, settings, scored=scored),)
        for profile, (task, network, settings) in profiles.items()
    }
