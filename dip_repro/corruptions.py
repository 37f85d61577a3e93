"""What damages an image: noise, decimation, missing pixels, text, a hole, JPEG.

Random numbers come from the stream "corruption" of a seed, or from a stream with the name of the noise.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dip_repro.images import as_image, resampled, to_8bit
from dip_repro.metrics import quantise
from dip_repro.runtime import UserError, stream


def gaussian_noise(image: Tensor, sigma_8bit: float, seed: int, stored: str = "8bit") -> Tensor:
    """Return (C, H, W) with normal noise of standard deviation `sigma_8bit`/255 added.

    `stored="8bit"` clips it to [0, 1] and rounds it to 8 bits, as a file does; "real" does not (reading 10).
    """
    if sigma_8bit < 0:
        raise UserError(f"sigma = {sigma_8bit}: a standard deviation cannot be negative")
    noise = torch.randn(image.shape, generator=stream(seed, "corruption"))
    noisy = image + noise * (sigma_8bit / 255)
    return quantise(noisy) if stored == "8bit" else noisy


def poisson_noise(image: Tensor, photons: float, seed: int) -> Tensor:
    """Return (C, H, W) with Poisson noise, in 8 bits: a channel of value 1 counts `photons` photons on average.

    The variance is x/`photons`, so brighter pixels have more noise. Drawn from the stream "poisson".
    """
    if photons <= 0:
        raise UserError(f"photons = {photons}: a mean count must be positive")
    return quantise(torch.poisson(image * photons, generator=stream(seed, "poisson")) / photons)


def impulse_noise(image: Tensor, share: float, seed: int) -> Tensor:
    """Return (C, H, W) with salt and pepper noise, in 8 bits: a value becomes 0 or 1, equally often.

    share : about this fraction of the values does. Each channel is drawn separately. Drawn from the stream "impulse".
    """
    if not 0 <= share <= 1:
        raise UserError(f"share = {share}: it must be between 0 and 1")
    draw = torch.rand(image.shape, generator=stream(seed, "impulse"))
    return quantise(torch.where(draw < share / 2, 0.0, torch.where(draw < share, 1.0, image)))


def speckle_noise(image: Tensor, sigma: float, seed: int) -> Tensor:
    """Return x + x·n, (C, H, W), in 8 bits: n is normal of standard deviation `sigma`, relative to x.

    Drawn from the stream "speckle".
    """
    if sigma < 0:
        raise UserError(f"sigma = {sigma}: a standard deviation cannot be negative")
    return quantise(image * (1 + sigma * torch.randn(image.shape, generator=stream(seed, "speckle"))))


def mixed_noise(image: Tensor, photons: float, seed: int) -> Tensor:
    """Return (C, H, W) as a camera may give it: Poisson noise of `photons`, σ = 10 of a sensor, JPEG of quality 80."""
    return jpeg(gaussian_noise(poisson_noise(image, photons, seed), 10, seed), 80)


def decimated(image: Tensor, factor: int) -> Tensor:
    """Return (C, H, W) scaled down by `factor` with Pillow's LANCZOS (a = 3), in 8 bits.

    The authors made their x0 in this way, and not with the Lanczos2 of their data term: their "no prior" images show
    it (readings 9 and 24; `super_resolution.decimations`).
    """
    rows, columns = image.shape[-2:]
    if rows % factor or columns % factor:
        raise UserError(f"the image is {rows}×{columns}: crop each side to a multiple of {factor}")
    return resampled(image, (rows // factor, columns // factor), "lanczos")


def missing_pixels(size: tuple[int, ...], missing: float, seed: int) -> Tensor:
    """Return a Bernoulli mask (1, H, W), 1 = known: each pixel is missing with probability `missing`, all channels."""
    if not 0 <= missing < 1:
        raise UserError(f"missing = {missing}: the fraction of missing pixels must be at least 0 and less than 1")
    return (torch.rand(1, *size, generator=stream(seed, "corruption")) >= missing).float()


def jpeg(image: Tensor, quality: int) -> Tensor:
    """Return (C, H, W) after JPEG compression at `quality`, 1 to 95 (Pillow; colour at half resolution)."""
    if not 1 <= quality <= 95:
        raise UserError(f"quality = {quality}: a JPEG quality must be between 1 and 95")
    file = io.BytesIO()
    Image.fromarray(to_8bit(image)).save(file, "jpeg", quality=quality)
    return as_image(np.asarray(Image.open(file)))


def text_mask(size: tuple[int, ...], text: str, height: int) -> Tensor:
    """Return a mask (1, H, W), 0 where lines of `text`, `height` pixels high, cover the image."""
    rows, columns = size
    page = Image.new("1", (columns, rows), 1)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(height)
    line = (text + " ") * (1 + columns // max(1, int(draw.textlength(text, font))))
    for row, y in enumerate(range(height // 4, rows, height * 3 // 2)):
        draw.text((-row * 2 * height, y), line * 2, 0, font)
    return torch.from_numpy(np.array(page))[None].float()


def hole_mask(size: tuple[int, ...], share: float) -> Tensor:
    """Return a mask (1, H, W), 0 in a central rectangle whose sides are the fraction `share` of the image's."""
    if not 0 < share < 1:
        raise UserError(f"hole = {share}: a fraction of each side must be between 0 and 1")
    mask = torch.ones(1, *size)
    top, left = (round(n * (1 - share) / 2) for n in size)
    mask[:, top : size[0] - top, left : size[1] - left] = 0
    return mask
