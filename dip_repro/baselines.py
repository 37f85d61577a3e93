"""What the method is compared with: interpolation, filters, and pixels optimised without a network.

Images are (C, H, W) in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from scipy.interpolate import griddata
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet, inpaint_biharmonic
from torch import Tensor, nn

from dip_repro.fitting import FitResult, Observer, fit
from dip_repro.pictures import resampled
from dip_repro.runtime import stream
from dip_repro.settings import Settings


def non_local_means(noisy: Tensor, sigma_8bit: float) -> Tensor:
    """Return non-local means (Buades et al. 2005) for noise of `sigma_8bit` grey levels.

    Patches of 5 × 5 pixels within 6 pixels, and h = 0.8 σ, as scikit-image's example has it where σ is known.
    """
    sigma = sigma_8bit / 255
    options = {"patch_size": 5, "patch_distance": 6, "fast_mode": False, "h": 0.8 * sigma, "sigma": sigma}
    # scikit-image wants grey as (H, W): of an only channel it makes a wrong picture.
    x, axis = (noisy[0], None) if len(noisy) == 1 else (noisy, 0)
    denoised = denoise_nl_means(x.numpy(), channel_axis=axis, **options)
    return torch.from_numpy(denoised).float().reshape(noisy.shape)


def total_variation(noisy: Tensor, sigma_8bit: float) -> Tensor:
    """Return the total-variation solution (Chambolle 2004) for noise of `sigma_8bit` grey levels.

    Its weight is 0.75 σ: over bundled pictures, sizes and σ no fixed multiple of σ did clearly better.
    """
    return torch.from_numpy(denoise_tv_chambolle(noisy.numpy(), weight=0.75 * sigma_8bit / 255, channel_axis=0)).float()


def wavelets(noisy: Tensor, sigma_8bit: float) -> Tensor:
    """Return wavelet shrinkage (BayesShrink, Chang et al. 2000), RGB as luma and chroma, for noise of `sigma_8bit`."""
    options = {"convert2ycbcr": len(noisy) == 3, "rescale_sigma": True, "channel_axis": 0}
    return torch.from_numpy(denoise_wavelet(noisy.numpy(), sigma=sigma_8bit / 255, **options)).float()


DENOISERS = {"NLM": non_local_means, "TV": total_variation, "wavelets": wavelets}


def biharmonic(image: Tensor, mask: Tensor) -> Tensor:
    """Fill the missing pixels (mask (1, H, W), 0 = missing) by the biharmonic equation (scikit-image)."""
    filled = inpaint_biharmonic(image.numpy(), mask[0].numpy() == 0, channel_axis=0)
    return torch.from_numpy(filled).float()


def interpolate_missing(image: Tensor, mask: Tensor, method: str = "linear") -> Tensor:
    """Fill the missing pixels (mask (1, H, W), 0 = missing) from the known ones.

    "nearest" is the Voronoi fill; "linear" interpolates on the Delaunay triangulation, nearest outside its hull.
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


class Pixels(nn.Module):
    """A "network" whose parameters are the image itself, (1, C, H, W), so that the loop of `Fit` optimises pixels.

    They start as z does, from U(0, 1/10), by the stream "pixels" of `seed`: the paper does not say. On one image
    (butterfly ×4) the published PSNR of "no prior" is met from there to 0.2 dB, and missed by 3 dB from U(0, 1).
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
    """x ↦ (operator(x), √(n·λ·TV(x))), (1, C, n + 1) with n = H'W': the loop's mean of squares gains λ·TV(x).

    TV is the mean over the pixels of the gradient's length, all channels jointly.
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


def optimise_pixels(
    measurement: Tensor,
    operator: nn.Module,
    size: tuple[int, int],
    settings: Settings,
    variation: float = 0.0,
    observer: Observer | None = None,
    progress: bool = True,
) -> FitResult:
    """Minimise ‖operator(x) − x0‖² + `variation`·TV(x) over the pixels x (C, H, W): "no prior" where it is 0, else TV.

    The loop, the optimiser and the data term are those of the network.
    """
    network = Pixels(len(measurement), size).to(measurement.device)
    z = torch.zeros(1, 1, *size, device=measurement.device)
    if variation:
        operator = WithVariation(operator, variation)
        measurement = nn.functional.pad(measurement.flatten(1), (0, 1))
    return fit(measurement, operator, network, z, settings, observer=observer, progress=progress)


def guided_filter(image: Tensor, guide: Tensor, radius: int, epsilon: float) -> Tensor:
    """Return `image` as a locally linear function of `guide`, channel by channel (He, Sun and Tang, ECCV 2010).

    In each window of 2·`radius` + 1 pixels image ≈ a·guide + b by least squares, a shrunk by `epsilon`, a variance.
    """

    def mean(x):
        return uniform_filter(x, (0, 2 * radius + 1, 2 * radius + 1), mode="mirror")

    x, g = (tensor.double().numpy() for tensor in (image, guide))
    a = (mean(g * x) - mean(g) * mean(x)) / (mean(g * g) - mean(g) ** 2 + epsilon)
    b = mean(x) - a * mean(g)
    return torch.from_numpy(mean(a) * g + mean(b)).float()


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Return `image` blurred by a Gaussian of `sigma` pixels."""
    return torch.from_numpy(gaussian_filter(image.numpy(), (0, sigma, sigma), mode="mirror"))


def of_residual(smooth: Callable[[Tensor, float], Tensor], image: Tensor, residual: float) -> Tensor:
    """Return smooth(image, strength) whose mean squared difference to `image` is `residual`, by bisection.

    The strength is looked for in [0.01, 100]; the nearer end where no strength changes the image as much or as little.
    """
    low, high = -2.0, 2.0
    for _ in range(20):
        middle = (low + high) / 2
        smoothed = smooth(image, 10**middle)
        low, high = (middle, high) if (smoothed - image).square().mean() < residual else (low, middle)
    return smoothed
