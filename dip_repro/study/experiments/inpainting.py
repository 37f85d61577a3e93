"""Notebook 04: text, and large holes."""

from __future__ import annotations

from dip_repro.fitting import Settings
from dip_repro.networks import NetworkConfig, ResNetConfig
from dip_repro.study.runs import Experiment, Run, one_of_each
from dip_repro.study.tasks import Inpainting

WORDS = "the deep image prior restores what was written over"

TEXT = Experiment(
    "text",
    "Text removed from a picture",
    "Inpainting of text (Kate), Sec. 4",
    one_of_each(
        "text",
        {
            "quick": {
                "task": Inpainting("astronaut", side=64, text=WORDS, height=9),
                "network": NetworkConfig.uniform(width=32, depth=3),
                "settings": Settings(iterations=400),
            },
            "laptop": {
                "task": Inpainting("astronaut", side=256, text=WORDS, height=16),
                "network": NetworkConfig(),
                "settings": Settings(iterations=2000),
            },
            "paper": {
                "task": Inpainting("repository/inpainting/kate.png", mask="repository/inpainting/kate_mask.png"),
                "network": NetworkConfig(),
                "settings": Settings(iterations=6000),
            },
        },
    ),
)


def library(channels: int, depth: int, skip: int = 0, wide_skips: bool = False) -> NetworkConfig:
    """Return the hourglass of the library hole, cut to `depth`; "U-Net" is it with skips as wide as each level."""
    n_d = (16, 32, 64, 128, 128, 128)[:depth]
    n_s = n_d if wide_skips else (skip,) * depth
    k_d, k_u, k_s = (3,) * depth, (5,) * depth, (1,) * depth
    return NetworkConfig(
        out_channels=channels, n_d=n_d, n_u=n_d, n_s=n_s, k_d=k_d, k_u=k_u, k_s=k_s, upsample="nearest"
    )


def hole_runs(profile: str, task: Inpainting, settings: Settings, channels: int, deep: int) -> tuple[Run, ...]:
    networks: dict[str, NetworkConfig | ResNetConfig] = {
        "deep": library(channels, deep),
        "shallow": library(channels, depth=2),
        "skips": library(channels, deep, skip=4),
        "unet": library(channels, deep, wide_skips=True),
        "resnet": ResNetConfig(out_channels=channels),
    }
    return tuple(Run(f"hole/{profile}-{name}", task, network, settings) for name, network in networks.items())


HOLE = Experiment(
    "hole",
    "A large hole, filled by networks of several depths and kinds",
    "Large-hole inpainting (library, vase), Sec. 4",
    {
        "quick": hole_runs("quick", Inpainting("brick", side=64), Settings(120, sigma_p=0), channels=1, deep=5)[:3],
        "laptop": hole_runs("laptop", Inpainting("brick", side=256), Settings(2000, sigma_p=0), channels=1, deep=6),
        "paper": hole_runs(
            "library",
            Inpainting("repository/inpainting/library.png", mask="repository/inpainting/library_mask.png"),
            Settings(5000, learning_rate=0.1, sigma_p=0),
            channels=3,
            deep=6,
        ),
    },
)

MESH = Experiment(
    "mesh",
    "A large hole, filled from a mesh grid",
    "Large-hole inpainting (vase), Sec. 4",
    one_of_each(
        "mesh",
        {
            "laptop": {
                "task": Inpainting("coffee", side=256, z="mesh"),
                "network": NetworkConfig(in_channels=2, n_s=(0,) * 5),
                "settings": Settings(2000),
            },
            "paper": {
                "task": Inpainting(
                    "repository/inpainting/vase.png", mask="repository/inpainting/vase_mask.png", z="mesh"
                ),
                "network": NetworkConfig(in_channels=2, n_s=(0,) * 5),
                "settings": Settings(5000),
            },
        },
    ),
)
