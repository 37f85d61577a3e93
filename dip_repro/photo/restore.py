"""A photo of one's own, restored: no training data, no ground truth, and a rule that stops the fit in time.

Each function takes an image (C, H, W) in [0, 1], grey or RGB, and returns a `Restoration`: iterate, or take `done()`.
Where the result has more than `tile`² pixels, it is done in `Tiles`. `width`: filters a level; 128 are the paper's.

Noise is fitted in the end, so that a rule stops its fit (`stopping.recommended`). A mask or a decimation hides pixels
and adds no noise, and JPEG's error is resisted for long: there the fit gains to its end (notebook 13, by kind of
damage), and the paper's count ends it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from dip_repro import runtime, stopping
from dip_repro.fitting import Fit, Report
from dip_repro.memory import memory_needed
from dip_repro.networks import SNAIL, NetworkConfig, noise_input
from dip_repro.operators import Decimation, Identity, Mask
from dip_repro.runtime import UserError
from dip_repro.settings import Settings

TILE, OVERLAP = 512, 64  # pixels; 512² takes about 3 GB


class Restoration:
    """A fit and the rule that stops it; `image`, (C, H', W') in [0, 1], is the best so far by the rule.

    rule : a new one for each fit.
    known : (1, H, W) or None; where 1, the photo's own pixels stand in the result.
    """

    tiles = 1

    def __init__(
        self,
        photo: Tensor,
        operator: nn.Module,
        size: tuple[int, ...],
        network: NetworkConfig,
        settings: Settings,
        rule: stopping.Rule,
        known: Tensor | None = None,
        device: str = "auto",
    ):
        where, network = runtime.pick_device(device), as_deep_as_fits(network, size)
        self.photo, self.known, self.size = photo, known, size
        z = noise_input(network.in_channels, size, seed=0).to(where)
        built = network.build().to(where)
        self.memory_gb = memory_needed(built, z) / 1e9
        measurement = photo if known is None else operator(photo)
        self.rule = rule
        self.fit = Fit(measurement, operator.to(where), built, z, settings, stop=rule)

    @property
    def before(self) -> Tensor:
        """The photo as it was, enlarged where that is the task."""
        return nn.functional.interpolate(self.photo[None], self.size, mode="bicubic")[0].clamp(0, 1)

    @property
    def image(self) -> Tensor:
        """What the rule keeps so far, before the first report the photo as it was; known pixels untouched."""
        restored = self.before if self.rule.image is None else self.rule.image.cpu()
        return restored if self.known is None else torch.where(self.known > 0, self.photo, restored)

    @property
    def seconds_a_step(self) -> float:
        """Measured on this device; the first report, which warms up, is left out once there are two."""
        rows = [{"seconds": 0, "iteration": 0}, *self.fit.rows]
        first, last = rows[1 if len(rows) > 2 else 0], rows[-1]
        return (last["seconds"] - first["seconds"]) / max(1, last["iteration"] - first["iteration"])

    @property
    def longest(self) -> float:
        """The seconds that are left at the most: the rule may stop much sooner."""
        return (self.fit.settings.iterations - self.fit.iteration) * self.seconds_a_step

    @property
    def seconds(self) -> float:
        """What the steps so far have taken."""
        return self.fit.seconds

    @property
    def why(self) -> str:
        """What is kept, and why, in a sentence."""
        return self.rule.why

    def __iter__(self) -> Iterator[Report]:
        return self.reports(progress=False)

    def reports(self, progress: bool = True) -> Iterator[Report]:
        """Run on, under a progress bar, until the rule says stop."""
        self.fit.progress = progress
        return iter(self.fit)

    def done(self, progress: bool = True) -> Tensor:
        """Run to the end and return the restored image, (C, H', W') in [0, 1], on the CPU."""
        for _ in self.reports(progress):
            pass
        return self.image


class Tiles(Restoration):
    """A photo restored piece by piece, so that memory is bounded by a tile; where tiles overlap they are blended.

    Each tile is a fit of its own. Its weight falls to 0 in a ramp over the overlap, so that the blend has no seam
    where two fits differ.

    Parameters
    ----------
    piece : called with the part (C, h, w) of the photo, and of `known` where that is given; returns its Restoration.
    photo : (C, H, W).
    by : how many times larger each side becomes.
    tile, overlap : sides in pixels of the result.
    known : (1, H, W) or None; a tile where nothing is missing is not fitted.
    """

    def __init__(
        self,
        piece: Callable[..., Restoration],
        photo: Tensor,
        by: int = 1,
        tile: int = TILE,
        overlap: int = OVERLAP,
        known: Tensor | None = None,
    ):
        if tile < 2 * overlap:
            raise UserError(f"tiles of {tile} × {tile} pixels: at least {2 * overlap}, of which {overlap} overlap")
        self.piece, self.photo, self.by, self.known = piece, photo, by, known
        self.overlap = overlap // by
        self.boxes = boxes(photo.shape[-2:], tile // by, self.overlap)
        if known is not None:
            self.boxes = [box for box in self.boxes if not known[box].all()]
            if not all(known[box].any() for box in self.boxes):
                raise UserError(f"the hole covers a whole tile of {tile} × {tile} pixels: take larger tiles")
        self.tiles = len(self.boxes)
        self.size = tuple(by * side for side in photo.shape[-2:])
        self.sum, self.weight = torch.zeros(len(photo), *self.size), torch.zeros(self.size)
        self.finished, self.spent = 0, 0.0
        self.start()

    def start(self) -> None:
        """Make the next tile's fit."""
        box = self.boxes[self.finished]
        given = (self.photo,) if self.known is None else (self.photo, self.known)
        self.current = self.piece(*(x[box] for x in given))
        self.fit, self.memory_gb = self.current.fit, self.current.memory_gb + 2 * self.sum.nbytes / 1e9

    @property
    def longest(self) -> float:
        each = self.fit.settings.iterations * self.seconds_a_step
        return self.current.longest + (self.tiles - self.finished - 1) * each

    @property
    def seconds(self) -> float:
        return self.spent + (self.fit.seconds if self.finished < self.tiles else 0)

    @property
    def why(self) -> str:
        return f"{self.finished} of {self.tiles} tiles are done; {self.current.why}"

    def added(self) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the tiles so far, the current one among them, and the sum of the weights."""
        total, weight = self.sum.clone(), self.weight.clone()
        if self.fit.rows and self.finished < self.tiles:
            rows, columns = (slice(s.start * self.by, s.stop * self.by) for s in self.boxes[self.finished][1:])
            ramps = [ramp(s, side, self.overlap * self.by) for s, side in zip((rows, columns), self.size, strict=True)]
            window = ramps[0][:, None] * ramps[1]
            total[:, rows, columns] += window * self.current.image
            weight[rows, columns] += window
        return total, weight

    @property
    def image(self) -> Tensor:
        """The photo so far: where no tile is done, as it was (enlarged, where that is the task)."""
        total, weight = self.added()
        restored = torch.where(weight > 0, total / weight.clamp(min=1e-6), self.before)
        return restored if self.known is None else torch.where(self.known > 0, self.photo, restored)

    def reports(self, progress: bool = True) -> Iterator[Report]:
        """Run on, tile after tile, a progress bar each."""
        while self.finished < self.tiles:
            yield from self.current.reports(progress)
            self.sum, self.weight = self.added()
            self.spent += self.fit.seconds
            self.finished += 1
            if self.finished < self.tiles:
                del self.current, self.fit  # so that their memory is free for the next
                self.start()


def boxes(size: tuple[int, ...], tile: int, overlap: int) -> list[tuple[slice, ...]]:
    """Return the tiles of an image of `size` = (H, W), as indices of (C, H, W): they overlap by `overlap` or more."""

    def starts(side: int) -> list[int]:
        count = max(1, math.ceil((side - overlap) / (tile - overlap)))
        return torch.linspace(0, max(0, side - tile), count).round().int().tolist()

    return [
        (slice(None), slice(top, min(top + tile, size[0])), slice(left, min(left + tile, size[1])))
        for top in starts(size[0])
        for left in starts(size[1])
    ]


def ramp(part: slice, side: int, overlap: int) -> Tensor:
    """Return the weights of a tile along one side: 1, falling towards the ends that have a neighbour."""
    length = part.stop - part.start
    rising = ((torch.arange(length) + 0.5) / overlap).clamp(max=1)
    ones = torch.ones(length)
    return (rising if part.start else ones) * (rising.flip(0) if part.stop < side else ones)


def in_tiles(piece: Callable[..., Restoration], photo: Tensor, tile: int, by: int = 1) -> Restoration:
    """Return the whole photo's Restoration where the result has at most `tile`² pixels, else its `Tiles`."""
    return piece(photo) if by**2 * photo[0].numel() <= tile**2 else Tiles(piece, photo, by, tile)


