"""The 3×3 convolution of a map that was up-sampled by 2, at a quarter of the products.

Bilinear up-sampling by 2 puts zeros between the pixels and smooths with (1, 3, 3, 1)/4. Smoothing and convolution
commute, so the convolution can come first, where three of four pixels are zeros: a transposed convolution. More than
two thirds of the default network's products are in convolutions of this kind.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def up(x: Tensor) -> Tensor:
    """Bilinear up-sampling by 2, corners not aligned: (N, C, h, w) → (N, C, 2h, 2w)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def convolve_upsampled(x: Tensor, weight: Tensor) -> Tensor:
    """Return the reflection-padded convolution of up(x): (N, C, h, w), (K, C, 3, 3) → (N, K, 2h, 2w), h, w ≥ 2.

    The same function as the plain way, up to rounding.
    """
    between = F.conv_transpose2d(F.pad(x, (1, 1, 1, 1), "replicate"), weight.transpose(0, 1).flip(2, 3), stride=2)
    inner = F.conv2d(between[..., 2:-2, 2:-2], smoothing((1, 3, 3, 1), 4, like=between), groups=len(weight))
    # Up-sampling continues the map beyond its border as replication does, reflection otherwise: the outermost rows
    # and columns are done the plain way, from the two that they see.
    top = F.conv2d(F.pad(up(x[..., :2, :])[..., :2, :], (1, 1, 1, 0), "reflect"), weight)
    bottom = F.conv2d(F.pad(up(x[..., -2:, :])[..., -2:, :], (1, 1, 0, 1), "reflect"), weight)
    left = F.conv2d(F.pad(up(x[..., :2])[..., :2], (1, 0, 0, 0), "reflect"), weight)
    right = F.conv2d(F.pad(up(x[..., -2:])[..., -2:], (0, 1, 0, 0), "reflect"), weight)
    return torch.cat([top, torch.cat([left, inner, right], -1), bottom], -2)


def variance_upsampled(x: Tensor) -> Tensor:
    """Return each channel's variance of up(x), (C,), from the small map: the mean of squares is a quadratic form."""
    centred = x - x.mean((0, 2, 3), keepdim=True)  # up(x) has the mean of x
    smoothed = F.conv2d(F.pad(centred, (1, 1, 1, 1), "replicate"), smoothing((3, 10, 3), 16, like=x), groups=x.shape[1])
    return (centred * smoothed).mean((0, 2, 3))


def smoothing(taps: tuple[int, ...], total: int, like: Tensor) -> Tensor:
    """Return the separable kernel of `taps`/`total` for every channel of `like`."""
    kernel = torch.tensor(taps, dtype=like.dtype, device=like.device) / total
    return torch.outer(kernel, kernel).expand(like.shape[1], 1, -1, -1).contiguous()
