"""The encoder-decoder of the paper's Fig. 21, built of the blocks d_i, s_i, u_i; and its input z."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dip_repro import fast
from dip_repro.blocks import Down, Skip, Up, convolution
from dip_repro.config import NetworkConfig, ResNetConfig
from dip_repro.runtime import UserError, own_defaults, stream


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
        initialise(self, config, seed, config.norm_scale)
        self.to(memory_format=fast.layout(self.head.weight))  # type: ignore[call-overload]

    def forward(self, z: Tensor) -> Tensor:
        height, width = z.shape[-2:]
        z = z.contiguous(memory_format=fast.layout(z))
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
def initialise(network: nn.Module, config: NetworkConfig | ResNetConfig, seed: int, norm_scale: str = "one") -> None:
    """Draw the weights: by PyTorch's own rule for convolutions, or by another reading of the silent text."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.BatchNorm2d) and norm_scale == "uniform":
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
