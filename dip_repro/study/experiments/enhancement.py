"""Notebook 07: the detail of a photo boosted."""

from __future__ import annotations

from dip_repro.fitting import Settings
from dip_repro.networks import NetworkConfig
from dip_repro.study.runs import Experiment, one_of_each
from dip_repro.study.tasks import Enhancement

# The paper states σ_p and the rate, not when to stop: the edges are there at 100 iterations, most texture is not.
EARLY = Settings(iterations=100, sigma_p=0)

ENHANCEMENT = Experiment(
    "enhancement",
    "The detail of a photo boosted",
    "Image enhancement, Sec. 4",
    one_of_each(
        "enhancement",
        {
            "quick": {
                "task": Enhancement("chelsea", side=128),
                "network": NetworkConfig.uniform(width=32, depth=4),
                "settings": EARLY,
            },
            "laptop": {"task": Enhancement("chelsea", side=256), "network": NetworkConfig(), "settings": EARLY},
            "paper": {
                "task": Enhancement("project-page/Denoising/Color/25/F16_GT.png"),
                "network": NetworkConfig(),
                "settings": EARLY,
            },
        },
    ),
)
