"""Notebook 02: JPEG's artefacts."""

from __future__ import annotations

from dip_repro.networks import SNAIL
from dip_repro.settings import Settings
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import Jpeg

JPEG = Experiment(
    "jpeg",
    "JPEG's blocks removed; left running, they return",
    "JPEG artefacts (snail), Fig. 4",
    {
        "quick": (Run("jpeg/quick-chelsea", Jpeg("chelsea", side=64), SNAIL, Settings(500)),),
        "laptop": (Run("jpeg/laptop-chelsea", Jpeg("chelsea", side=256), SNAIL, Settings(2400)),),
        "paper": tuple(
            Run(f"jpeg/{name}", Jpeg("repository/denoising/snail.jpg", quality=None), SNAIL, Settings(iterations))
            for name, iterations in {"snail": 2400, "snail-left-running": 50000}.items()
        ),
    },
)
