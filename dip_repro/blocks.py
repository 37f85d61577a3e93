"""The three blocks of the paper's Fig. 21: down d_i, skip s_i, up u_i.

`config` holds the readings where the paper's text admits more than one.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dip_repro import fast
from dip_repro.config import NetworkConfig, ResNetConfig

# What u_i does, in order, by the reading of (upsample_at, skip_from). The skip joins where the resolutions agree.
ORDERS = {
    ("start", "input"): ("upsample", "join", "convolve"),
    ("start", "output"): ("join", "upsample", "convolve"),
    ("end", "input"): ("convolve", "upsample", "join"),
    ("end", "output"): ("join", "convolve", "upsample"),
}


def convolution(
    in_channels: int, filters: int, kernel: int, config: NetworkConfig | ResNetConfig, stride: int = 1
) -> list[nn.Module]:
    """Return convolution, batch norm, LeakyReLU: (N, in_channels, H, W) → (N, filters, ⌈H/stride⌉, ⌈W/stride⌉)."""
    # A 1×1 kernel needs no border; saying "zeros" there spares a copy of the image.
    padding_mode: Literal["zeros", "reflect"] = config.padding if kernel > 1 else "zeros"
    pooled = isinstance(config, NetworkConfig) and config.downsample == "average" and stride > 1
    kind, stride = (PooledConv2d, 1) if pooled else (nn.Conv2d if kernel > 1 else fast.Pointwise, stride)
    return [
        kind(
            in_channels, filters, kernel, stride, kernel // 2, padding_mode=padding_mode, bias=config.bias_before_norm
        ),
        nn.BatchNorm2d(filters, track_running_stats=False),  # one image: always its own statistics
        nn.LeakyReLU(config.slope, inplace=True),
    ]


class PooledConv2d(nn.Conv2d):
    """A convolution and average pooling by 2 in the place of its stride of 2: a reading of how d_i shrinks."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2, ceil_mode=True)


class Down(nn.Sequential):
    """d_i: (N, in_channels, H, W) → (N, n_d, ⌈H/2⌉, ⌈W/2⌉). The first convolution has stride 2, or is pooled."""

    def __init__(self, in_channels: int, n_d: int, k_d: int, config: NetworkConfig):
        super().__init__(
            *convolution(in_channels, n_d, k_d, config, stride=2),
            *convolution(n_d, n_d, k_d, config),
        )


class Skip(nn.Sequential):
    """s_i: (N, in_channels, H, W) → (N, n_s, H, W)."""

    def __init__(self, in_channels: int, n_s: int, k_s: int, config: NetworkConfig):
        super().__init__(*convolution(in_channels, n_s, k_s, config))


class Up(nn.Module):
    """u_i: (N, in_channels, ⌈H/2⌉, ⌈W/2⌉) and the skip (N, n_s, H, W) or None → (N, n_u, H, W).

    Batch norm; convolution, batch norm, LeakyReLU; 1×1 convolution, batch norm, LeakyReLU. Up-sampling by 2 and joining
    the skip come before them, or elsewhere in another reading (`ORDERS`). Where a concatenated skip joins last,
    n_u + n_s channels leave the block.
    """

    def __init__(self, in_channels: int, n_s: int, n_u: int, k_u: int, config: NetworkConfig):
        super().__init__()
        self.config = config
        self.order = ORDERS[config.upsample_at, config.skip_from]
        joined = n_s if config.join == "concat" and self.order[-1] != "join" else 0
        self.convolve = nn.Sequential(
            nn.BatchNorm2d(in_channels + joined, track_running_stats=False) if config.norm_first else nn.Identity(),
            *convolution(in_channels + joined, n_u, k_u, config),
            *convolution(n_u, n_u, 1, config),
        )
        self.fast = fast.convolves_before_upsampling(config, k_u)

    def forward(self, x: Tensor, skip: Tensor | None, size: torch.Size) -> Tensor:
        """Return (N, n_u, *size). `size` is (H, W)."""
        if self.fast and fast.quarter_is_faster(x, size):
            norm, first, *rest = self.convolve
            x = fast.upsample_join_convolve(x, skip, norm, first)
            for layer in rest:
                x = layer(x)
            return x
        for step in self.order:
            if step == "upsample":
                x = self.upsample(x, size)
            elif step == "join":
                x = self.join(x, skip)
            else:
                x = self.convolve(x)
        return x

    def upsample(self, x: Tensor, size: torch.Size) -> Tensor:
        corners = None if self.config.upsample == "nearest" else self.config.align_corners
        x = F.interpolate(x, scale_factor=2, mode=self.config.upsample, align_corners=corners)
        return x[..., : size[0], : size[1]]  # where H is odd, 2⌈H/2⌉ is one row too many

    def join(self, x: Tensor, skip: Tensor | None) -> Tensor:
        if skip is None:
            return x
        if self.config.join == "add":
            return x + skip
        return torch.cat([fast.GradientInLayout.apply(part) for part in (x, skip)], 1)
