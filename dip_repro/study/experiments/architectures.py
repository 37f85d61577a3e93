"""Notebook `inpainting`: how several architectures learn in 600 iterations. They decide no claim."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from dip_repro.config import NetworkConfig, ResNetConfig, Settings
from dip_repro.study.experiments.inpainting import curve_on_missing
from dip_repro.study.results import Cell, crossed
from dip_repro.study.runs import Experiment, Run, problem_of
from dip_repro.study.tasks import Denoising, Inpainting

TEXT = "which network draws what is not there"

# The networks in words, for pictures and tables.
LABELS = {
    "paper": "the paper's",
    "depth-1": "1 scale",
    "depth-3": "3 scales",
    "width-8": "8 filters",
    "width-32": "32 filters",
    "width-64": "64 filters",
    "no-skips": "no skips",
    "U-Net": "wide skips (U-Net)",
    "ResNet": "no scales (ResNet)",
}


def architectures(width: int, depth: int) -> dict[str, NetworkConfig | ResNetConfig]:
    """Return the networks compared. "paper" has the paper's proportions: `width` filters, `depth` scales, skips of 4.

    "U-Net" has skips as wide as each level, "ResNet" has no scales. The paper gives only these names.
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


def comparison(profile: str, side: int, networks: dict, iterations: int, images: Iterable[str]) -> dict[Run, Cell]:
    """Return the runs of each network on each image: denoising at σ = 25, and a text to remove."""
    # The average starts at half of the run: in a short run the first iterates would stay in it.
    settings = Settings(iterations, average_start=iterations // 2)

    def run(cell: Cell) -> Run:
        denoising = cell.task == "denoising"
        inpainting = Inpainting(cell.image, side, text=TEXT, height=max(9, side // 14))
        return Run(
            f"architectures/{profile}-{cell.task}-{cell.image}-{cell.arm}",
            Denoising(cell.image, side) if denoising else inpainting,
            networks[cell.arm],
            settings,
            scored="average" if denoising else "image",
        )

    return crossed(run, ("denoising", "inpainting"), networks, images, (0,))


# Budget of laptop: 32 runs of 600 steps, about 0.1 s a step in the mean: at most an hour of 4 cores.
COMPARISONS = {
    "laptop": comparison("laptop", 128, architectures(128, 5), 600, ("astronaut", "chelsea")),
}
ARCHITECTURES = Experiment(
    "architectures",
    "Depth, width, skips, U-Net and ResNet: quality against parameters and time",
    "Architectures, compared by the paper on the library hole",
    {profile: tuple(cells) for profile, cells in COMPARISONS.items()},
)


def lead(runs: Iterable[Run], histories: list[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return, by task, the PSNR in dB less that of the paper's network, by iteration: a column each network.

    Means over the images, of the average of the iterates in denoising, and in inpainting of the iterate's missing
    pixels, over five reports.
    """
    cells = {run: cell for comparison in COMPARISONS.values() for run, cell in comparison.items()}
    found: dict[str, dict[str, list[pd.Series]]] = {}
    for run, history in zip(runs, histories, strict=True):
        task, arm = cells[run][:2]
        if task == "denoising":
            curve = history.set_index("iteration").psnr_average
        else:
            curve = curve_on_missing(problem_of(run), history).set_index("iteration").psnr.rolling(5).mean()
        found.setdefault(task, {}).setdefault(LABELS[arm], []).append(curve)
    means = {task: pd.DataFrame({arm: sum(each) / len(each) for arm, each in of.items()}) for task, of in found.items()}
    base = LABELS["paper"]
    return {task: frame.sub(frame[base], axis=0).drop(columns=base) for task, frame in means.items()}
