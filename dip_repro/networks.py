"""The encoder-decoder of the paper's Fig. 21, built of the blocks d_i, s_i, u_i; and its input z."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dip_repro.blocks import Down, Skip, Up, convolution
from dip_repro.runtime import UserError, stream

CHOICES = {
    "upsample": ("bilinear", "nearest"),
    "padding": ("reflect", "zeros"),
    "skip_from": ("input", "output"),
    "upsample_at": ("start", "end"),
    "join": ("concat", "add"),
    "initialisation": ("kaiming_uniform", "kaiming_normal", "xavier_normal"),
    "odd_sizes": ("crop", "canvas"),
}


@dataclass(frozen=True)
class NetworkConfig:
    """The hourglass by the paper's symbols, then the readings of its text (README lists them).

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

    def __init__(self, config: NetworkConfig, seed: int = 0):
        super().__init__()
        self.config = config
        self.downs, self.skips, self.ups = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = [config.in_channels, *config.n_d]  # channels[i] enter d_i, channels[i + 1] leave it
        deeper = channels[-1]
        for i in reversed(range(config.depth)):
            n_s = config.n_s[i]
            if n_s and config.join == "add":  # what is added must have as many channels as what it is added to
                n_s = config.n_u[i] if config.upsample_at == "end" and config.skip_from == "input" else deeper
            source = channels[i] if config.skip_from == "input" else channels[i + 1]
            self.downs.insert(0, Down(channels[i], config.n_d[i], config.k_d[i], config=config))
            self.skips.insert(0, Skip(source, n_s, config.k_s[i], config=config) if n_s else nn.Module())
            up = Up(deeper, n_s, config.n_u[i], config.k_u[i], config=config)
            self.ups.insert(0, up)
            deeper = up.out_channels
        self.head = nn.Conv2d(deeper, config.out_channels, 1)
        initialise(self, config, seed)

    def forward(self, z: Tensor) -> Tensor:
        if self.config.odd_sizes == "canvas":
            height, width = z.shape[-2:]
            multiple = 2**self.config.depth
            z = nn.functional.pad(z, (0, -width % multiple, 0, -height % multiple), mode="reflect")
            return self.encode_decode(z)[..., :height, :width]
        return self.encode_decode(z)

    def encode_decode(self, x: Tensor) -> Tensor:
        sizes, skips = [], []
        for down, skip, n_s in zip(self.downs, self.skips, self.config.n_s, strict=True):
            sizes.append(x.shape[-2:])  # depth i works at H/2^i
            y = down(x)
            skips.append(skip(x if self.config.skip_from == "input" else y) if n_s else None)
            x = y
        for up, skip, size in reversed(list(zip(self.ups, skips, sizes, strict=True))):
            x = up(x, skip, size)
        return torch.sigmoid(self.head(x))

    def check_size(self, height: int, width: int) -> None:
        """Say so, before computing, where an image is too small for the depth."""
        least = 2**self.config.depth + 1
        if min(height, width) < least:
            shallower = "; use a shallower network" if self.config.depth > 1 else ""
            raise UserError(
                f"an image of {height}×{width} is too small for depth {self.config.depth}: "
                f"each side must be at least {least}{shallower}"
            )


@torch.no_grad()
def initialise(network: nn.Module, config, seed: int) -> None:
    """Draw the weights: PyTorch's own rule for convolutions, or another reading of the silent text."""
    for name, layer in network.named_modules():
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

    def build(self, seed: int = 0) -> ResNet:
        return ResNet(self, seed)


class ResNet(nn.Module):
    """(1, in_channels, H, W) → (1, out_channels, H, W): x ← x + BN(conv(LeakyReLU(BN(conv(x))))), `blocks` times."""

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


def memory_needed(network: nn.Module, z: Tensor) -> int:
    """Return about how many bytes a step takes: weights, Adam's state, and what is kept for the gradient.

    Counted on a copy without data, so nothing is computed. The factor for work space and the constant were measured
    on the CPU in float32, from 64² to 1024² (benchmarks/NOTES.md), so as not to be too low.

    Raises
    ------
    UserError : an image too small for the network.
    """
    if isinstance(network, Hourglass):
        network.check_size(*z.shape[-2:])
    ghost, kept = copy.deepcopy(network).to("meta"), {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage()._cdata] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        ghost(z.to("meta"))
    activations = sum(x.untyped_storage().nbytes() for x in kept.values())
    return int(1.95 * activations) + 5 * 4 * count_parameters(network) + 150_000_000


def count_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def noise_input(channels: int, size: tuple[int, ...], seed: int) -> Tensor:
    """Return z ~ U(0, 1/10), (1, channels, H, W): fixed noise from the stream "z" of `seed`."""
    return torch.rand(1, channels, *size, generator=stream(seed, "z")) / 10


def mesh_input(size: tuple[int, ...], low: float = 0, high: float = 1) -> Tensor:
    """Return z as a mesh grid, (1, 2, H, W): each pixel's column and row in [low, high] (large holes)."""
    rows, columns = (torch.linspace(low, high, n) for n in size)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None]
