"""Simpler methods to compare with: filters and interpolation.

Images are (C, H, W) in [0, 1].
"""

from __future__ import annotations

import torch
from scipy.interpolate import griddata
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet, inpaint_biharmonic
from torch import Tensor

from dip_repro.images import resampled


def non_local_means(noisy: Tensor, sigma_8bit: float) -> Tensor:
    """Return non-local means (Buades et al. 2005) for noise of `sigma_8bit` grey levels.

    Patches of 5 × 5 pixels, a search within 6 pixels, and h = 0.8 σ, as in scikit-image's example with known σ.
    """
    sigma = sigma_8bit / 255
    options = {"patch_size": 5, "patch_distance": 6, "fast_mode": False, "h": 0.8 * sigma, "sigma": sigma}
    # scikit-image needs grey as (H, W): with a channel axis of length 1 its result is wrong.
    x, axis = (noisy[0], None) if len(noisy) == 1 else (noisy, 0)
    denoised = denoise_nl_means(x.numpy(), channel_axis=axis, **options)
    return torch.from_numpy(denoised).float().reshape(noisy.shape)


def total_variation(noisy: Tensor, sigma_8bit: float) -> Tensor:
    """Return the total-variation solution (Chambolle 2004) for noise of `sigma_8bit` grey levels.

    Its weight is 0.75 σ. On bundled pictures of several sizes and σ, no other multiple of σ was clearly better.
    """
    return torch.from_numpy(denoise_tv_chambolle(noisy.numpy(), weight=0.75 * sigma_8bit / 255, channel_axis=0)).float()


def wavelets(noisy: Tensor, sigma_8bit: float) -> Tensor:
    """Return wavelet shrinkage (BayesShrink, Chang et al. 2000) for noise of `sigma_8bit` grey levels; RGB as YCbCr."""
    options = {"convert2ycbcr": len(noisy) == 3, "rescale_sigma": True, "channel_axis": 0}
    return torch.from_numpy(denoise_wavelet(noisy.numpy(), sigma=sigma_8bit / 255, **options)).float()


DENOISERS = {"NLM": non_local_means, "TV": total_variation, "wavelets": wavelets}


def biharmonic(image: Tensor, mask: Tensor) -> Tensor:
    """Fill the missing pixels (mask (1, H, W), 0 = missing) by the biharmonic equation (scikit-image)."""
    filled = inpaint_biharmonic(image.numpy(), mask[0].numpy() == 0, channel_axis=0)
    return torch.from_numpy(filled).float()


def interpolate_missing(image: Tensor, mask: Tensor, method: str = "linear") -> Tensor:
    """Fill the missing pixels (mask (1, H, W), 0 = missing) from the known ones.

    "nearest" takes the nearest known pixel; "linear" interpolates in Delaunay triangles, and takes the nearest pixel
    outside of them.
    """
    known = mask[0].bool().numpy()
    rows_columns = known.nonzero()
    every = torch.meshgrid(*(torch.arange(n) for n in known.shape), indexing="ij")
    filled = []
    for channel in image.numpy():
        nearest = griddata(rows_columns, channel[known], every, "nearest")
        if method == "linear":
            linear = griddata(rows_columns, channel[known], every, "linear")
            nearest = torch.from_numpy(linear).where(~torch.from_numpy(linear).isnan(), torch.from_numpy(nearest))
        filled.append(torch.as_tensor(nearest))
    return torch.stack(filled).float()


def enlarge(image: Tensor, factor: int, method: str = "bicubic") -> Tensor:
    """Return (C, H, W) scaled up by `factor` with Pillow's "bicubic" or "lanczos" (a = 3), in 8 bits."""
    rows, columns = image.shape[-2:]
    return resampled(image, (rows * factor, columns * factor), method)
