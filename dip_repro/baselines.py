"""What the method is compared with, from scikit-image and SciPy. Images are (C, H, W) in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.interpolate import griddata
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor


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


def total_variation(image: Tensor, weight: float) -> Tensor:
    """Return the image of least total variation near `image` (Chambolle 2004); `weight` is that of the variation."""
    return torch.from_numpy(denoise_tv_chambolle(image.numpy(), weight, channel_axis=0))


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
