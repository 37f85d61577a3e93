"""What the method is compared with, from scikit-image and SciPy. Images are (C, H, W) in [0, 1]."""

from __future__ import annotations

import torch
from scipy.interpolate import griddata
from skimage.restoration import inpaint_biharmonic
from torch import Tensor


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
