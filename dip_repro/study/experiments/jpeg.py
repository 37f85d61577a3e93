"""Notebook `jpeg`: JPEG's artefacts."""

from __future__ import annotations

from dip_repro.config import SNAIL, Settings
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import Jpeg

JPEG = Experiment(
    "jpeg",
    "JPEG's blocks removed; left running, they return",
    "JPEG artefacts (snail), Fig. 4",
    {
        "quick": (Run("jpeg/quick-chelsea", Jpeg("chelsea", side=64), SNAIL, Settings(500)),),
        "laptop": tuple(
            Run(f"jpeg/laptop-{name}", Jpeg("chelsea", side=256), SNAIL, Settings(iterations))
            for name, iterations in {"chelsea": 2400, "chelsea-left-running": 50000}.items()
        ),
        "paper": tuple(
            Run(f"jpeg/{name}", Jpeg("repository/denoising/snail.jpg", quality=None), SNAIL, Settings(iterations))
            for name, iterations in {"snail": 2400, "snail-left-running": 50000}.items()
        ),
    },
    baselines=True,
)
