"""Notebook `restoration`: missing pixels; the table of restoration."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from dip_repro.config import NetworkConfig, Settings
from dip_repro.networks import count_parameters
from dip_repro.presets import Preset, preset, recommended
from dip_repro.study import records
from dip_repro.study.experiments import denoising
from dip_repro.study.experiments.denoising import SUPERSEDED
from dip_repro.study.runs import RESULTS, Experiment, Run, finished
from dip_repro.study.tasks import Restoration

GREY = NetworkConfig(out_channels=1)
SMALL = NetworkConfig.uniform(width=32, depth=3, out_channels=1)
PAGE = "project-page/Reconstruction/Gray/50p"
RESTORED = (
    *("barbara", "boat", "Cameraman256", "couple", "fingerprint", "hill", "house", "Lena512", "man"),
    *("montage", "peppers256"),
)
# In a published masked image a missing pixel is 0, and so is a known pixel that is black. Until the third freeze all of
# these were missing. In `peppers256` they are the upper and the left border: the first run of ours made them up and was
# 8.7 dB below the authors' output, but 0.2 dB above it without these 511 pixels. So the fourth freeze draws for each
# black pixel whether it is known, with 1/2, as the authors' mask did. Expected: `peppers256` gains 8 dB, `montage` 0.5.
BLACK = ("boat", "couple", "fingerprint", "montage", "peppers256")  # these have black pixels


def published(image: str, black_known: float = 0.0) -> Restoration:
    """Return the task of an image that the authors published, with its masked copy."""
    return Restoration(f"{PAGE}/{image}_GT.png", masked=f"{PAGE}/{image}_masked.png", black_known=black_known)


def restoration_settings(iterations: int, learning_rate: float = 0.001, **others) -> Settings:
    return Settings(iterations, learning_rate, output="unperturbed", **others)


FAST = 0.01  # the learning rate of short runs; the paper's is 0.001 for 11 000 iterations
PAPERS = preset("restoration", "paper", channels=1)
# Two such fits take an eighth of the paper's compute: a step takes a fifth of the time (notebook `your_photo`).
OURS = recommended("restoration", channels=1)


def table(name: str, how: Preset, seed: int = 0, scored: str = "image") -> dict[str, Run]:
    """Return the runs of a table by image; those with black pixels are as the fourth freeze has them."""

    def run(image: str) -> Run:
        task, freeze = (published(image, black_known=0.5), 4) if image in BLACK else (published(image), 3)
        return Run(f"{name}/{image}", task, how.network, how.settings, seed, scored, freeze=freeze)

    return {image: run(image) for image in RESTORED}


SEEDS = {"recommended-restoration-50": 0, "recommended-second-restoration-50": 1}  # of the two runs of ours
TABLES = {"restoration-50": table("restoration-50", PAPERS)} | {
    name: table(name, OURS, seed, "average") for name, seed in SEEDS.items()
}
# Of what earlier freezes declared, the runs that were done: by the second, and before the fourth.
COLLAPSED = Run(f"{SUPERSEDED}restoration-50/house", published("house"), GREY, restoration_settings(11000), freeze=2)
EARLIER = {"restoration-50": {"house": COLLAPSED}}
ALL_MISSING = {
    (name, image): replace(TABLES[name][image], name=f"{SUPERSEDED}{name}/{image}", task=published(image), freeze=3)
    for name in SEEDS
    for image in ("montage", "peppers256")
}
BLACK_MISSING = Experiment(
    "black-missing",
    "Half of the pixels restored, where each black pixel counts as missing",
    "Table of restoration, Sec. 4, open question 26",
    {"paper": tuple(ALL_MISSING.values())},
)
SECOND_FREEZE = Experiment(
    "second-freeze",
    "Two cells of the tables as the second freeze had them",
    "Tables of σ = 50 and of restoration",
    {"second": tuple(run for runs in (EARLIER | denoising.EARLIER).values() for run in runs.values())},
)
RESTORATION = Experiment(
    "restoration-50",
    "Half of the pixels restored",
    "Table of restoration, Sec. 4 (50 % missing)",
    {
        "quick": tuple(
            Run(f"restoration-50/quick-{image}", Restoration(image, 64), SMALL, restoration_settings(300, FAST))
            for image in ("camera", "coins")
        ),
        "laptop": (Run("restoration-50/laptop-camera", Restoration("camera", 256), GREY, restoration_settings(2000)),),
        "paper": tuple(TABLES["restoration-50"].values()),
    },
    baselines=True,
)
RECOMMENDED_RESTORATION = Experiment(
    "recommended-restoration",
    "Half of the pixels restored with the recommended setting: two runs each",
    "Table of restoration, Sec. 4 (50 % missing); the column of ours",
    {
        "paper": (
            *TABLES["recommended-restoration-50"].values(),
            *TABLES["recommended-second-restoration-50"].values(),
        )
    },
)

SHARES = (0.1, 0.5, 0.8, 0.9, 0.95)


def missing(name: str, image: str, side: int | None, network: NetworkConfig, settings: Settings) -> tuple[Run, ...]:
    """Return runs of one image, each with more of its pixels missing."""
    return tuple(
        Run(f"missing/{name}-{100 * share:.0f}", Restoration(image, side, missing=share), network, settings)
        for share in SHARES
    )


MISSING = Experiment(
    "missing",
    "From 10 to 95 % of the pixels missing",
    "Restoration, Sec. 4, beyond its 50 %",
    {
        "quick": missing("quick", "coins", 48, SMALL, restoration_settings(180, FAST))[::2],
        "laptop": missing("laptop", "coins", 128, GREY, restoration_settings(1000, FAST)),
        "paper": missing("house", f"{PAGE}/house_GT.png", None, GREY, restoration_settings(11000)),
    },
    baselines=True,
)

BRANCHES = {
    (skip_from, upsample_at): Run(
        f"branching/house-{skip_from}-{upsample_at}",
        published("house"),
        NetworkConfig(out_channels=1, skip_from=skip_from, upsample_at=upsample_at),
        Settings(2000, learning_rate=0.001),
    )
    for skip_from in ("input", "output")
    for upsample_at in ("start", "end")
}
BRANCHING = Experiment(
    "branching",
    "Where the skip starts, and where the up block up-samples",
    "Fig. 21, open questions 1 and 5",
    {"paper": tuple(BRANCHES.values())},
)


def branching() -> pd.DataFrame:
    """Return what each combination of open questions 1 and 5 is worth on the paper's house: PSNR in dB by iteration."""
    found, rows = finished(BRANCHES.values(), RESULTS), {}
    for place, run in BRANCHES.items():
        if run in found:
            psnr, record = records.history(found[run]).set_index("iteration").psnr, found[run]
            rows[place] = {
                "parameters": count_parameters(run.network.build()),
                "PSNR at 500": psnr[500],
                "at 1000": psnr[1000],
                "at 2000": record["scores"]["image"],
                "average at 2000": record["scores"]["average"],
                "seconds a step": record["run"]["seconds"] / record["run"]["iterations"],
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    if rows:
        table.index = pd.MultiIndex.from_tuples(rows, names=["skip starts at d_i's", "up-sampling at u_i's"])
    return table
