"""Notebook `enhancement`: the detail of a photo boosted."""

from __future__ import annotations

from dip_repro.config import NetworkConfig, Settings
from dip_repro.study.runs import Experiment, one_of_each
from dip_repro.study.tasks import Enhancement

# The paper states σ_p and the learning rate, not when to stop. After 100 iterations the edges are there, and most of
# the texture is not.
EARLY = Settings(100, sigma_p=0)

ENHANCEMENT = Experiment(
    "enhancement",
    "The detail of a photo boosted",
    "Image enhancement, Sec. 4",
    one_of_each(
        "enhancement",
        {
            "quick": (Enhancement("chelsea", 128), NetworkConfig.uniform(width=32, depth=4), EARLY),
            "laptop": (Enhancement("chelsea", 256), NetworkConfig(), EARLY),
            "paper": (Enhancement("project-page/Denoising/Color/25/F16_GT.png"), NetworkConfig(), EARLY),
        },
    ),
    baselines=True,
)
