"""Pairs of images: a scene lit by a flash and by a lamp (`flash`), a photo and its base layer (`enhancement`).

Images are (C, H, W) in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.ndimage import gaussian_filter, uniform_filter
from torch import Tensor

from dip_repro.metrics import quantise
from dip_repro.runtime import UserError

SHADE = 0.4  # the fraction of the flash's light that is missing in its shadow


def flash_shadow(size: tuple[int, ...]) -> Tensor:
    """Return the shadow of the flash in `flash_pair`, (H, W): 1 in a slanted stripe, 0 elsewhere."""
    rows, columns = (torch.linspace(-1, 1, n) for n in size)
    return ((columns - 0.3 * rows[:, None] - 0.35).abs() < 0.15).float()


def flash_pair(scene: Tensor) -> tuple[Tensor, Tensor]:
    """Return a scene (3, H, W) lit by a flash, and the same scene lit by a lamp, both without noise and in 8 bits.

    The flash is bright and bluish, and fades towards the corners. Its shadow has sharp edges, and `SHADE` of its light
    is missing there. The lamp, on the left, is dim and reddish. So the two share the scene's edges, and not its light.
    """
    if len(scene) != 3:
        raise UserError("the two images differ in the colour of the light: give a colour image")
    rows, columns = (torch.linspace(-1, 1, n) for n in scene.shape[-2:])
    fading = 1 - 0.25 * (rows[:, None].square() + columns.square())
    flash = fading * (1 - SHADE * flash_shadow(scene.shape[-2:]))
    lamp = 0.4 - 0.15 * columns
    cool, warm = torch.tensor([[0.85, 0.95, 1.0], [1.0, 0.75, 0.5]])[..., None, None]
    return quantise(scene.pow(0.7) * flash * cool), quantise(scene * lamp * warm)


def guided_filter(image: Tensor, guide: Tensor, radius: int, epsilon: float) -> Tensor:
    """Return `image` as a locally linear function of `guide`, channel by channel (He, Sun and Tang, ECCV 2010).

    In each window of 2·`radius` + 1 pixels, image ≈ a·guide + b by least squares; `epsilon`, a variance, shrinks a.
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
    """Return smooth(image, strength) whose mean squared difference from `image` is `residual`, found by bisection.

    The strength is within [0.01, 100]; if none in this range gives the residual, the nearer end is taken.
    """
    low, high = -2.0, 2.0
    for _ in range(20):
        middle = (low + high) / 2
        smoothed = smooth(image, 10**middle)
        low, high = (middle, high) if (smoothed - image).square().mean() < residual else (low, middle)
    return smoothed


def gradients_kept(base: Tensor, photo: Tensor) -> dict[str, float]:
    """Return the fraction of a photo's gradients that its base layer keeps, at strong edges and in fine texture.

    The fraction is ⟨∇base, ∇photo⟩ / ‖∇photo‖²: gradients of the base that the photo does not have do not count.
    "edges" are the 5 % of pixels with the strongest gradients of the photo blurred by 1.5 pixels, "texture" the
    weaker half.
    """

    def gradient(x: Tensor) -> Tensor:
        return torch.stack(torch.gradient(x, dim=(-2, -1)))

    strength = gradient(gaussian_blur(photo, 1.5)).square().sum((0, 1))
    areas = {"edges": strength >= strength.quantile(0.95), "texture": strength <= strength.median()}
    g, g_base = gradient(photo), gradient(base)
    return {name: float((g_base * g * area).sum() / (g.square() * area).sum()) for name, area in areas.items()}
