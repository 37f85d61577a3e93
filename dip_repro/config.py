"""The network and how it is fitted, as plain data: the paper's values, and the readings of its text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args, get_type_hints

from dip_repro.runtime import UserError

if TYPE_CHECKING:
    from dip_repro.networks import Hourglass, ResNet

Initialisation = Literal["kaiming_uniform", "kaiming_normal", "xavier_normal"]


def check_choices(config) -> None:
    """Raise UserError where a field that names one of several choices holds none of them."""
    for name, kind in get_type_hints(type(config)).items():
        choices = get_args(kind) if not isinstance(kind, type) else ()
        if choices and isinstance(choices[0], str) and getattr(config, name) not in choices:
            raise UserError(f"{name} = {getattr(config, name)!r} is not one of {', '.join(choices)}")


@dataclass(frozen=True)
class NetworkConfig:
    """The hourglass by the paper's symbols, then the readings of its text (docs/readings.md lists them).

    Lists have one entry per depth i, the outermost first. n_s[i] = 0 means no skip.
    """

    in_channels: int = 32
    out_channels: int = 3
    n_d: tuple[int, ...] = (128,) * 5
    n_u: tuple[int, ...] = (128,) * 5
    n_s: tuple[int, ...] = (4,) * 5
    k_d: tuple[int, ...] = (3,) * 5
    k_u: tuple[int, ...] = (3,) * 5
    k_s: tuple[int, ...] = (1,) * 5
    upsample: Literal["bilinear", "nearest"] = "bilinear"
    padding: Literal["reflect", "zeros"] = "reflect"
    # Readings
    skip_from: Literal["input", "output"] = "input"
    upsample_at: Literal["start", "end"] = "start"
    join: Literal["concat", "add"] = "concat"
    align_corners: bool = False
    norm_first: bool = True
    slope: float = 0.01
    bias_before_norm: bool = False
    initialisation: Initialisation = "kaiming_uniform"
    odd_sizes: Literal["crop", "canvas"] = "crop"
    norm_scale: Literal["one", "uniform"] = "one"  # of batch norm at the start: 1, or U(0, 1)
    downsample: Literal["stride", "average"] = "stride"  # or average pooling

    def __post_init__(self):
        for name in ("n_d", "n_u", "n_s", "k_d", "k_u", "k_s"):
            value = tuple(getattr(self, name))
            object.__setattr__(self, name, value)
            if len(value) != self.depth or not value:
                raise UserError(f"{name} has {len(value)} entries and n_d {self.depth}: give one entry per depth")
        if any(n < 1 for n in self.n_d + self.n_u) or any(n < 0 for n in self.n_s):
            raise UserError("n_d and n_u must be at least 1, n_s at least 0 (no skip)")
        if any(k < 1 or k % 2 == 0 for k in self.k_d + self.k_u + self.k_s):
            raise UserError("kernel sizes k_d, k_u and k_s must be odd and positive, so that sizes are kept")
        check_choices(self)

    @property
    def depth(self) -> int:
        return len(self.n_d)

    def skip_filters(self, i: int) -> int:
        """Return the filters of s_i: n_s[i]; where it is added, as many as what it is added to, or 0."""
        if self.join == "concat" or not self.n_s[i]:
            return self.n_s[i]
        return self.n_u[i] if self.joins_last else self.channels(i + 1)

    def channels(self, i: int) -> int:
        """Return the channels of what depth i hands upwards: u_i's, or d's at the bottom."""
        if i == self.depth:
            return self.n_d[-1]
        return self.n_u[i] + (self.n_s[i] if self.joins_last and self.join == "concat" else 0)

    @property
    def joins_last(self) -> bool:
        """Whether the skip joins after u_i's convolutions (`blocks.ORDERS`)."""
        return self.upsample_at == "end" and self.skip_from == "input"

    def build(self, seed: int = 0) -> Hourglass:
        from dip_repro.networks import Hourglass  # which is made of these

        return Hourglass(self, seed)

    @classmethod
    def uniform(cls, width: int, depth: int, skip: int = 4, **others) -> NetworkConfig:
        """Return the paper's default with another width, depth and skip width."""
        n, k = (width,) * depth, (3,) * depth
        return cls(n_d=n, n_u=n, n_s=(skip,) * depth, k_d=k, k_u=k, k_s=(1,) * depth, **others)


# The narrow network of the paper's JPEG example.
NARROW = (8, 16, 32, 64, 128)
SNAIL = NetworkConfig(in_channels=3, n_d=NARROW, n_u=NARROW, n_s=(0, 0, 0, 4, 4))


@dataclass(frozen=True)
class ResNetConfig:
    """A residual network without down-sampling, which the paper compares with the hourglass on the library hole.

    The paper gives no more than the name: `blocks` residual blocks of `width` filters is this study's reading.
    """

    in_channels: int = 32
    out_channels: int = 3
    width: int = 32
    blocks: int = 8
    kernel: int = 3
    padding: Literal["reflect", "zeros"] = "reflect"
    slope: float = 0.01
    bias_before_norm: bool = False
    initialisation: Initialisation = "kaiming_uniform"

    def __post_init__(self):
        check_choices(self)

    def build(self, seed: int = 0) -> ResNet:
        from dip_repro.networks import ResNet

        return ResNet(self, seed)


@dataclass(frozen=True)
class Settings:
    """How to fit: the paper's settings, then the readings of its text (docs/readings.md lists them)."""

    iterations: int
    learning_rate: float = 0.01
    sigma_p: float = 1 / 30
    average_weight: float = 0.99
    # Readings
    average_start: int = 0
    reduction: Literal["mean", "sum"] = "mean"
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    rollback_threshold: float = 0.1  # a jump: a rise by this fraction of the first loss
    rollback_ratio: float = math.inf  # or to this multiple of itself
    output: Literal["perturbed", "unperturbed"] = "perturbed"  # z of the last iterate
    report_every: int = 10  # how often the loss is looked at, scores are taken, and a place to return to is kept

    def __post_init__(self):
        if self.iterations < 1 or self.report_every < 1:
            raise UserError("iterations and report_every must be at least 1")
        if min(self.learning_rate, self.sigma_p) < 0 or not 0 <= self.average_weight < 1:
            raise UserError("learning_rate and sigma_p must not be negative, and average_weight lies in [0, 1)")
        if self.rollback_ratio <= 1:
            raise UserError(f"rollback_ratio = {self.rollback_ratio}: a jump is to a multiple above 1")
        check_choices(self)
