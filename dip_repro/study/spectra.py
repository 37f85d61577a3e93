"""Images by frequency: radial power spectra, their slope, and the error of a fit in bands of frequency.

Frequencies are radial, in cycles a pixel; 1/2 is the highest in a row of pixels.
"""

from __future__ import annotations

import itertools
import math

import torch
from scipy.stats import linregress
from torch import Tensor

from dip_repro.runtime import stream

# Octaves of frequency, named by their upper edge. The last includes the corners beyond 1/2.
BANDS = {
    "1/32": (0, 1 / 32),
    "1/16": (1 / 32, 1 / 16),
    "1/8": (1 / 16, 1 / 8),
    "1/4": (1 / 8, 1 / 4),
    "1/2": (1 / 4, 1),
}


def radii(height: int, width: int) -> Tensor:
    """Return the radial frequency of each coefficient of a 2-D FFT, (H, W)."""
    return torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])


def power(image: Tensor) -> Tensor:
    """Return the power of (C, H, W) at each frequency, (H, W), averaged over channels. White noise has its variance.

    The mean is subtracted. A Hann window is applied, because the FFT joins opposite borders, which would add a slope.
    """
    height, width = image.shape[-2:]
    windows = (torch.hann_window(n, dtype=torch.float64) for n in (height, width))
    window = torch.outer(*windows)
    weighted = (image.double() * window).sum((-2, -1), keepdim=True) / window.sum()
    spectrum = torch.fft.fft2((image.double() - weighted) * window).abs().square() / window.square().sum()
    return spectrum.mean(0)


def radial_power(image: Tensor, rings: int = 16) -> tuple[Tensor, Tensor]:
    """Return frequencies and the mean power of (C, H, W) in rings about them, evenly spaced on a log axis.

    From three coefficients off the centre, where the width of the window no longer matters, to 1/2. Empty rings are
    left out.
    """
    spectrum, radius = power(image), radii(*image.shape[-2:])
    edges = torch.logspace(math.log10(3 / min(image.shape[-2:])), math.log10(0.5), rings + 1)
    masks = [(radius >= low) & (radius < high) for low, high in itertools.pairwise(edges)]
    masks = [mask for mask in masks if mask.any()]
    return torch.stack([radius[m].mean() for m in masks]), torch.stack([spectrum[m].mean() for m in masks])


def slope(image: Tensor) -> float:
    """Return the exponent a of power ∝ f^a, by least squares on log axes; about −2 for natural images."""
    return float(linregress(*(x.double().log() for x in radial_power(image))).slope)


def share(image: Tensor, low: float, high: float) -> float:
    """Return the fraction of the power of (C, H, W) at frequencies in (low, high]."""
    spectrum, radius = power(image), radii(*image.shape[-2:])
    spectrum = spectrum * (radius > 0)
    return float(spectrum[(radius > low) & (radius <= high)].sum() / spectrum.sum())


def band_error(image: Tensor, target: Tensor, low: float, high: float) -> Tensor:
    """Return the squared error of (C, H, W) at frequencies in (low, high], as a fraction of the target's energy there.

    No window: by Parseval's theorem the bands add up to the squared error, without that of the means.
    """
    radius = radii(*target.shape[-2:]).to(image.device)
    band = (radius > low) & (radius <= high)
    error, energy = (torch.fft.fft2(x)[..., band].abs().square().sum() for x in (image - target, target))
    return error / energy


def random_phases(image: Tensor, seed: int) -> Tensor:
    """Return (C, H, W) with the phases of white noise added, the same for all channels. The power spectrum is kept.

    The contrast is lowered until all values are in [0, 1], which changes no relative error.
    """
    noise = torch.randn(image.shape[-2:], generator=stream(seed, "corruption"))
    phases = torch.fft.fft2(noise)
    mean = image.mean((-2, -1), keepdim=True)
    turned = torch.fft.ifft2(torch.fft.fft2(image - mean) * phases / phases.abs()).real
    room = torch.where(turned > 0, (1 - mean) / turned, -mean / turned).min()
    return mean + min(float(room), 1.0) * turned
