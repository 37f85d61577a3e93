"""The paper's "no prior", and total variation: the pixels are optimised by the same loop, without a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from dip_repro.runtime import stream


class Pixels(nn.Module):
    """A "network" whose only parameters are the pixels of an image (1, C, H, W), so that `fit` optimises pixels.

    They start, like z, from U(0, 1/10), drawn from the stream "pixels" of `seed`. The paper does not give the start.
    With this one the PSNR of "no prior" on one image (butterfly ×4) is within 0.2 dB of the published one; from U(0, 1)
    it is 3 dB off.
    """

    def __init__(self, channels: int, size: tuple[int, int], seed: int = 0):
        super().__init__()
        self.image = nn.Parameter(torch.rand(1, channels, *size, generator=stream(seed, "pixels")) / 10)

    def forward(self, z: Tensor) -> Tensor:
        return self.image


@dataclass(frozen=True)
class PixelsConfig:
    """`Pixels` of `size` in the place of a network, where an experiment declares one; they start about `grey`."""

    size: tuple[int, int]
    channels: int = 3
    grey: float = 0.5
    in_channels: ClassVar[int] = 1  # of a z that is not looked at

    def build(self, seed: int = 0) -> Pixels:
        pixels = Pixels(self.channels, self.size, seed)
        pixels.image.data += self.grey - 1 / 20
        return pixels


class WithVariation(nn.Module):
    """x ↦ (operator(x), √(n·λ·TV(x))), (1, C, n + 1) with n = H'W': so the mean of squares has the term λ·TV(x).

    TV is the mean over pixels of the gradient's length, taken over all channels together.
    """

    def __init__(self, operator: nn.Module, weight: float):
        super().__init__()
        self.operator, self.weight = operator, weight

    def forward(self, x: Tensor) -> Tensor:
        down = nn.functional.pad(x.diff(dim=-2), (0, 0, 0, 1))
        right = nn.functional.pad(x.diff(dim=-1), (0, 1))
        variation = (down.square() + right.square()).sum(1).add(1e-6).sqrt().mean()
        y = self.operator(x).flatten(2)
        root = (y.shape[-1] * self.weight * variation).sqrt()
        return torch.cat([y, root.expand(1, y.shape[1], 1)], -1)
