"""Forward operators: what maps an image to a measurement.

An operator is any callable tensor → tensor over (N, C, H, W) that autograd can follow.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dip_repro.runtime import UserError


class Identity(nn.Identity):
    """x ↦ x: denoising and JPEG artefacts. E(x; x0) = ‖x − x0‖²."""


class Mask(nn.Module):
    """x ↦ w·m ⊙ x: inpainting and restoration. E(x; x0) = ‖(x − x0) ⊙ m‖².

    m is (1, H, W) or (C, H, W), 1 = known, 0 = missing. A mean of squares over all pixels counts the missing ones as
    zeros; `normalise="known"` takes w so that the same mean is over known pixels (reading 17).
    """

    def __init__(self, mask: Tensor, normalise: str = "all"):
        super().__init__()
        if not torch.isin(mask, torch.tensor([0.0, 1.0])).all():
            raise UserError("a mask holds 0 (missing) and 1 (known) alone; threshold it first")
        if not mask.any():
            raise UserError("the mask marks every pixel as missing: nothing is left to fit; 1 (white) means known")
        if normalise not in ("all", "known"):
            raise UserError(f"normalise = {normalise!r} is not one of all, known")
        weight = (mask.numel() / mask.sum()).sqrt() if normalise == "known" else 1.0
        self.register_buffer("mask", mask.float() * weight)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != self.mask.shape[-2:]:
            raise UserError(f"the mask is {size_of(self.mask)} and the image {size_of(x)}: give them one size")
        return x * self.mask


def size_of(x: Tensor) -> str:
    return "×".join(map(str, x.shape[-2:]))
