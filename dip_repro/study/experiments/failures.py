"""Notebook `failures`: where the method fails."""

from __future__ import annotations

from dip_repro.config import NetworkConfig, Settings
from dip_repro.study.experiments.restoration import restoration_settings
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import Denoising, Restoration


def failures(profile: str, side: int, width: int, depth: int, counts: tuple[int, ...]) -> tuple[Run, ...]:
    """Return fits that fail: far past the best moment, from too few pixels, at too large a rate.

    The fourth failure of notebook `failures`, a texture, is a run of the experiment `denoising`.
    """
    grey, colour = (NetworkConfig.uniform(width, depth, out_channels=channels) for channels in (1, 3))
    noisy = Denoising("coffee", side)
    few, half = Restoration("moon", side, missing=0.98), Restoration("coins", side)
    return (
        Run(f"failures/{profile}-left-running", noisy, colour, Settings(counts[0], sigma_p=0)),
        Run(f"failures/{profile}-few", few, grey, restoration_settings(counts[1], 0.01), seed=1),
        Run(f"failures/{profile}-rate", half, grey, restoration_settings(counts[2], 0.01), seed=1),
        Run(f"failures/{profile}-rate-30", half, grey, restoration_settings(counts[2], 0.3), seed=1),
    )


FAILURES = Experiment(
    "failures",
    "Where the method fails",
    "When to stop, the learning rate; the rest is not in the paper",
    {
        "quick": failures("quick", 128, 32, 3, (400, 100, 100)),
        "laptop": failures("laptop", 128, 128, 5, (3000, 600, 400)),
    },
)
