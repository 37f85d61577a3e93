"""Notebook `inpainting`: text, and large holes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from torch import Tensor

from dip_repro import metrics
from dip_repro.config import NetworkConfig, ResNetConfig, Settings
from dip_repro.operators import Mask
from dip_repro.study.runs import Experiment, Run, one_of_each
from dip_repro.study.tasks import Inpainting, Problem

PAGE = "repository/inpainting"
WORDS = "the deep image prior restores what was written over"


def published(image: str, z: str = "noise") -> Inpainting:
    """Return the task of a picture that the authors published, with its mask."""
    return Inpainting(f"{PAGE}/{image}.png", mask=f"{PAGE}/{image}_mask.png", z=z)


WRITING = Inpainting("astronaut", 256, text=WORDS, height=16)
WRITTEN = Run("text/laptop", WRITING, NetworkConfig(), Settings(2000))
TEXT = Experiment(
    "text",
    "Text removed from a picture",
    "Inpainting of text (Kate), Sec. 4",
    {
        "quick": (
            Run(
                "text/quick",
                Inpainting("astronaut", 64, text=WORDS, height=9),
                NetworkConfig.uniform(width=32, depth=3),
                Settings(400),
            ),
        ),
        "laptop": (WRITTEN, replace(WRITTEN, name="text/laptop-6000", settings=Settings(6000))),
        "paper": (Run("text/paper", published("kate"), NetworkConfig(), Settings(6000)),),
    },
    baselines=True,
)


def library(channels: int, depth: int, skip: int = 0, wide_skips: bool = False) -> NetworkConfig:
    """Return the hourglass of the library hole, cut to `depth`; with `wide_skips` they are as wide as each level."""
    n_d = (16, 32, 64, 128, 128, 128)[:depth]
    n_s = n_d if wide_skips else (skip,) * depth
    k_d, k_u, k_s = (3,) * depth, (5,) * depth, (1,) * depth
    return NetworkConfig(
        out_channels=channels, n_d=n_d, n_u=n_d, n_s=n_s, k_d=k_d, k_u=k_u, k_s=k_s, upsample="nearest"
    )


def holes(profile: str, task: Inpainting, settings: Settings, channels: int, deep: int) -> dict[str, Run]:
    """Return one run for each network, by the name of the network."""
    networks: dict[str, NetworkConfig | ResNetConfig] = {
        "deep": library(channels, deep),
        "shallow": library(channels, depth=2),
        "skips": library(channels, deep, skip=4),
        "unet": library(channels, deep, wide_skips=True),
        "resnet": ResNetConfig(out_channels=channels),
    }
    return {name: Run(f"hole/{profile}-{name}", task, network, settings) for name, network in networks.items()}


QUICK = holes("quick", Inpainting("brick", 64), Settings(120, sigma_p=0), channels=1, deep=5)
HOLES = {
    "quick": {name: QUICK[name] for name in ("deep", "shallow", "skips")},
    "laptop": holes("laptop", Inpainting("brick", 256), Settings(2000, sigma_p=0), channels=1, deep=6),
    "paper": holes("library", published("library"), Settings(5000, learning_rate=0.1, sigma_p=0), channels=3, deep=6),
}
# After 2000 iterations the loss of these two is the largest: they go on until it is that of the others, about 1e-5.
LONGER = {
    name: replace(HOLES["laptop"][name], name=f"hole/laptop-{name}-{n}", settings=Settings(n, sigma_p=0))
    for name, n in {"deep": 6000, "skips": 4000}.items()
}
HOLE = Experiment(
    "hole",
    "A large hole, filled by networks of several depths and kinds",
    "Large-hole inpainting (library, vase), Sec. 4",
    {profile: (*runs.values(), *(LONGER.values() if profile == "laptop" else ())) for profile, runs in HOLES.items()},
    baselines=True,
)

FROM_MESH = NetworkConfig(in_channels=2, n_s=(0,) * 5)
MESH = Experiment(
    "mesh",
    "A large hole, filled from a mesh grid",
    "Large-hole inpainting (vase), Sec. 4",
    one_of_each(
        "mesh",
        {
            "laptop": (Inpainting("coffee", 256, z="mesh"), FROM_MESH, Settings(2000)),
            "paper": (published("vase", z="mesh"), FROM_MESH, Settings(5000)),
        },
    ),
    baselines=True,
)


def known(problem: Problem) -> Tensor:
    """Return the mask of a problem: 1 = known, 0 = missing."""
    assert isinstance(problem.operator, Mask)
    return problem.operator.mask


def on_missing(problem: Problem, image: Tensor) -> float:
    """Return the PSNR in dB of the missing pixels alone."""
    assert problem.truth is not None
    return float(metrics.psnr_where(image, problem.truth, known(problem) == 0))


def curve_on_missing(problem: Problem, history: pd.DataFrame) -> pd.DataFrame:
    """Return a history with the PSNR in dB of the missing pixels alone.

    The error of the whole picture is that of the known pixels, the loss, and that of the missing ones. The average is
    left out: its loss is not known. So are reports at which the fit went back: their loss is not that of their image.
    """
    if "rolled_back" in history:
        history = history[history.rolled_back == 0]
    missing = 1 - float(known(problem).mean())
    error = (10 ** (-history.psnr / 10) - history.loss) / missing
    return history.drop(columns="psnr_average").assign(psnr=-10 * np.log10(error))


def misfit(problem: Problem, loss: float | pd.Series) -> float | pd.Series:
    """Return the error of the known pixels in 8-bit grey levels (root of the mean of squares), from the loss."""
    return 255 * (loss / float(known(problem).mean())) ** 0.5


def at_equal_loss(histories: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return a row for each fit: the first report with the lowest loss that all of them reach."""
    level = max((history.loss.min() for history in histories.values()), default=0.0)
    reached = [history[history.loss <= level].iloc[0] for history in histories.values()]
    return pd.DataFrame(reached, list(histories), columns=["iteration", "loss", "psnr"])
