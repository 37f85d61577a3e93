"""What damaged the image: noise, missing pixels, text, JPEG. What is random draws from the stream "corruption"."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dip_repro.images import as_tensor, to_8bit
from dip_repro.metrics import quantise
from dip_repro.runtime import UserError, stream


def gaussian_noise(image: Tensor, sigma_8bit: float, seed: int, stored: str = "8bit") -> Tensor:
    """Return (C, H, W) with normal noise of standard deviation `sigma_8bit`/255 added.

    `stored="8bit"` clips to [0, 1] and rounds to 8 bits, as a noisy file does; "real" leaves the sum as it is
    (reading 10).
    """
    if sigma_8bit < 0:
        raise UserError(f"sigma = {sigma_8bit}: a standard deviation is not negative")
    noise = torch.randn(image.shape, generator=stream(seed, "corruption"))
    noisy = image + noise * (sigma_8bit / 255)
    return quantise(noisy) if stored == "8bit" else noisy


def missing_pixels(size: tuple[int, int], missing: float, seed: int) -> Tensor:
    """Return a Bernoulli mask (1, H, W), 1 = known: each pixel is missing with probability `missing`, all channels."""
    if not 0 <= missing < 1:
        raise UserError(f"missing = {missing}: the share of missing pixels is at least 0 and less than 1")
    return (torch.rand(1, *size, generator=stream(seed, "corruption")) >= missing).float()


def jpeg(image: Tensor, quality: int) -> Tensor:
    """Return (C, H, W) after JPEG compression at `quality`, 1 to 95 (Pillow; colour at half resolution)."""
    if not 1 <= quality <= 95:
        raise UserError(f"quality = {quality}: a JPEG quality lies between 1 and 95")
    file = io.BytesIO()
    Image.fromarray(to_8bit(image)).save(file, "jpeg", quality=quality)
    return as_tensor(np.asarray(Image.open(file)))


def text_mask(size: tuple[int, int], text: str, height: int) -> Tensor:
    """Return a mask (1, H, W), 0 where `text`, `height` pixels high and repeated line by line, covers the image."""
    rows, columns = size
    page = Image.new("1", (columns, rows), 1)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(height)
    line = (text + " ") * (1 + columns // max(1, int(draw.textlength(text, font))))
    for row, y in enumerate(range(height // 4, rows, height * 3 // 2)):
        draw.text((-row * 2 * height, y), line * 2, 0, font)
    return torch.from_numpy(np.array(page))[None].float()


def hole_mask(size: tuple[int, int], share: float) -> Tensor:
    """Return a mask (1, H, W), 0 in a central rectangle of `share` of each side."""
    if not 0 < share < 1:
        raise UserError(f"hole = {share}: a share of each side lies between 0 and 1")
    mask = torch.ones(1, *size)
    top, left = (round(n * (1 - share) / 2) for n in size)
    mask[:, top : size[0] - top, left : size[1] - left] = 0
    return mask
