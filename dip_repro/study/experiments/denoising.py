"""Notebooks 00 and 01: noise removed; the table of denoising."""

from __future__ import annotations

from dip_repro.networks import NetworkConfig
from dip_repro.settings import Settings
from dip_repro.study.runs import Experiment, Run, one_of_each
from dip_repro.study.tasks import Denoising

COLOUR = "project-page/Denoising/Color"
DENOISED = ("F16", "baboon", "hill", "kodim01", "kodim02", "kodim03", "kodim12", "lena", "peppers")

F16 = Denoising(f"{COLOUR}/25/F16_GT.png", noisy=f"{COLOUR}/25/F16_noisy.png")
START = Experiment(
    "start",
    "An untrained network restores a noisy picture",
    "Figs. 2 and 3, Table 1 in small",
    one_of_each(
        "start",
        {
            "quick": (Denoising("astronaut", 48), NetworkConfig.uniform(width=64, depth=3), Settings(600)),
            "laptop": (Denoising("astronaut", 128), NetworkConfig(), Settings(3000)),
            "paper": (F16, NetworkConfig(), Settings(1800)),
        },
        scored="average",
    ),
)


def published(table: str, sigma: int, seed: int, early: bool = False) -> dict[str, Run]:
    """Return the runs of a table by image, on the noisy images that the authors published."""

    def run(image: str) -> Run:
        files = f"{COLOUR}/{sigma}/{image}"
        task = Denoising(f"{files}_GT.png", sigma_8bit=sigma, noisy=f"{files}_noisy.png")
        # The paper does not state the settings of σ = 50: those of 25 (reading 15).
        return Run(f"{table}/{image}", task, NetworkConfig(), Settings(1800), seed, "average", early)

    return {image: run(image) for image in DENOISED}


# The paper's settings, and the runs that the column "ours" needs besides.
TABLES = {
    "denoising-25": published("denoising-25", 25, seed=0),
    "denoising-50": published("denoising-50", 50, seed=0),
    "denoising-second-25": published("denoising-second-25", 25, seed=1),
    "denoising-50-stopped": published("denoising-50-stopped", 50, seed=0, early=True),
    "denoising-second-50-stopped": published("denoising-second-50-stopped", 50, seed=1, early=True),
}


def small(name: str, image: str, channels: int, seed: int) -> Run:
    """Return a run of the profile `quick`; those of another seed see the same noisy image."""
    network = NetworkConfig.uniform(width=32, depth=3, out_channels=channels)
    return Run(f"{name}/quick-{image}", Denoising(image, 48, noise_seed=0), network, Settings(400), seed, "average")


def middle(name: str, seed: int) -> Run:
    """Return the run of the profile `laptop`."""
    task = Denoising("astronaut", 256, noise_seed=0)
    return Run(f"{name}/laptop-astronaut", task, NetworkConfig(), Settings(1800), seed, "average")


GRASS = small("denoising", "grass", 1, seed=0)
TEXTURED = {GRASS, TABLES["denoising-25"]["baboon"], TABLES["denoising-50"]["baboon"]}

DENOISING = Experiment(
    "denoising",
    "Noise removed, on pictures and on a texture",
    "Table of denoising, Sec. 4",
    {
        "quick": (small("denoising", "astronaut", 3, seed=0), GRASS),
        "laptop": (middle("denoising", seed=0),),
        "paper": (*TABLES["denoising-25"].values(), *TABLES["denoising-50"].values()),
    },
)
SECOND = Experiment(
    "denoising-second",
    "A second run on each noisy picture, to be averaged with the first",
    "Denoising, Sec. 4: 31.00 dB",
    {
        "quick": (small("denoising-second", "astronaut", 3, seed=1),),
        "laptop": (middle("denoising-second", seed=1),),
        "paper": tuple(TABLES["denoising-second-25"].values()),
    },
)
STOPPED_EARLY = Experiment(
    "denoising-stopped",
    "σ = 50, stopped by the rule of notebook 13: two runs each",
    "Table of denoising, project page: σ = 50",
    {"paper": (*TABLES["denoising-50-stopped"].values(), *TABLES["denoising-second-50-stopped"].values())},
)
