"""The study's experiments as data: one file for each notebook, and here the list of all."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping

from dip_repro.runtime import UserError
from dip_repro.study.experiments.activation import ACTIVATION
from dip_repro.study.experiments.ambiguities import ROUNDS
from dip_repro.study.experiments.architectures import ARCHITECTURES
from dip_repro.study.experiments.as_in_2017 import AS_IN_2017
from dip_repro.study.experiments.averaging import AVERAGING, AVERAGING_LONG, AVERAGING_TUNING
from dip_repro.study.experiments.denoising import (
    DENOISING,
    DENOISING_50,
    LONGER_DENOISING,
    SECOND,
    START,
    STOPPED_EARLY,
)
from dip_repro.study.experiments.enhancement import ENHANCEMENT
from dip_repro.study.experiments.failures import FAILURES
from dip_repro.study.experiments.flash import FLASH
from dip_repro.study.experiments.front import AGAIN, PHOTOS
from dip_repro.study.experiments.impedance import IMPEDANCE
from dip_repro.study.experiments.inpainting import HOLE, MESH, TEXT
from dip_repro.study.experiments.jpeg import JPEG
from dip_repro.study.experiments.library_2017 import LIBRARY_2017
from dip_repro.study.experiments.preimage import PREIMAGE
from dip_repro.study.experiments.restoration import (
    BLACK_MISSING,
    BRANCHING,
    MISSING,
    RECOMMENDED_RESTORATION,
    RESTORATION,
    SECOND_FREEZE,
)
from dip_repro.study.experiments.stopping import SHOWN, STOPPING, TUNING, UNSEEN
from dip_repro.study.experiments.super_resolution import (
    PIXELS,
    RECOMMENDED_SR4,
    SUPER_RESOLUTION,
    SUPER_RESOLUTION_SET14,
)
from dip_repro.study.runs import Experiment, Run

RESTORATIONS = (
    *(START, DENOISING, SECOND, JPEG, SUPER_RESOLUTION, TEXT, HOLE, MESH, RESTORATION, MISSING, FLASH, ENHANCEMENT),
)
DECLARED = (
    *(*RESTORATIONS, STOPPED_EARLY, DENOISING_50, SECOND_FREEZE, BRANCHING, FAILURES, *ROUNDS),
    *(
        SUPER_RESOLUTION_SET14,
        AS_IN_2017,
        LIBRARY_2017,
        PIXELS,
        TUNING,
        STOPPING,
        UNSEEN,
        SHOWN,
        IMPEDANCE,
        ARCHITECTURES,
    ),
    *(AVERAGING_TUNING, AVERAGING, AVERAGING_LONG, PREIMAGE, ACTIVATION),
    *(AGAIN, PHOTOS, LONGER_DENOISING, RECOMMENDED_RESTORATION, BLACK_MISSING, RECOMMENDED_SR4),
)
EXPERIMENTS = {experiment.name: experiment for experiment in DECLARED}


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
    every = {run.name: run for experiment in DECLARED for run in experiment.profiles.get(profile, ())}
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
