"""The encoder-decoder of the paper's Fig. 21, built of the blocks d_i, s_i, u_i; and its input z."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from dip_repro import fast
from dip_repro.blocks import Down, Skip, Up, convolution
from dip_repro.runtime import UserError, own_defaults, stream

CHOICES = {
    "upsample": ("bilinear", "nearest"),
    "padding": ("reflect", "zeros"),
    "skip_from": ("input", "output"),
    "upsample_at": ("start", "end"),
    "join": ("concat", "add"),
    "initialisation": ("kaiming_uniform", "kaiming_normal", "xavier_normal"),
    "odd_sizes": ("crop", "canvas"),
    "norm_scale": ("one", "uniform"),
    "downsample": ("stride", "average"),
}


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
    upsample: str = "bilinear"
    padding: str = "reflect"
    # Readings
    skip_from: str = "input"
    upsample_at: str = "start"
    join: str = "concat"
    align_corners: bool = False
    norm_first: bool = True
    slope: float = 0.01
    bias_before_norm: bool = False
    initialisation: str = "kaiming_uniform"
    odd_sizes: str = "crop"
    norm_scale: str = "one"  # of batch norm at the start: 1, or U(0, 1)
    downsample: str = "stride"  # or average pooling

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
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserError(f"{name} = {getattr(self, name)!r} is not one of {', '.join(choices)}")

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
        return Hourglass(self, seed)

    @classmethod
    def uniform(cls, width: int, depth: int, skip: int = 4, **others) -> NetworkConfig:
        """Return the paper's default with another width, depth and skip width."""
        n, k = (width,) * depth, (3,) * depth
        return cls(n_d=n, n_u=n, n_s=(skip,) * depth, k_d=k, k_u=k, k_s=(1,) * depth, **others)


# The narrow network of the paper's JPEG example.
NARROW = (8, 16, 32, 64, 128)
SNAIL = NetworkConfig(in_channels=3, n_d=NARROW, n_u=NARROW, n_s=(0, 0, 0, 4, 4))


class Hourglass(nn.Module):
    """x = f_θ(z): (1, in_channels, H, W) → (1, out_channels, H, W) in (0, 1), for any H, W > 2^depth.

    Weights come from the stream "weights" of `seed`, by layer name: layers that two configurations share start
    alike.
    """

    @own_defaults()
    def __init__(self, config: NetworkConfig, seed: int = 0):
        super().__init__()
        self.config = config
        self.downs, self.skips, self.ups = nn.ModuleList(), nn.ModuleDict(), nn.ModuleList()
        entering = (config.in_channels, *config.n_d)  # entering[i] channels enter d_i, entering[i + 1] leave it
        for i in range(config.depth):
            n_s, source = config.skip_filters(i), entering[i if config.skip_from == "input" else i + 1]
            self.downs.append(Down(entering[i], config.n_d[i], config.k_d[i], config))
            if n_s:
                self.skips[str(i)] = Skip(source, n_s, config.k_s[i], config)
            self.ups.append(Up(config.channels(i + 1), n_s, config.n_u[i], config.k_u[i], config))
        self.head = fast.Pointwise(config.channels(0), config.out_channels, 1)
        initialise(self, config, seed)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, z: Tensor) -> Tensor:
        height, width = z.shape[-2:]
        z = z.contiguous(memory_format=torch.channels_last)
        if self.config.odd_sizes == "canvas":
            multiple = 2**self.config.depth
            z = nn.functional.pad(z, (0, -width % multiple, 0, -height % multiple), mode="reflect")
        return torch.sigmoid(self.head(self.level(z, 0)))[..., :height, :width]

    def level(self, x: Tensor, i: int) -> Tensor:
        """Return what depth i and all below make of x: d_i, the deeper levels, u_i, and s_i beside them."""
        if i == self.config.depth:
            return x
        down = self.downs[i](x)  # (1, n_d[i], ⌈H/2⌉, ⌈W/2⌉)
        source = x if self.config.skip_from == "input" else down
        skip = self.skips[str(i)](source) if self.config.n_s[i] else None  # (1, n_s[i], H, W)
        return self.ups[i](self.level(down, i + 1), skip, x.shape[-2:])  # (1, n_u[i], H, W)

    def check_size(self, height: int, width: int) -> None:
        """Say so, before computing, where an image is too small for the depth."""
        minimum = 2**self.config.depth + 1
        if min(height, width) < minimum:
            shallower = "; use a shallower network" if self.config.depth > 1 else ""
            raise UserError(
                f"an image of {height}×{width} is too small for depth {self.config.depth}: "
                f"each side must be at least {minimum}{shallower}"
            )


@torch.no_grad()
def initialise(network: nn.Module, config, seed: int) -> None:
    """Draw the weights: by PyTorch's own rule for convolutions, or by another reading of the silent text."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.BatchNorm2d) and config.norm_scale == "uniform":
            nn.init.uniform_(layer.weight, generator=stream(seed, f"scales/{name}"))
        if not isinstance(layer, nn.Conv2d):
            continue
        generator = stream(seed, f"weights/{name}")
        fan_in = layer.weight[0].numel()
        match config.initialisation:
            case "kaiming_uniform":
                nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            case "kaiming_normal":
                nn.init.kaiming_normal_(layer.weight, a=config.slope, generator=generator)
            case "xavier_normal":
                nn.init.xavier_normal_(layer.weight, generator=generator)
        if layer.bias is not None:
            nn.init.uniform_(layer.bias, -(fan_in**-0.5), fan_in**-0.5, generator=generator)


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
    padding: str = "reflect"
    slope: float = 0.01
    bias_before_norm: bool = False
    initialisation: str = "kaiming_uniform"
    norm_scale: ClassVar[str] = "one"
    downsample: ClassVar[str] = "stride"

    def build(self, seed: int = 0) -> ResNet:
        return ResNet(self, seed)


class ResNet(nn.Module):
    """(1, in_channels, H, W) → (1, out_channels, H, W): x ← x + BN(conv(LeakyReLU(BN(conv(x))))), `blocks` times."""

    @own_defaults()
    def __init__(self, config: ResNetConfig, seed: int = 0):
        super().__init__()
        self.config = config
        self.stem = nn.Sequential(*convolution(config.in_channels, config.width, config.kernel, config))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *convolution(config.width, config.width, config.kernel, config),
                *convolution(config.width, config.width, config.kernel, config)[:2],
            )
            for _ in range(config.blocks)
        )
        self.head = nn.Conv2d(config.width, config.out_channels, 1)
        initialise(self, config, seed)

    def forward(self, z: Tensor) -> Tensor:
        x = self.stem(z)
        for block in self.blocks:
            x = x + block(x)
        return torch.sigmoid(self.head(x))


def count_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@own_defaults()
def noise_input(channels: int, size: tuple[int, ...], seed: int) -> Tensor:
    """Return z ~ U(0, 1/10), (1, channels, H, W): fixed noise from the stream "z" of `seed`."""
    return torch.rand(1, channels, *size, generator=stream(seed, "z")) / 10


def add_noise(z: Tensor, sigma_p: float, generator: torch.Generator) -> Tensor:
    """Return z plus normal noise of standard deviation σ_p."""
    if not sigma_p:
        return z
    return z.add(torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device), alpha=sigma_p)


@own_defaults()
def mesh_input(size: tuple[int, ...], low: float = 0, high: float = 1) -> Tensor:
    """Return z as a mesh grid, (1, 2, H, W): each pixel's column and row in [low, high] (large holes)."""
    rows, columns = (torch.linspace(low, high, n) for n in size)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None]
