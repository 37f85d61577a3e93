"""PSNR and SSIM by the protocols of the paper's tables. Images are (C, H, W) in [0, 1]; results in dB are 0-d tensors.

The image is first clipped to [0, 1] and rounded to 8 bits, as it is stored (reading 12).
"""

from __future__ import annotations

import torch
from skimage.metrics import structural_similarity
from torch import Tensor


def quantise(image: Tensor) -> Tensor:
    """Clip to [0, 1] and round to 8 bits."""
    return (image.clamp(0, 1) * 255).round() / 255


def decibels(error: Tensor) -> Tensor:
    """Return the PSNR in dB, peak 1, of the differences `error`."""
    return -10 * torch.log10(error.square().mean())


def psnr(image: Tensor, truth: Tensor, border: int = 0) -> Tensor:
    """Return the PSNR in dB over all channels together, without `border` pixels on each side."""
    inside = slice(border, -border or None)
    error = (quantise(image) - truth)[..., inside, inside]
    return decibels(error)


def psnr_where(image: Tensor, truth: Tensor, where: Tensor) -> Tensor:
    """Return the PSNR in dB over the pixels at which `where` (1, H, W) is true, such as a hole."""
    error = (quantise(image) - truth)[..., where[0].bool()]
    return decibels(error)


def luma(image: Tensor) -> Tensor:
    """Return the luma of ITU-R BT.601, (1, H, W), from 16/255 to 235/255, of an RGB (3, H, W) or a grey image."""
    weights = torch.tensor([65.481, 128.553, 24.966], device=image.device) / 255
    return (16 / 255 + torch.einsum("c,chw->hw", weights, image.expand(3, -1, -1)))[None]


def psnr_luma(image: Tensor, truth: Tensor, border: int = 4) -> Tensor:
    """Return the PSNR in dB on luma without `border` pixels, as in the super-resolution tables."""
    inside = slice(border, -border or None)
    error = (luma(quantise(image)) - luma(truth))[..., inside, inside]
    return decibels(error)


def psnr_super_resolution(image: Tensor, truth: Tensor) -> Tensor:
    """Return `psnr_luma` as in the published numbers: without the last row and column, and then without 4 pixels."""
    return psnr_luma(image[..., :-1, :-1], truth[..., :-1, :-1])


def ssim(image: Tensor, truth: Tensor) -> float:
    """Return the structural similarity (Wang et al. 2004: Gaussian window of 1.5 pixels) of two images."""
    first, second = (x.detach().cpu().double().numpy() for x in (quantise(image), truth))
    return float(
        structural_similarity(
            first, second, data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def blockiness(image: Tensor, block: int = 8) -> Tensor:
    """Return how visible JPEG's blocks are in (C, H, W): the mean |difference| of neighbours across the borders of
    blocks, divided by that inside blocks.

    It is about 1 without visible blocks of `block` pixels, and inf or NaN where nothing changes inside blocks.
    """
    across, inside = [], []
    for x in (quantise(image), quantise(image).mT):  # vertical borders, then horizontal ones
        change = x.diff(dim=-1).abs()
        border = torch.arange(1, x.shape[-1], device=x.device) % block == 0
        across.append(change[..., border].flatten())
        inside.append(change[..., ~border].flatten())
    return torch.cat(across).mean() / torch.cat(inside).mean()
