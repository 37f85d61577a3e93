"""Notebooks 00 and 01: noise removed; the table of denoising."""

from __future__ import annotations

from dip_repro.fitting import Settings
from dip_repro.networks import NetworkConfig
from dip_repro.study.runs import Experiment, Run, one_of_each
from dip_repro.study.tasks import Denoising

START = Experiment(
    "start",
    "An untrained network restores a noisy picture",
    "Figs. 2 and 3, Table 1 in small",
    one_of_each(
        "start",
        {
            "quick": {
                "task": Denoising("astronaut", side=48),
                "network": NetworkConfig.uniform(width=64, depth=3),
                "settings": Settings(iterations=600),
                "scored": "average",
            },
            "laptop": {
                "task": Denoising("astronaut", side=128),
                "network": NetworkConfig(),
                "settings": Settings(iterations=3000),
                "scored": "average",
            },
            "paper": {
                "task": Denoising(
                    "project-page/Denoising/Color/25/F16_GT.png",
                    noisy="project-page/Denoising/Color/25/F16_noisy.png",
                ),
                "network": NetworkConfig(),
                "settings": Settings(iterations=1800),
                "scored": "average",
            },
        },
    ),
)

COLOUR = "project-page/Denoising/Color"
DENOISED = ("F16", "baboon", "hill", "kodim01", "kodim02", "kodim03", "kodim12", "lena", "peppers")


def published(name: str, sigma: int, seed: int, early: bool = False) -> tuple[Run, ...]:
    """Return the runs "<name>/<image>" of the authors' noisy images."""

    def run(image: str) -> Run:
        files = f"{COLOUR}/{sigma}/{image}"
        task = Denoising(f"{files}_GT.png", sigma_8bit=sigma, noisy=f"{files}_noisy.png")
        # The settings of σ = 50 are not stated: those of 25 (reading 15).
        return Run(f"{name}/{image}", task, NetworkConfig(), Settings(1800), seed, "average", early)

    return tuple(map(run, DENOISED))


def denoising(name: str, seed: int, sigmas: tuple[int, ...]) -> dict[str, tuple[Run, ...]]:
    """Return the runs of one seed, by profile; those of another seed see the same noisy images."""

    def run(name: str, task: Denoising, network: NetworkConfig, iterations: int = 1800) -> Run:
        return Run(name, task, network, Settings(iterations), seed, "average")

    def small(image: str, channels: int) -> Run:
        network = NetworkConfig.uniform(width=32, depth=3, out_channels=channels)
        return run(f"{name}/quick-{image}", Denoising(image, side=48, noise_seed=0), network, 400)

    middle = Denoising("astronaut", side=256, noise_seed=0)
    return {
        "quick": (small("astronaut", 3), small("grass", 1)),
        "laptop": (run(f"{name}/laptop-astronaut", middle, NetworkConfig()),),
        "paper": tuple(one for sigma in sigmas for one in published(f"{name}-{sigma}", sigma, seed)),
    }


DENOISING = Experiment(
    "denoising",
    "Noise removed, on pictures and on a texture",
    "Table of denoising, Sec. 4",
    denoising("denoising", 0, sigmas=(25, 50)),
)

SECOND_RUNS = denoising("denoising-second", 1, sigmas=(25,))

SECOND = Experiment(
    "denoising-second",
    "A second run on each noisy picture, to be averaged with the first",
    "Denoising, Sec. 4: 31.00 dB",
    SECOND_RUNS | {"quick": SECOND_RUNS["quick"][:1]},
)

STOPPED_EARLY = Experiment(
    "denoising-stopped",
    "σ = 50, stopped by the rule of notebook 13: two runs each",
    "Table of denoising, project page: σ = 50",
    {
        "paper": (
            *published("denoising-50-stopped", 50, seed=0, early=True),
            *published("denoising-second-50-stopped", 50, seed=1, early=True),
        )
    },
)
