"""Why it works, as experiments: what the network resists, what it draws untrained, what each architecture is worth."""

from __future__ import annotations

from collections.abc import Callable

from dip_repro.fitting import Settings
from dip_repro.networks import NetworkConfig, ResNetConfig
from dip_repro.runs import Experiment, Run
from dip_repro.tasks import Denoising, Inpainting, Target

KINDS = ("natural", "noisy", "shuffled", "phases", "noise")


def impedance(profile: str, pictures: tuple[str, ...], seeds: int, side: int, network, iterations: int):
    """Return a run for each kind of target, image and seed; σ_p = 0, so that the loss is the image's own.

    The paper does not state σ_p here.
    """
    return tuple(
        Run(
            f"impedance/{profile}-{kind}-{image}-{seed}",
            Target(image, side, kind),
            network,
            Settings(iterations, sigma_p=0, report_every=5),
            seed,
        )
        for kind in KINDS
        for image in pictures
        for seed in range(seeds)
    )


# Budget: laptop 30 runs of 600 steps of about 0.05 s, a quarter of an hour of 4 cores; paper wants a GPU.
IMPEDANCE = Experiment(
    "impedance",
    "What is fitted fast, and what is resisted, by frequency",
    "Learning curves, Fig. 2",
    {
        "quick": impedance("quick", ("astronaut", "coffee"), 1, 64, NetworkConfig.uniform(width=32, depth=4), 150),
        "laptop": impedance(
            "laptop", ("astronaut", "chelsea", "coffee"), 2, 128, NetworkConfig.uniform(width=64, depth=5), 600
        ),
        "paper": impedance("paper", ("astronaut", "chelsea", "coffee"), 3, 256, NetworkConfig(), 10000),
    },
)


def priors(width: int) -> dict[str, NetworkConfig | ResNetConfig]:
    """Return the networks whose untrained outputs are compared; only what their names say differs."""
    without = {scales: NetworkConfig.uniform(width, scales, skip=0) for scales in (1, 3, 5)}
    return {
        **{f"{scales} scales" if scales > 1 else "1 scale": network for scales, network in without.items()},
        "nearest": NetworkConfig.uniform(width, 5, skip=0, upsample="nearest"),
        "skips": NetworkConfig.uniform(width, 5),
        "U-Net": NetworkConfig.uniform(width, 5, skip=width),
        "ResNet": ResNetConfig(width=width),
    }


def architectures(width: int, depth: int) -> dict[str, NetworkConfig | ResNetConfig]:
    """Return the networks compared: "paper" has its proportions, `width` filters over `depth` scales with skips of 4.

    "U-Net" has skips as wide as each level, "ResNet" no scales: the paper gives no more than the names.
    """
    depths = {f"depth-{n}": NetworkConfig.uniform(width, n) for n in range(1, depth, 2)}
    widths = {f"width-{n}": NetworkConfig.uniform(n, depth) for n in (width // 4, width // 2)}
    return {
        "paper": NetworkConfig.uniform(width, depth),
        **depths,
        **widths,
        "no-skips": NetworkConfig.uniform(width, depth, skip=0),
        "U-Net": NetworkConfig.uniform(width, depth, skip=width),
        "ResNet": ResNetConfig(width=width // 2, blocks=4),
    }


def few(networks: dict) -> dict:
    """Return the networks without those between the extremes, for a first look."""
    return {name: network for name, network in networks.items() if name not in ("depth-3", "width-16")}


def compared(profile: str, side: int, networks: dict, iterations: int, pictures: tuple[str, ...]) -> tuple[Run, ...]:
    """Return a run for each network, task and image: denoising at σ = 25, and a text to remove."""
    settings = Settings(iterations, average_start=iterations // 2)  # in a short run the first iterates stay in it
    text, height = "which network draws what is not there", max(9, side // 14)
    tasks: dict[str, tuple[Callable[[str], Denoising | Inpainting], str]] = {
        "denoising": (lambda image: Denoising(image, side), "average"),
        "inpainting": (lambda image: Inpainting(image, side, text=text, height=height), "image"),
    }
    return tuple(
        Run(f"architectures/{profile}-{task}-{image}-{name}", make(image), network, settings, scored=scored)
        for task, (make, scored) in tasks.items()
        for image in pictures
        for name, network in networks.items()
    )


# Budget: laptop 32 runs of 600 steps, about 0.1 s a step in the mean: at most an hour of 4 cores.
ARCHITECTURES = Experiment(
    "architectures",
    "Depth, width, skips, U-Net and ResNet: quality against parameters and time",
    "Architectures, compared by the paper on the library hole",
    {
        "quick": compared("quick", 48, few(architectures(32, 4)), 320, ("astronaut",)),
        "laptop": compared("laptop", 128, architectures(128, 5), 600, ("astronaut", "chelsea")),
    },
)