def sized(width: int, photo: Tensor) -> NetworkConfig:
    """Return the paper's network at `width` filters a level (128 are the paper's), for a grey or a colour photo."""
    return NetworkConfig.uniform(width, depth=5, out_channels=len(photo))


def as_deep_as_fits(network: NetworkConfig, size: tuple[int, ...]) -> NetworkConfig:
    """Return the network with the scales, from the outermost on, that `size` = (H, W) has room for, at least one."""
    depth = max(1, min(network.depth, (min(size) - 1).bit_length() - 1))  # a side is more than 2^depth
    lists = ("n_d", "n_u", "n_s", "k_d", "k_u", "k_s")
    return replace(network, **{name: getattr(network, name)[:depth] for name in lists})


def denoise(photo: Tensor, iterations: int = 1800, width: int = 128, tile: int = TILE, device: str = "auto"):
    """Take noise off, with the settings of the paper's denoising."""

    def piece(photo: Tensor) -> Restoration:
        network, rule = sized(width, photo), stopping.recommended()
        return Restoration(photo, Identity(), photo.shape[-2:], network, Settings(iterations), rule, device=device)

    return in_tiles(piece, photo, tile)


def dejpeg(photo: Tensor, iterations: int = 2400, tile: int = TILE, device: str = "auto"):
    """Take JPEG's blocks off, with the narrow network and the iterations of the paper's JPEG example."""

    def piece(photo: Tensor) -> Restoration:
        network, rule = replace(SNAIL, out_channels=len(photo)), stopping.counted(iterations)
        return Restoration(photo, Identity(), photo.shape[-2:], network, Settings(iterations), rule, device=device)

    return in_tiles(piece, photo, tile)


