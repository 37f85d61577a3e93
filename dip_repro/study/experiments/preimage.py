"""Notebook `preimage`: a picture from what a classifier's layer keeps of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from dip_repro.config import NetworkConfig, Settings
from dip_repro.study.no_prior import PixelsConfig
from dip_repro.study.runs import RESULTS, Experiment, Run, finished
from dip_repro.study.tasks import Activation, PreImage

# Each with the class of ImageNet that EfficientNet-Lite0 reads in it. The settings were chosen on the first alone.
IMAGES = {"coffee": 967, "chelsea": 285}
METHODS = {"deep": "deep prior", "tv": "total variation", "pixels": "no prior"}
LAYERS = {  # from early to late
    "lite0": ("block1", "block3", "block5", "block11", "block16", "fc"),
    "alexnet": ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"),
}
# λ of total variation: of 0.3, 1, 3 and 10 the best by SSIM on coffee's block11; in `activation`, of 0.3, 3, 10
# and 30 the one whose pizza the other network knows best.
VARIATION = 10.0


def inverter(divisor: int = 1, depth: int = 6) -> NetworkConfig:
    """Return the paper's network of the natural pre-image, its widths divided by `divisor`, cut to `depth`."""
    n = tuple(width // divisor for width in (16, 32, 64, 128, 128, 128)[:depth])
    k = (7, 7, 5, 5, 3, 3)[:depth]
    return NetworkConfig(
        n_d=n, n_u=n, n_s=(4,) * depth, k_d=k, k_u=k, k_s=(1,) * depth, upsample="nearest", padding="zeros"
    )


def by_each_method(
    start: str, task: PreImage | Activation, network: NetworkConfig, deep: Settings, pixels: Settings
) -> tuple[Run, ...]:
    """Return the runs of `METHODS` on a task, called <start>-<method>; pixels are optimised without a network."""
    grid = PixelsConfig((task.side, task.side))
    return (
        Run(f"{start}-deep", task, network, deep),
        Run(f"{start}-tv", replace(task, variation=VARIATION), grid, pixels),
        Run(f"{start}-pixels", task, grid, pixels),
    )


def preimages(
    name: str, image: str, side: int, phi: tuple[str, str], network: NetworkConfig, deep: Settings, pixels: Settings
) -> tuple[Run, ...]:
    """Return the three methods' runs on an image of `side` × `side` pixels; `phi` is a network and its layer."""
    return by_each_method(f"preimage/{name}-{image}-{phi[1]}", PreImage(image, side, *phi), network, deep, pixels)


def every(name: str, side: int, phi: str, network: NetworkConfig, deep: Settings, pixels: Settings) -> tuple[Run, ...]:
    """Return `preimages` of all layers of the classifier `phi`, layer by layer from the middle one outwards."""
    middle = len(LAYERS[phi]) // 2
    layers = sorted(LAYERS[phi], key=lambda layer: abs(LAYERS[phi].index(layer) - middle + 0.5))
    return tuple(
        run
        for layer in layers
        for image in IMAGES
        for run in preimages(name, image, side, (phi, layer), network, deep, pixels)
    )


PREIMAGE = Experiment(
    "preimage",
    "A picture from what a classifier's layer keeps of it",
    "Natural pre-image, Sec. 4",
    {
        "quick": preimages(
            *("quick", "coffee", 128, ("lite0", "block5"), inverter(2, depth=5)),
            deep=Settings(60, sigma_p=0, report_every=20),
            pixels=Settings(60, learning_rate=0.02, sigma_p=0, report_every=20),
        ),
        # Half the widths, no perturbation, and ten times the rate for a tenth of the iterations: minutes on two cores.
        "laptop": every(
            *("laptop", 224, "lite0", inverter(2)),
            deep=Settings(300, sigma_p=0, report_every=50),
            pixels=Settings(300, learning_rate=0.02, sigma_p=0, report_every=50),
        ),
        "paper": every(
            *("alexnet", 224, "alexnet", inverter()),
            deep=Settings(3100, learning_rate=0.001),
            pixels=Settings(3100, sigma_p=0),
        ),
    },
)


def found(profile: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return a row for each run that has a record: layer, image, method, psnr, ssim, distance, read, probability.

    `distance` is ‖Φ(x) − Φ(x0)‖ / ‖Φ(x0)‖; `read` is the class that the classifier reads in the picture, and
    `probability` what it gives to the class of the original.
    """
    rows = []
    for run, record in finished(PREIMAGE.runs(profile), folder).items():
        assert isinstance(run.task, PreImage)
        task, measures = run.task, {name: x["image"] for name, x in record["measures"].items()}
        rows.append(
            {"layer": task.layer, "image": task.image, "method": run.name.rpartition("-")[2]}
            | {"psnr": record["scores"]["image"], "ssim": record["scores"]["ssim"]}
            | {"distance": measures["distance"], "read": int(measures[f"class_{task.network}"])}
            | {"probability": measures[f"probability_{task.network}"]}
        )
    return pd.DataFrame(rows)


def measured(found: pd.DataFrame) -> dict[str, float]:
    """Return the quantities of the claims of notebook `preimage`, of the laptop runs; none where a run is missing."""
    if len(found) < len(PREIMAGE.runs("laptop")):
        return {}
    ssim = found.pivot(index=["layer", "image"], columns="method", values="ssim")
    deep = found[found.method == "deep"]
    by_layer = deep.groupby("layer").psnr.mean()
    first, *_, last = LAYERS["lite0"]
    return {
        "share_above_tv": (ssim.deep > ssim.tv).mean(),
        "share_above_pixels": (ssim.deep > ssim.pixels).mean(),
        "largest_distance": deep.distance.max(),
        "share_of_class": (deep.read == deep.image.map(IMAGES)).mean(),
        "fall_with_depth_db": by_layer[first] - by_layer[last],
    }
