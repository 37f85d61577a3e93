"""A large photo cut into tiles that overlap; weights put their results together without a seam."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor


class Strip(NamedTuple):
    """A tile along one axis: its part of the photo, its part of the result, and the weight of each pixel of that."""

    photo: slice
    result: slice
    weights: Tensor


class Tile(NamedTuple):
    """A tile by its rows and its columns."""

    rows: Strip
    columns: Strip

    def of(self, photo: Tensor) -> Tensor:
        """Return this tile of the photo (C, H, W), as a view."""
        return photo[:, self.rows.photo, self.columns.photo]

    def add(self, image: Tensor, total: Tensor, weight: Tensor) -> None:
        """Add the tile's result (C, h', w') by its weights to `total` (C, H', W'), and these to `weight` (H', W')."""
        window = self.rows.weights[:, None] * self.columns.weights
        place = ..., self.rows.result, self.columns.result
        total[place] += window * image
        weight[place] += window


def tiles(size: tuple[int, ...], side: int, overlap: int, by: int = 1) -> list[Tile]:
    """Cut a photo of `size` = (H, W) into tiles of at most `side` × `side`, by row; the result is `by` times longer.

    The weights of all tiles add up to 1 at each pixel of the result.
    """
    return [Tile(*strips) for strips in itertools.product(*(cut(length, side, overlap, by) for length in size))]


def cut(length: int, side: int, overlap: int, by: int) -> list[Strip]:
    """Cut an axis of `length` pixels into parts of at most `side` that overlap by `overlap` or more.

    The weight of a part grows from its ends over the overlap. It is divided by the sum over the parts.
    """
    count = 1 if length <= side else math.ceil((length - overlap) / (side - overlap))
    starts = torch.linspace(0, max(0, length - side), count).round().int().tolist()
    parts = [slice(start, min(start + side, length)) for start in starts]
    results = [slice(by * part.start, by * part.stop) for part in parts]
    weights = torch.zeros(count, by * length)
    for row, part in zip(weights, results, strict=True):
        from_start = torch.arange(part.stop - part.start) + 0.5
        row[part] = torch.minimum(from_start, from_start.flip(0)).clamp(max=by * overlap)
    weights /= weights.sum(0)
    rows = [row[part].clone() for row, part in zip(weights, results, strict=True)]
    return [Strip(*strip) for strip in zip(parts, results, rows, strict=True)]
