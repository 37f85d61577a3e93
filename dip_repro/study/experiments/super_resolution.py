"""Notebook 03: more pixels than were measured; four tables."""

from __future__ import annotations

from dip_repro.fitting import Settings
from dip_repro.networks import NetworkConfig
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import SuperResolution

SET5 = ("baby", "bird", "butterfly", "head", "woman")


def super_resolution(table: str, image: str) -> Run:
    """Return the paper's run of an image of "sr4-set5", "sr8-set14", …"""
    factor = int(table[2])
    task = SuperResolution(f"project-page/SR/Set{table[7:]}/x{factor}/{image}_GT.png", factor)
    settings = Settings(2000) if factor == 4 else Settings(4000, sigma_p=1 / 20)
    return Run(f"{table}/{image}", task, NetworkConfig(), settings)


SUPER_RESOLUTION = Experiment(
    "super-resolution",
    "More pixels than were measured: ×4 and ×8",
    "Tables of super-resolution, Sec. 4 (Set5); the zebra's prior effect",
    {
        "quick": (
            Run(
                "super-resolution/quick-coffee",
                SuperResolution("coffee", 4, side=96),
                NetworkConfig.uniform(width=32, depth=3),
                Settings(iterations=640),
            ),
        ),
        "laptop": (
            Run(
                "super-resolution/laptop-coffee",
                SuperResolution("coffee", 4, 256),
                NetworkConfig(),
                Settings(800),
            ),
        ),
        "paper": (
            *(super_resolution(table, image) for table in ("sr4-set5", "sr8-set5") for image in SET5),
            super_resolution("sr4-set14", "zebra"),
        ),
    },
)

SET14 = (
    *("baboon", "barbara", "bridge", "coastguard", "comic", "face", "flowers", "foreman", "lenna", "man"),
    *("monarch", "pepper", "ppt3", "zebra"),
)

SUPER_RESOLUTION_SET14 = Experiment(
    "super-resolution-set14",
    "The larger set of the same tables: ×4 and ×8",
    "Tables of super-resolution, Sec. 4 (Set14; zebra ×4 is of super-resolution)",
    {
        "paper": (
            *(super_resolution("sr4-set14", image) for image in SET14 if image != "zebra"),
            *(super_resolution("sr8-set14", image) for image in SET14),
        ),
    },
)
