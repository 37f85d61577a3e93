"""One fit as plain data that says all that decides its outcome; performed, and stored whole in its record."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from dip_repro import images, metrics, runtime, stopping
from dip_repro.baselines import PixelsConfig
from dip_repro.fitting import Fit, FitResult
from dip_repro.networks import NetworkConfig, ResNetConfig, noise_input
from dip_repro.runtime import CHECKOUT, ROOT, UserError
from dip_repro.settings import Settings
from dip_repro.study import records
from dip_repro.study.tasks import (
    Activation,
    Damage,
    Denoising,
    Enhancement,
    Flash,
    Inpainting,
    Jpeg,
    PreImage,
    Problem,
    Restoration,
    SuperResolution,
    Target,
)
from dip_repro.study.variants import strategies

RESULTS = ROOT / "data" / "results" if CHECKOUT else Path("results")


@dataclass(frozen=True)
class Run:
    """One fit. `scored` names the image that counts: "image", the last iterate, or "average".

    early : whether `stopping.recommended` ends it, whose average is then the run's; else the count of iterations does.
    """

    name: str
    task: (
        Denoising
        | Damage
        | Jpeg
        | Restoration
        | Inpainting
        | SuperResolution
        | Flash
        | Enhancement
        | Target
        | PreImage
        | Activation
    )
    network: NetworkConfig | ResNetConfig | PixelsConfig
    settings: Settings
    seed: int = 0
    scored: str = "image"
    early: bool = False

    @property
    def configuration(self) -> dict:
        """All that decides the outcome, as JSON holds it."""
        parts = {"network": self.network, "settings": self.settings, "task": self.task}
        configuration: dict = {name: plain(part) for name, part in parts.items()}
        configuration["settings"] = {"perturbation": "fixed"} | configuration["settings"]
        configuration["task"] = {"kind": type(self.task).__name__} | configuration["task"]
        configuration |= {"seed": self.seed, "scored": self.scored}
        return configuration | {"early": True} if self.early else configuration


def plain(part) -> dict:
    """Return a dataclass as JSON holds it.

    A field that came after the first records names the value that they were made with, "neutral", and is left out
    where it has that value: so the keys of older records stand.
    """
    values = {f.name: getattr(part, f.name) for f in fields(part)}
    later = {f.name: f.metadata["neutral"] for f in fields(part) if "neutral" in f.metadata}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in later or value != later[name]
    }


def problem_of(run: Run) -> Problem:
    """Return what is to be fitted and the z that the network is given: all that a run takes in."""
    problem = run.task.problem(run.seed)
    if problem.z is None:
        problem.z = noise_input(run.network.in_channels, problem.corrupted.shape[-2:], run.seed)
    return problem


def input_hashes(problem: Problem) -> dict[str, str]:
    """Return the SHA-256 of each tensor that a run takes in, by name."""
    tensors = {"truth": problem.truth, "measurement": problem.measurement, "z": problem.z}
    return {name: records.tensor_hash(x) for name, x in tensors.items() if x is not None}


def prepare(run: Run, device: str = "auto", **how) -> tuple[Problem, Fit]:
    """Return a run's problem, and its fit, ready to iterate over; the ground truth stands in the observer alone.

    Where there is none, nothing is scored: the history and the record hold the loss.

    `how` goes to `Fit`: stop, checkpoint, progress, precision, compiled.
    """
    problem = problem_of(run)
    assert problem.z is not None  # drawn there
    where = runtime.pick_device(device)
    network = run.network.build(run.seed).to(where)
    z, operator, observer = problem.z.to(where), problem.operator.to(where), problem.observer(where)
    how |= {"seed": run.seed, "observer": observer} | strategies(run.settings, run.seed, where)
    return problem, Fit(problem.measurement, operator, network, z, run.settings, **how)


def fitted(run: Run, device: str = "auto") -> tuple[Problem, FitResult]:
    """Run it under a progress bar, and return its problem and its result; nothing is saved."""
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
    until: float = math.inf,
) -> dict | None:
    """Run it, unless its record is there already, and return the record, saved below `folder`.

    An interrupted run goes on from its checkpoint; one that the time `until` (of `time.time()`) interrupts leaves
    that alone, and None is returned. One that is stopped early starts anew: its rule must have seen all.
    """
    path = folder / f"{run.name}.json"
    if path.exists():
        record = records.load(path)
        if record["key"] == records.key(run.configuration):
            return record
        raise UserError(f"{path} is the record of another configuration: move it away, or name another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    where = runtime.pick_device(device)
    # The code as it stands before the run.
    provenance = runtime.provenance(where) | ({"compiled": True} if compiled else {})
    checkpoint = path.with_suffix(f".{records.key(run.configuration)}.checkpoint")
    rule = stopping.recommended() if run.early else None
    how = {"stop": rule, "checkpoint": None if rule else checkpoint, "progress": progress}
    problem, fitting = prepare(run, device, precision=precision, compiled=compiled, **how)
    with contextlib.closing(iter(fitting)) as reports:
        for _ in reports:
            if time.time() > until:
                break
    if not fitting.stopped:
        return None
    result = fitting.result
    if rule:
        assert rule.image is not None  # it has seen a report
        result = replace(result, average=rule.image.cpu())
    record = make_record(run, problem, result, where) | {"provenance": provenance | {"precision": fitting.precision}}
    records.save(record, getattr(result, run.scored), folder)
    checkpoint.unlink(missing_ok=True)  # only now is nothing lost with it
    return record


def make_record(run: Run, problem: Problem, result: FitResult, device: torch.device) -> dict:
    """Return the record of a run, without provenance; where the truth is not known, `scores` is empty."""
    history = result.history
    judged = {"corrupted": problem.corrupted, "image": result.image, "average": result.average}
    record: dict = {
        "schema": records.SCHEMA,
        "name": run.name,
        "key": records.key(run.configuration),
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
            "peak_memory_mb": round(runtime.peak_memory_mb(device)),
        },
    }
    if problem.truth is None:
        return record
    best = history.psnr.idxmax()
    scores = {name: problem.score(x, problem.truth) for name, x in judged.items()}
    scores["best_by_truth"] = history.psnr[best]
    record["scores"] = {name: round(float(value), 4) for name, value in scores.items()}
    record["scores"]["ssim"] = round(metrics.ssim(getattr(result, run.scored), problem.truth), 5)
    record["run"]["best_iteration_by_truth"] = int(history.iteration[best])
    return record


def recorded(runs: Iterable[Run], folder: Path = RESULTS) -> list[pd.DataFrame]:
    """Return the histories of the records of `runs`."""
    return [records.history(records.load(folder / f"{run.name}.json")) for run in runs]


def stored(runs: Iterable[Run], folder: Path = RESULTS) -> list[Tensor]:
    """Return the scored images (C, H, W) beside the records of `runs`, of 8 bits."""
    return [images.open_image(folder / f"{run.name}.png") for run in runs]


@dataclass(frozen=True)
class Experiment:
    """A declaration: what it answers in the paper, and its runs by profile."""

    name: str
    title: str
    answers: str
    profiles: dict[str, tuple[Run, ...]]

    def runs(self, profile: str) -> tuple[Run, ...]:
        if profile not in self.profiles:
            raise UserError(f"{self.name} has no profile {profile!r}; it has {', '.join(self.profiles)}")
        return self.profiles[profile]


def one_of_each(name: str, profiles: dict[str, dict]) -> dict[str, tuple[Run, ...]]:
    return {profile: (Run(f"{name}/{profile}", **parts),) for profile, parts in profiles.items()}
