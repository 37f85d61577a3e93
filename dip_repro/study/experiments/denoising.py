"""Notebooks `start_here` and `denoising`: noise removed; the table of denoising."""

from __future__ import annotations

from dataclasses import replace

from dip_repro.config import NetworkConfig, Settings
from dip_repro.presets import FIVE_DB, PAPER, Preset, recommended
from dip_repro.study.runs import Experiment, Run, one_of_each
from dip_repro.study.tasks import Denoising

COLOUR = "project-page/Denoising/Color"
DENOISED = ("F16", "baboon", "hill", "kodim01", "kodim02", "kodim03", "kodim12", "lena", "peppers")

F16 = Denoising(f"{COLOUR}/25/F16_GT.png", noisy=f"{COLOUR}/25/F16_noisy.png")
# Of notebook `start_here`'s animation: long enough to come back to the noise.
FILM = Run("start/film", Denoising("astronaut", 256, sigma_8bit=50), NetworkConfig(), Settings(1500), scored="average")
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
    baselines=True,
)


PAPERS = PAPER["denoising"]
# One such fit takes at most a third of the paper's compute.
LONGER = recommended("denoising from 512²").of(3400)
SUPERSEDED = "superseded/"  # the folder of cells as an earlier freeze declared them


def published(
    table: str, sigma: int, seed: int, how: Preset = PAPERS, stop: str = "", freeze: int = 1
) -> dict[str, Run]:
    """Return the runs of a table by image, on the noisy images that the authors published."""

    def run(image: str) -> Run:
        files = f"{COLOUR}/{sigma}/{image}"
        task = Denoising(f"{files}_GT.png", sigma_8bit=sigma, noisy=f"{files}_noisy.png")
        return Run(f"{table}/{image}", task, how.network, how.settings, seed, "average", stop, freeze)

    return {image: run(image) for image in DENOISED}


# The paper's settings, and the runs that the column "ours" needs besides. The paper does not state those of σ = 50
# (reading 15): first those of 25 were taken, then, by the third freeze, σ_p = 1/20.
TABLES = {
    "denoising-25": published("denoising-25", 25, seed=0),
    "denoising-50": published(
        "denoising-50",
        50,
        seed=0,
        how=replace(PAPERS, settings=Settings(1800, sigma_p=1 / 20, rollback_ratio=FIVE_DB)),
        freeze=3,
    ),
    "longer-25": published("longer-25", 25, seed=0, how=LONGER, stop="held-out"),
    "denoising-second-25": published("denoising-second-25", 25, seed=1),
    "denoising-50-stopped": published("denoising-50-stopped", 50, seed=0, stop="variance"),
    "denoising-second-50-stopped": published("denoising-second-50-stopped", 50, seed=1, stop="variance"),
}
EARLIER = {"denoising-50": {"hill": published(f"{SUPERSEDED}denoising-50", 50, seed=0)["hill"]}}


def small(name: str, image: str, channels: int, seed: int) -> Run:
    """Return a run of the profile `quick`; those of another seed see the same noisy image."""
    network = NetworkConfig.uniform(width=32, depth=3, out_channels=channels)
    return Run(f"{name}/quick-{image}", Denoising(image, 48, noise_seed=0), network, Settings(400), seed, "average")


def middle(name: str, seed: int, image: str = "astronaut", channels: int = 3) -> Run:
    """Return a run of the profile `laptop`."""
    task, network = Denoising(image, 256, noise_seed=0), NetworkConfig(out_channels=channels)
    return Run(f"{name}/laptop-{image}", task, network, Settings(1800), seed, "average")


GRASS = small("denoising", "grass", 1, seed=0)
GRASS_256 = middle("denoising", 0, "grass", channels=1)

DENOISING = Experiment(
    "denoising",
    "Noise removed, on pictures and on a texture",
    "Table of denoising, Sec. 4",
    {
        "quick": (small("denoising", "astronaut", 3, seed=0), GRASS),
        "laptop": (middle("denoising", seed=0), GRASS_256),
        "paper": tuple(TABLES["denoising-25"].values()),
    },
    baselines=True,
)
DENOISING_50 = Experiment(
    "denoising-50",
    "Twice the noise: σ = 50",
    "Table of denoising, project page: σ = 50",
    {"paper": tuple(TABLES["denoising-50"].values())},
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
    baselines=True,
)
STOPPED_EARLY = Experiment(
    "denoising-stopped",
    "σ = 50, stopped by the rule of notebook `stopping`: two runs each",
    "Table of denoising, project page: σ = 50",
    {"paper": (*TABLES["denoising-50-stopped"].values(), *TABLES["denoising-second-50-stopped"].values())},
)
LONGER_DENOISING = Experiment(
    "longer-denoising",
    "σ = 25 with the recommended setting, half of its perturbation and twice its iterations",
    "Table of denoising, Sec. 4; the column of ours",
    {"paper": tuple(TABLES["longer-25"].values())},
)
