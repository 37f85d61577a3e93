"""Notebook 05: missing pixels; the table of restoration."""

from __future__ import annotations

from dip_repro.fitting import Settings
from dip_repro.networks import NetworkConfig
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import Restoration

GREY = NetworkConfig(out_channels=1)

PAGE = "project-page/Reconstruction/Gray/50p"
RESTORED = (
    "barbara",
    "boat",
    "Cameraman256",
    "couple",
    "fingerprint",
    "hill",
    "house",
    "Lena512",
    "man",
    "montage",
    "peppers256",
)


def restoration_settings(iterations: int, learning_rate: float = 0.001) -> Settings:
    return Settings(iterations, learning_rate, output="unperturbed")


RESTORATION = Experiment(
    "restoration-50",
    "Half of the pixels restored",
    "Table of restoration, Sec. 4 (50 % missing)",
    {
        "quick": tuple(
            Run(
                f"restoration-50/quick-{name}",
                Restoration(name, side=64),
                NetworkConfig.uniform(width=32, depth=3, out_channels=1),
                # A few hundred steps want a larger rate; the paper's is 0.001 over 11 000 iterations.
                restoration_settings(300, learning_rate=0.01),
            )
            for name in ("camera", "coins")
        ),
        "laptop": (
            Run("restoration-50/laptop-camera", Restoration("camera", side=256), GREY, restoration_settings(2000)),
        ),
        "paper": tuple(
            Run(
                f"restoration-50/{name}",
                Restoration(f"{PAGE}/{name}_GT.png", masked=f"{PAGE}/{name}_masked.png"),
                GREY,
                restoration_settings(11000),
            )
            for name in RESTORED
        ),
    },
)

SHARES = (0.1, 0.5, 0.8, 0.9, 0.95)


def missing(name: str, image: str, side: int | None, network: NetworkConfig, settings: Settings) -> tuple[Run, ...]:
    """Return the runs of one image with ever more of its pixels missing."""
    return tuple(
        Run(f"missing/{name}-{100 * share:.0f}", Restoration(image, side, missing=share), network, settings)
        for share in SHARES
    )


MISSING = Experiment(
    "missing",
    "From 10 to 95 % of the pixels missing",
    "Restoration, Sec. 4, beyond its 50 %",
    {
        "quick": missing(
            "quick",
            "coins",
            48,
            NetworkConfig.uniform(width=32, depth=3, out_channels=1),
            restoration_settings(180, learning_rate=0.01),
        )[::2],
        "laptop": missing("laptop", "coins", 128, GREY, restoration_settings(1000, learning_rate=0.01)),
        "paper": missing("house", f"{PAGE}/house_GT.png", None, GREY, restoration_settings(11000)),
    },
)

BRANCHING = Experiment(
    "branching",
    "Where the skip starts, and where the up block up-samples",
    "Fig. 21, open questions 1 and 5",
    {
        "paper": tuple(
            Run(
                f"branching/house-{skip_from}-{upsample_at}",
                Restoration(f"{PAGE}/house_GT.png", masked=f"{PAGE}/house_masked.png"),
                NetworkConfig(out_channels=1, skip_from=skip_from, upsample_at=upsample_at),
                Settings(2000, learning_rate=0.001),
            )
            for skip_from in ("input", "output")
            for upsample_at in ("start", "end")
        ),
    },
)
