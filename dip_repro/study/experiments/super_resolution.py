"""Notebook `super_resolution`: more pixels than were measured; four tables, and which filter made the authors' x0."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch.nn import functional as F

from dip_repro import corruptions, images, metrics
from dip_repro.config import NetworkConfig, Settings
from dip_repro.operators import Decimation
from dip_repro.presets import PAPER, Preset, recommended
from dip_repro.study.no_prior import PixelsConfig, WithVariation
from dip_repro.study.runs import Experiment, Run
from dip_repro.study.tasks import Problem, SuperResolution

SETS = {
    "Set5": ("baby", "bird", "butterfly", "head", "woman"),
    "Set14": (
        *("baboon", "barbara", "bridge", "coastguard", "comic", "face", "flowers", "foreman", "lenna", "man"),
        *("monarch", "pepper", "ppt3", "zebra"),
    ),
}


def page(set_name: str, factor: int) -> str:
    """Return the folder of the authors' images of a set: ("Set5", 4)."""
    return f"project-page/SR/{set_name}/x{factor}"


def published(
    table: str, set_name: str, factor: int, how: Preset, seed: int = 0, scored: str = "image"
) -> dict[str, Run]:
    """Return the runs of a table by image."""
    tasks = {image: SuperResolution(f"{page(set_name, factor)}/{image}_GT.png", factor) for image in SETS[set_name]}
    return {
        image: Run(f"{table}/{image}", task, how.network, how.settings, seed, scored) for image, task in tasks.items()
    }


FOUR, EIGHT = PAPER["super-resolution"], PAPER["super-resolution above 4"]
# Two such fits take a third of the paper's compute: a step takes a fifth of the time (notebook `your_photo`).
OURS = recommended("super-resolution").of(1600)
TABLES = {
    "sr4-set5": published("sr4-set5", "Set5", 4, FOUR),
    "sr8-set5": published("sr8-set5", "Set5", 8, EIGHT),
    "sr4-set14": published("sr4-set14", "Set14", 4, FOUR),
    "sr8-set14": published("sr8-set14", "Set14", 8, EIGHT),
    "recommended-sr4-set5": published("recommended-sr4-set5", "Set5", 4, OURS, scored="average"),
    "recommended-second-sr4-set5": published("recommended-second-sr4-set5", "Set5", 4, OURS, 1, "average"),
}
ZEBRA = TABLES["sr4-set14"]["zebra"]
COFFEE = SuperResolution("coffee", 4, 256)
SETTLED = Settings(2000, sigma_p=0)


@dataclass(frozen=True)
class WithTotalVariation(SuperResolution):
    """Super-resolution with λ of total variation, `variation`, added to the loss."""

    variation: float = 0.02

    def problem(self, seed: int) -> Problem:
        plain = super().problem(seed)
        measurement = F.pad(plain.measurement.flatten(1), (0, 1))  # a 0 for the term of the variation
        return replace(plain, operator=WithVariation(plain.operator, self.variation), measurement=measurement)


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
                Settings(640),
            ),
        ),
        "laptop": (
            Run("super-resolution/laptop-coffee", COFFEE, NetworkConfig(), Settings(800)),
            Run("super-resolution/laptop-coffee-2000", COFFEE, NetworkConfig(), Settings(2000)),
        ),
        "paper": (*TABLES["sr4-set5"].values(), *TABLES["sr8-set5"].values(), ZEBRA),
    },
    baselines=True,
)
# The pixels start as those of `no_prior.Pixels`. λ = 0.02 was the best on `coffee` at 96², by the ground truth.
PIXELS = Experiment(
    "super-resolution-pixels",
    "The same picture from optimised pixels: without a prior, and with total variation",
    "Prior effect (zebra), Sec. 4",
    {
        "laptop": tuple(
            Run(f"super-resolution/laptop-coffee-{name}", task, PixelsConfig((256, 256), grey=1 / 20), SETTLED)
            for name, task in {"no-prior": COFFEE, "tv": WithTotalVariation("coffee", 4, 256)}.items()
        )
    },
)
SUPER_RESOLUTION_SET14 = Experiment(
    "super-resolution-set14",
    "The larger set of the same tables: ×4 and ×8",
    "Tables of super-resolution, Sec. 4 (Set14; zebra ×4 is of super-resolution)",
    {
        "paper": (
            *(run for run in TABLES["sr4-set14"].values() if run is not ZEBRA),
            *TABLES["sr8-set14"].values(),
        ),
    },
)
RECOMMENDED_SR4 = Experiment(
    "recommended-super-resolution",
    "×4 with the recommended setting: two runs each",
    "Table of super-resolution, Sec. 4 (Set5); the column of ours",
    {"paper": (*TABLES["recommended-sr4-set5"].values(), *TABLES["recommended-second-sr4-set5"].values())},
)


def decimations(
    set_name: str,
    factor: int,
    a: tuple[int, ...] = (2, 3),
    phases: tuple[float, ...] = (0.0,),
    method: str = "no_prior",
) -> pd.DataFrame:
    """Return how well candidates of d and x0 explain the authors' outputs, in grey levels. Needs the paper's images.

    The authors optimised an output x until d(x) = x0, so that d(x) − x0 is near 0 only for the right d and the right
    x0. Candidates of x0 are made from the ground truth, by `Decimation` or by Pillow. Samples of clipped pixels, which
    no d explains, and the three at each border are left out. The published files were rounded down, which makes the
    mean −0.5; the standard deviation about it, `spread`, is what tells.
    """
    errors: dict[tuple[str, int, float], list[torch.Tensor]] = {}
    for image in SETS[set_name]:
        truth, output = (
            images.crop_to_multiple(
                images.open_image(f"{page(set_name, factor)}/{image}_{kind}.png").expand(3, -1, -1), 32
            )
            for kind in ("GT", method)
        )
        clipped = ((output == 0) | (output == 1)).float()[None]
        reach = 2 * max(a) * factor  # the length of the kernel
        free = F.max_pool2d(clipped, reach + 1, factor, reach // 2)[0, :, 3:-3, 3:-3] == 0
        candidates = {(n, phase): Decimation(factor, n, phase) for n in a for phase in phases}
        x0s = {f"a = {n}, phase {phase:g}": d(truth[None])[0] for (n, phase), d in candidates.items()}
        x0s["Pillow's LANCZOS"] = corruptions.decimated(truth, factor)
        for (n, phase), d in candidates.items():
            for name, x0 in x0s.items():
                error = 255 * (d(output[None])[0] - metrics.quantise(x0))[:, 3:-3, 3:-3][free].double()
                errors.setdefault((name, n, phase), []).append(error)
    of_all = [torch.cat(parts) for parts in errors.values()]
    columns = {"mean": [float(x.mean()) for x in of_all], "spread": [float(x.std(correction=0)) for x in of_all]}
    index = pd.MultiIndex.from_tuples(errors, names=["x0 made with", "a of d", "phase of d"])
    return pd.DataFrame(columns, index).sort_values("spread")