def inpaint(
    photo: Tensor, known: Tensor, iterations: int = 6000, width: int = 128, tile: int = TILE, device: str = "auto"
):
    """Fill in where `known`, (1, H, W), is 0, with the settings of the paper's text; known pixels are untouched."""

    def piece(photo: Tensor, known: Tensor) -> Restoration:
        network, settings = sized(width, photo), Settings(iterations)
        rule = stopping.counted(iterations)
        return Restoration(photo, Mask(known), photo.shape[-2:], network, settings, rule, known, device)

    if Mask(known)(photo[None]).shape and known.all():
        raise UserError("the mask marks no pixel as missing: there is nothing to fill in")
    return piece(photo, known) if photo[0].numel() <= tile**2 else Tiles(piece, photo, tile=tile, known=known)


def upscale(
    photo: Tensor,
    by: int = 4,
    iterations: int | None = None,
    width: int = 128,
    tile: int = TILE,
    device: str = "auto",
):
    """Enlarge `by` times each side, with the settings of the paper's super-resolution: (C, by·H, by·W)."""
    if by < 2:
        raise UserError(f"to enlarge {by} times changes nothing: give 2 or more")

    def piece(photo: Tensor) -> Restoration:
        size = tuple(by * side for side in photo.shape[-2:])
        settings = Settings(iterations or 2000) if by <= 4 else Settings(iterations or 4000, sigma_p=1 / 20)
        rule = stopping.counted(settings.iterations)
        return Restoration(photo, Decimation(by), size, sized(width, photo), settings, rule, device=device)

    return in_tiles(piece, photo, tile, by)
