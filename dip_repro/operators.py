"""Forward operators, which map an image to a measurement.

An operator is any callable that takes a tensor (N, C, H, W), returns a tensor, and can be differentiated by autograd.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dip_repro.runtime import UserError


class Identity(nn.Identity):
    """x ↦ x, for denoising and JPEG artefacts. E(x; x0) = ‖x − x0‖²."""


class Mask(nn.Module):
    """x ↦ w·m ⊙ x, for inpainting and restoration. E(x; x0) = ‖(x − x0) ⊙ m‖².

    m is (1, H, W) or (C, H, W), 1 = known, 0 = missing. The loss is a mean of squares over all pixels, and missing ones
    count as zeros: w = 1. With `normalise="known"`, w makes it the mean over known pixels (reading 17).

    Raises
    ------
    UserError : a mask that holds other values than 0 and 1, or no 1; in the call, an image of another size.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, normalise: str = "all"):
        super().__init__()
        if not torch.isin(mask, torch.tensor([0.0, 1.0])).all():
            raise UserError("a mask holds only 0 (missing) and 1 (known): threshold it first")
        if not mask.any():
            raise UserError("the mask marks every pixel as missing, so there is nothing to fit; 1 (white) means known")
        if normalise not in ("all", "known"):
            raise UserError(f"normalise = {normalise!r} is not one of all, known")
        weight = (mask.numel() / mask.sum()).sqrt() if normalise == "known" else 1.0
        self.register_buffer("mask", mask.float() * weight)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != self.mask.shape[-2:]:
            raise UserError(f"the mask is {size_of(self.mask)} and the image {size_of(x)}: give them the same size")
        return x * self.mask

    def without_missing(self, measurement: Tensor) -> Tensor:
        """Return a measurement whose missing pixels, which may hold anything, NaN too, are 0 as those of the image."""
        fits = measurement.shape[-2:] == self.mask.shape[-2:] and measurement.device == self.mask.device
        return torch.where(self.mask > 0, measurement, 0) if fits else measurement


def lanczos(u: Tensor, a: int) -> Tensor:
    """Return the Lanczos kernel, sinc(u) · sinc(u/a) where |u| < a, else 0; u is in pixels of the small image."""
    return torch.where(u.abs() < a, torch.sinc(u) * torch.sinc(u / a), 0)


class Decimation(nn.Module):
    """x ↦ d(x), for super-resolution by t = `factor`. E(x; x0) = ‖d(x) − x0‖². (N, C, tH, tW) → (N, C, H, W).

    A fixed convolution of stride t, the same along rows and columns:

        d(x)_j = Σ_i k((i − c_j)/t) x_i / Σ_i k((i − c_j)/t)

    with k(u) = sinc(u) · sinc(u/a), |u| < a. a = 2 is the paper's Lanczos2; a = 3 is Pillow's LANCZOS, but for pixels
    near the border.

    The paper does not say (reading 9) where c_j is and how the image continues beyond its border. Here
    c_j = tj + (t − 1)/2 + `phase`, in pixels of the large image: with `phase` = 0 it is the middle of the t pixels that
    sample j replaces. `border` is "replicate" or "reflect". The defaults explain the authors' outputs best
    (`super_resolution.decimations`).

    Raises
    ------
    UserError : a wrong parameter; in the call, a size that is not a multiple of the factor or too small for the border.
    """

    kernel: Tensor

    def __init__(self, factor: int, a: int = 2, phase: float = 0.0, border: str = "replicate"):
        super().__init__()
        if factor < 1 or a < 1 or border not in ("replicate", "reflect"):
            raise UserError(
                f"factor = {factor} and a = {a} must be at least 1, border = {border!r} must be replicate or reflect"
            )
        self.factor, self.border = factor, border
        centre = (factor - 1) / 2 + phase
        first, last = math.ceil(centre - a * factor), math.floor(centre + a * factor)
        kernel = lanczos((torch.arange(first, last + 1, dtype=torch.float64) - centre) / factor, a)
        self.register_buffer("kernel", (kernel / kernel.sum()).float())
        self.padding = -first, last - factor + 1

    def forward(self, x: Tensor) -> Tensor:
        n, channels, *size = x.shape
        if any(side % self.factor or side <= max(self.padding) * (self.border == "reflect") for side in size):
            raise UserError(
                f"the image is {size_of(x)}: each side must be a multiple of {self.factor}, and more than "
                f"{max(self.padding)} if the border is reflected"
            )
        x = F.pad(x, self.padding * 2, mode=self.border).flatten(0, 1)[:, None]  # each channel alone
        x = F.conv2d(x, self.kernel[None, None, :, None], stride=(self.factor, 1))
        x = F.conv2d(x, self.kernel[None, None, None, :], stride=(1, self.factor))
        return x.unflatten(0, (n, channels))[:, :, 0]


def size_of(x: Tensor) -> str:
    return "×".join(map(str, x.shape[-2:]))
