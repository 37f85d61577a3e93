"""Quality against time: the search for the settings that we recommend. Declared before its runs.

Successive halving (Jamieson and Talwalkar, 2016) by family of tasks. The network is narrow, 32 filters, since a step of
it takes a fifth of the paper's.

- Round 1, "front": each arm changes one thing. Two pictures of 128 × 128, one of them a texture.
- Round 2, "front-again", declared when round 1 is known: the three best arms, and one with every change that gained
  0.1 dB or more in round 1 (of one part, the best), beside the paper's setting. Four pictures, two seeds, full counts;
  and the mean of the two seeds' images, which costs two runs.

An arm is worth the highest mean over pictures of its curve of averages (`worth`); the iteration of that maximum is a
part of the setting, one for all pictures. Rule: of the arms that cost at most a third of the paper's seconds there, the
best is recommended; where others are within 0.05 dB of it, the cheapest of these.

Expected: denoising with 32 filters is as good as the paper's or better, restoration and super-resolution want 64; a
falling learning rate gains some tenths without noise; σ_p matters in denoising alone.

Budget of round 1: 84 runs, 0.06 s a step on one core, two hours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dip_repro.networks import NetworkConfig
from dip_repro.study import records
from dip_repro.study.comparisons import Cell, crossed, tidy
from dip_repro.study.experiments.ambiguities import slug
from dip_repro.study.experiments.denoising import FIVE_DB
from dip_repro.study.runs import RESULTS, Experiment, Run, finished
from dip_repro.study.tasks import Denoising, Restoration, SuperResolution
from dip_repro.study.variants import Varied

SIDE = 128
CHANNELS = {"coffee": 3, "brick": 1}  # of the pictures of round 1
NARROW = "32 filters"


@dataclass(frozen=True)
class Family:
    """Tasks that share their settings. task : of an image; every seed sees the same damage."""

    task: Callable[[str], Denoising | Restoration | SuperResolution]
    settings: Varied
    padding: str = "reflect"


FAMILIES = {
    "denoising": Family(lambda image: Denoising(image, SIDE, noise_seed=0), Varied(1200)),
    "restoration": Family(
        lambda image: Restoration(image, SIDE, mask_seed=0),
        Varied(1500, rollback_ratio=FIVE_DB, report_every=50),
        "zeros",
    ),
    "super-resolution": Family(lambda image: SuperResolution(image, 4, SIDE), Varied(1200)),
}
# What each arm changes of the shape of the network, of its readings, and of the settings.
ARMS: dict[str, dict] = {
    NARROW: {},
    "16 filters": {"shape": {"width": 16}},
    "64 filters": {"shape": {"width": 64}},
    "4 scales": {"shape": {"depth": 4}},
    "6 scales": {"shape": {"depth": 6}},
    "no skips": {"shape": {"skip": 0}},
    "skips of 16": {"shape": {"skip": 16}},
    "scale from U(0, 1)": {"readings": {"norm_scale": "uniform"}},
    "rate 0.003": {"settings": {"learning_rate": 0.003}},
    "rate 0.02": {"settings": {"learning_rate": 0.02}},
    "falling rate": {"settings": {"schedule": "cosine"}},
    "σ_p = 0": {"settings": {"sigma_p": 0.0}},
    "σ_p = 1/15": {"settings": {"sigma_p": 1 / 15}},
    "average of 500": {"settings": {"average_weight": 0.998}},
}


def run(cell: Cell) -> Run:
    """Return the run of an arm: ASCII names of files, so σ_p is spelled."""
    family, changes = FAMILIES[cell.task], ARMS[cell.arm]
    shape = {"width": 32, "depth": 5} | changes.get("shape", {})
    readings = {"out_channels": CHANNELS[cell.image], "padding": family.padding} | changes.get("readings", {})
    return Run(
        f"front/{cell.task}/{slug(cell.arm.replace('σ_p', 'sigma_p'))}/{cell.image}-{cell.seed}",
        family.task(cell.image),
        NetworkConfig.uniform(**shape, **readings),
        replace(family.settings, **changes.get("settings", {})),
        cell.seed,
        "average",
    )


ROUND_1 = crossed(run, FAMILIES, ARMS, CHANNELS, (0,))
FRONT = Experiment(
    "front",
    "Quality against time: one change each of a narrow network",
    "The setting that we recommend (not in the paper)",
    {"laptop": tuple(ROUND_1)},
)


def curves(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the PSNR in dB of the averages: a row for each family, arm and image, a column for each iteration."""
    found = finished(ROUND_1, folder)
    return tidy(ROUND_1, {run: records.scored_curve(record).to_dict() for run, record in found.items()})


def worth(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what each arm is worth in each family, of those with every picture done.

    psnr : in dB, the highest mean over pictures. at : its iteration. gain : over `NARROW`.
    """
    every = curves(folder)
    if every.empty:
        return pd.DataFrame(columns=["psnr", "at", "gain"])
    of_arm = every.groupby(["task", "arm"], sort=False)
    means = of_arm.mean()[of_arm.size() == len(CHANNELS)]
    table = pd.DataFrame({"psnr": means.max(axis=1), "at": means.idxmax(axis=1)})
    return table.assign(gain=table.psnr - table.psnr.xs(NARROW, level="arm").reindex(table.index, level="task"))
