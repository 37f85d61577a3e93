"""The three blocks of the paper's Fig. 21: down d_i, skip s_i, up u_i.

Where the text admits several readings, the reading is a named argument (see `networks.NetworkConfig`).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dip_repro.fast import convolve_upsampled, variance_upsampled

# The readings for which `Up.first_convolution` is the same function as the plain way.
SHORTCUT = {
    "upsample": "bilinear",
    "align_corners": False,
    "padding": "reflect",
    "skip_from": "input",
    "upsample_at": "start",
    "join": "concat",
}


def convolution(in_channels: int, filters: int, kernel: int, config, stride: int = 1) -> list[nn.Module]:
    """Return convolution, batch norm, LeakyReLU: (N, in_channels, H, W) → (N, filters, ⌈H/stride⌉, ⌈W/stride⌉).

    `config` holds the readings: padding (reflection, or zeros for the pre-image and activation maximisation), bias
    and slope.
    """
    # A 1×1 kernel needs no border; saying "zeros" there spares a copy of the image.
    padding_mode: Literal["zeros", "reflect"] = config.padding if kernel > 1 else "zeros"
    return [
        nn.Conv2d(
            in_channels, filters, kernel, stride, kernel // 2, padding_mode=padding_mode, bias=config.bias_before_norm
        ),
        nn.BatchNorm2d(filters, track_running_stats=False),  # one image: its own statistics, always
        nn.LeakyReLU(config.slope, inplace=True),
    ]


class Down(nn.Sequential):
    """d_i: convolution with stride 2, then convolution: (N, in_channels, H, W) → (N, n_d, ⌈H/2⌉, ⌈W/2⌉)."""

    def __init__(self, in_channels: int, n_d: int = 128, k_d: int = 3, *, config):
        super().__init__(
            *convolution(in_channels, n_d, k_d, config, stride=2),
            *convolution(n_d, n_d, k_d, config),
        )


class Skip(nn.Sequential):
    """s_i: one convolution: (N, in_channels, H, W) → (N, n_s, H, W)."""

    def __init__(self, in_channels: int, n_s: int = 4, k_s: int = 1, *, config):
        super().__init__(*convolution(in_channels, n_s, k_s, config))


class Up(nn.Module):
    """u_i: batch norm, convolution, 1×1 convolution, and up-sampling by 2, joined by the skip on the way.

    The paper leaves open whether up-sampling comes first (`upsample_at="start"`: the convolutions run at the level's
    full resolution) or last (`"end"`), and whether the skip comes from d_i's input or its output. The skip joins
    where the resolutions agree: after up-sampling where it comes from the input, before it where from the output.

    `out_channels` is n_u, and the skip's as well where that joins last.
    """

    def __init__(self, in_channels: int, skip_channels: int, n_u: int = 128, k_u: int = 3, *, config):
        super().__init__()
        self.config = config
        joined = skip_channels if config.join == "concat" else 0
        joins_last = config.skip_from == "input" and config.upsample_at == "end"
        inner = in_channels if joins_last else in_channels + joined
        self.out_channels = n_u + joined if joins_last else n_u
        self.convolve = nn.Sequential(
            nn.BatchNorm2d(inner, track_running_stats=False) if config.norm_first else nn.Identity(),
            *convolution(inner, n_u, k_u, config),
            *convolution(n_u, n_u, 1, config),
        )
        self.shortcut = k_u == 3 and all(getattr(config, name) == value for name, value in SHORTCUT.items())

    def forward(self, x: Tensor, skip: Tensor | None, size: torch.Size) -> Tensor:
        """(N, in_channels, h, w) and the skip's output → (N, out_channels, *size), where h, w = ⌈size/2⌉."""
        config = self.config
        if self.shortcut and not x.is_cuda and size == (2 * x.shape[-2], 2 * x.shape[-1]) and min(size) > 2:
            return self.convolve[2:](self.first_convolution(x, skip))
        if config.skip_from == "output":
            x = self.join(x, skip)
        if config.upsample_at == "end":
            x = self.convolve(x)
        x = self.upsample(x, size)
        if config.skip_from == "input":
            x = self.join(x, skip)
        if config.upsample_at == "start":
            x = self.convolve(x)
        return x

    def join(self, x: Tensor, skip: Tensor | None) -> Tensor:
        if skip is None:
            return x
        return torch.cat([x, skip], 1) if self.config.join == "concat" else x + skip

    def upsample(self, x: Tensor, size: torch.Size) -> Tensor:
        corners = None if self.config.upsample == "nearest" else self.config.align_corners
        x = F.interpolate(x, scale_factor=2, mode=self.config.upsample, align_corners=corners)
        # ⌈H/2⌉·2 exceeds an odd H by one row: it is cut, so that even sizes are up-sampled by exactly 2.
        return x[..., : size[0], : size[1]]

    def first_convolution(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Up-sampling, joining, batch norm and the 3×3 convolution in one, at a third of their cost on the CPU.

        The batch norm in front acts as a scale of the weights alone: its shift adds a constant to each filter's
        output, which the batch norm behind the convolution takes away again (as it does the bias).
        """
        norm, channels = self.convolve[0], x.shape[1]
        weight: Tensor = self.convolve.get_parameter("1.weight")
        if isinstance(norm, nn.BatchNorm2d):
            variance = variance_upsampled(x)
            if skip is not None:
                variance = torch.cat([variance, skip.var((0, 2, 3), correction=0)])
            weight = weight * (norm.weight * (variance + norm.eps).rsqrt())[:, None, None]
        y = convolve_upsampled(x, weight[:, :channels])
        if skip is not None:
            y = y + F.conv2d(F.pad(skip, (1, 1, 1, 1), "reflect"), weight[:, channels:])
        return y
