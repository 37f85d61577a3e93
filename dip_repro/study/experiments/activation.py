"""Notebook `activation`: pictures that excite one unit of a classifier."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dip_repro.config import NetworkConfig, Settings
from dip_repro.study.experiments.preimage import by_each_method
from dip_repro.study.runs import RESULTS, Experiment, Run, finished
from dip_repro.study.tasks import Activation

# By their number in ImageNet.
CLASSES = {"goldfish": 1, "flamingo": 130, "zebra": 340, "sports car": 817, "pizza": 963, "daisy": 985}
CHANNEL = 2  # of the inner layers: of each the third map, chosen by its number alone
LAYERS = {"lite0": ("block3", "block5", "block11", "block16"), "alexnet": ("conv2", "conv3", "conv4", "conv5")}
LAST = {"lite0": "fc", "alexnet": "fc8"}
JUDGES = {"lite0": ("lite0", "lite1"), "alexnet": ("alexnet", "vgg16")}  # the first is the one that is excited
# Out of reach: a photo's first class has a logit of about 10 in Lite0, and of about 20 in AlexNet.
TARGETS = {"lite0": 100.0, "alexnet": 300.0}


def dreamer(divisor: int = 1, depth: int = 6) -> NetworkConfig:
    """Return the paper's network of activation maximisation, its widths divided by `divisor`, cut to `depth`."""
    n = tuple(width // divisor for width in (16, 32, 64, 128, 128, 128)[:depth])
    k, n_s = (5, 3, 5, 5, 3, 5)[:depth], (0, 4, 4, 4, 4, 4)[:depth]
    return NetworkConfig(n_d=n, n_u=n, n_s=n_s, k_d=k, k_u=k, k_s=(1,) * depth, padding="zeros")


def activations(
    name: str, side: int, phi: str, network: NetworkConfig, deep: Settings, pixels: Settings, classes: dict[str, int]
) -> tuple[Run, ...]:
    """Return the three methods' runs of each class, then of a channel of each inner layer, of the classifier `phi`."""
    target = TARGETS[phi]
    tasks = {c: Activation(phi, LAST[phi], channel, side, target, judges=JUDGES[phi]) for c, channel in classes.items()}
    tasks |= {layer: Activation(phi, layer, CHANNEL, side, target) for layer in LAYERS[phi]}
    return tuple(
        run
        for unit, task in tasks.items()
        for run in by_each_method(f"activation/{name}-{unit.replace(' ', '-')}", task, network, deep, pixels)
    )


ACTIVATION = Experiment(
    "activation",
    "Pictures that excite one unit of a classifier",
    "Activation maximisation, Sec. 4",
    {
        "quick": activations(
            *("quick", 128, "lite0", dreamer(2, depth=5)),
            deep=Settings(60, sigma_p=0.03, report_every=20),
            pixels=Settings(60, learning_rate=0.02, sigma_p=0, report_every=20),
            classes={"pizza": CLASSES["pizza"]},
        )[:3],
        # Half the widths, and ten times the rate for a tenth of the iterations: minutes on two cores.
        "laptop": activations(
            *("laptop", 224, "lite0", dreamer(2)),
            deep=Settings(300, sigma_p=0.03, report_every=50),
            pixels=Settings(300, learning_rate=0.02, sigma_p=0, report_every=50),
            classes=CLASSES,
        ),
        "paper": activations(
            *("alexnet", 224, "alexnet", dreamer()),
            deep=Settings(3100, learning_rate=0.001, sigma_p=0.03),
            pixels=Settings(3100, sigma_p=0),
            classes=CLASSES,
        ),
    },
)


def found(profile: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return a row for each run that has a record: unit, method, activation; of a class, what each judge reads.

    unit : a class by its name, or an inner layer. read, recognised : the classes that the network itself and the other
    one read. probability, other_probability : what they give to the class wanted. All four are NaN for inner layers.
    """
    of_class = {index: label for label, index in CLASSES.items()}
    rows = []
    for run, record in finished(ACTIVATION.runs(profile), folder).items():
        assert isinstance(run.task, Activation)
        measures = {name: x["image"] for name, x in record["measures"].items()}
        row = {"unit": run.task.layer, "method": run.name.rpartition("-")[2], "activation": measures["activation"]}
        if run.task.judges:
            itself, other = run.task.judges
            row |= {"unit": of_class[run.task.channel], "wanted": run.task.channel}
            row |= {"read": measures[f"class_{itself}"], "probability": measures[f"probability_{itself}"]}
            row |= {"recognised": measures[f"class_{other}"], "other_probability": measures[f"probability_{other}"]}
        rows.append(row)
    return pd.DataFrame(rows)


def measured(found: pd.DataFrame) -> dict[str, float]:
    """Return the quantities of the claims of notebook `activation`, of the laptop runs; none where a run is missing."""
    if len(found) < len(ACTIVATION.runs("laptop")):
        return {}
    classes = found[found.wanted.notna()]
    read = (classes.read == classes.wanted).groupby(classes.method).mean()
    recognised = (classes.recognised == classes.wanted).groupby(classes.method).mean()
    inner = found[found.wanted.isna()].pivot(index="unit", columns="method", values="activation")
    return {
        "share_read": read["deep"],
        "share_recognised": recognised["deep"],
        "recognised_over_pixels": recognised["deep"] - recognised["pixels"],
        "recognised_over_tv": recognised["deep"] - recognised["tv"],
        "least_of_free": (inner.deep / inner.pixels).min(),
    }
