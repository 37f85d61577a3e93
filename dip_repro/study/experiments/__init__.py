"""The study's experiments as data: one file for each notebook. Every file of this folder is looked through for them."""

from __future__ import annotations

import difflib
import fnmatch
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType

from dip_repro.runtime import UserError
from dip_repro.study.runs import Experiment, Run


def modules() -> Iterator[ModuleType]:
    """Yield the modules of this folder, in the order of their names."""
    for module in pkgutil.iter_modules(__path__):
        yield importlib.import_module(f"{__name__}.{module.name}")


def declared_in(module: ModuleType) -> Iterator[Experiment]:
    """Yield the experiments that a module has, also those in a list."""
    for value in vars(module).values():
        yield from (part for part in (value if isinstance(value, list) else [value]) if isinstance(part, Experiment))


EXPERIMENTS = {experiment.name: experiment for module in modules() for experiment in declared_in(module)}


def lookup(what: str, name: str, among: Mapping):
    """Return the value of `name` in a mapping, or raise a UserError that suggests the nearest name."""
    if name not in among:
        near = difflib.get_close_matches(name, among, n=1, cutoff=0)
        raise UserError(f"no {what} {name!r}; did you mean {near[0]}?")
    return among[name]


def find(name: str) -> Experiment:
    """Return the experiment called `name`."""
    return lookup("experiment", name, EXPERIMENTS)


def matching(wanted: str, profile: str) -> tuple[Run, ...]:
    """Return the runs of the experiment called `wanted`, or those of that name, in that folder, or of that pattern.

    Folders are the paper's tables too: "denoising-25", "sr4-set5/*" and "sr4-set5/bird" name cells.
    """
    if wanted in EXPERIMENTS:
        return EXPERIMENTS[wanted].runs(profile)
    every = {run.name: run for experiment in EXPERIMENTS.values() for run in experiment.profiles.get(profile, ())}
    found = [run for name, run in every.items() if fnmatch.fnmatch(name, wanted) or name.startswith(f"{wanted}/")]
    if not found:
        folders = (name.rpartition("/")[0] for name in every)
        near = difflib.get_close_matches(wanted, [*EXPERIMENTS, *folders, *every], n=1, cutoff=0)
        raise UserError(
            f"no experiment, and no run of profile {profile!r}, is called {wanted!r}; did you mean {near[0]}?"
        )
    return tuple(found)


def declared(record: dict) -> Run:
    """Return the run that a record answers.

    Raises
    ------
    UserError : no experiment declares a run of that name, or its declaration has changed since.
    """
    profiles = (runs for experiment in EXPERIMENTS.values() for runs in experiment.profiles.values())
    run = next((run for runs in profiles for run in runs if run.name == record["name"]), None)
    if run is None:
        raise UserError(f"{record['name']}: no experiment declares this run (any more)")
    if run.key != record["key"]:
        raise UserError(f"{run.name} was declared otherwise when its record was made: run it again")
    return run
