"""Notebook 04: text, and large holes."""

from __future__ import annotations

from dip_repro.networks import NetworkConfig, ResNetConfig
from dip_repro.settings import Settings
from dip_repro.study.runs import Experiment, Run, one_of_each
from dip_repro.study.tasks import Inpainting

PAGE = "repository/inpainting"
WORDS = "the deep image prior restores what was written over"


def published(image: str, z: str = "noise") -> Inpainting:
    """Return the task of a picture that the authors published, with its mask."""
    return Inpainting(f"{PAGE}/{image}.png", mask=f"{PAGE}/{image}_mask.png", z=z)


TEXT = Experiment(
    "text",
    "Text removed from a picture",
    "Inpainting of text (Kate), Sec. 4",
    one_of_each(
        "text",
        {
            "quick": (
                Inpainting("astronaut", 64, text=WORDS, height=9),
                NetworkConfig.uniform(width=32, depth=3),
                Settings(400),
            ),
            "laptop": (Inpainting("astronaut", 256, text=WORDS, height=16), NetworkConfig(), Settings(2000)),
            "paper": (published("kate"), NetworkConfig(), Settings(6000)),
        },
    ),
)


def library(channels: int, depth: int, skip: int = 0, wide_skips: bool = False) -> NetworkConfig:
    """Return the hourglass of the library hole, cut to `depth`; with `wide_skips` they are as wide as each level."""
    n_d = (16, 32, 64, 128, 128, 128)[:depth]
    n_s = n_d if wide_skips else (skip,) * depth
    k_d, k_u, k_s = (3,) * depth, (5,) * depth, (1,) * depth
    return NetworkConfig(
        out_channels=channels, n_d=n_d, n_u=n_d, n_s=n_s, k_d=k_d, k_u=k_u, k_s=k_s, upsample="nearest"
    )


def holes(profile: str, task: Inpainting, settings: Settings, channels: int, deep: int) -> dict[str, Run]:
    """Return one run for each network, by the name of the network."""
    networks: dict[str, NetworkConfig | ResNetConfig] = {
        "deep": library(channels, deep),
        "shallow": library(channels, depth=2),
        "skips": library(channels, deep, skip=4),
        "unet": library(channels, deep, wide_skips=True),
        "resnet": ResNetConfig(out_channels=channels),
    }
    return {name: Run(f"hole/{profile}-{name}", task, network, settings) for name, network in networks.items()}


QUICK = holes("quick", Inpainting("brick", 64), Settings(120, sigma_p=0), channels=1, deep=5)
HOLES = {
    "quick": {name: QUICK[name] for name in ("deep", "shallow", "skips")},
    "laptop": holes("laptop", Inpainting("brick", 256), Settings(2000, sigma_p=0), channels=1, deep=6),
    "paper": holes("library", published("library"), Settings(5000, learning_rate=0.1, sigma_p=0), channels=3, deep=6),
}
HOLE = Experiment(
    "hole",
    "A large hole, filled by networks of several depths and kinds",
    "Large-hole inpainting (library, vase), Sec. 4",
    {profile: tuple(runs.values()) for profile, runs in HOLES.items()},
)

FROM_MESH = NetworkConfig(in_channels=2, n_s=(0,) * 5)
MESH = Experiment(
    "mesh",
    "A large hole, filled from a mesh grid",
    "Large-hole inpainting (vase), Sec. 4",
    one_of_each(
        "mesh",
        {
            "laptop": (Inpainting("coffee", 256, z="mesh"), FROM_MESH, Settings(2000)),
            "paper": (published("vase", z="mesh"), FROM_MESH, Settings(5000)),
        },
    ),
)
