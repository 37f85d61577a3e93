"""A photo restored, without training data and without the ground truth.

`denoise`, `dejpeg`, `inpaint` and `upscale` take a photo (C, H, W) in [0, 1], grey or RGB, and return a `Restoration`:
iterate over it, or call `done()`. `how` is a preset, by default the recommended one; `presets.preset("denoising",
"paper")` is the paper's. A result of more than `tile` × `tile` pixels is computed in tiles. (`photo.arrays` has the
same for arrays, which are returned as they came.)

A photo that uses a small part of [0, 1] is stretched before the fit and brought back after it (`Stretch`).

A fit to a noisy photo reproduces the noise in the end, so a rule stops it early (`stopping.recommended`). The other
three do all their iterations, as the paper does: a mask or a decimation adds no noise, and the network reproduces
JPEG's errors only late. Notebook `stopping` compares kinds of damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dip_repro import runtime, stopping
from dip_repro.config import NetworkConfig
from dip_repro.fitting import Fit, Report
from dip_repro.images import at_size
from dip_repro.networks import noise_input
from dip_repro.operators import Decimation, Identity, Mask
from dip_repro.photo.tiles import Tile, tiles
from dip_repro.presets import Preset, denoising, enlarging, recommended
from dip_repro.runtime import UserError

NARROW = 0.5  # a photo that uses less of [0, 1] is stretched
TILE, OVERLAP = 512, 64  # pixels of the result; a tile of 512² takes about 3 GB
GROWTH = 1.1  # from the first reports to the end a process grew by up to 1.08 times, as free memory is in pieces


class Stretch(NamedTuple):
    """The part of [0, 1] that a photo uses, which is mapped to [0, 1] for the fit.

    The network ends in a sigmoid, which learns slowly near 0 and 1, so a dark photo comes out worse than a bright one.
    """

    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(cls, photo: Tensor, known: Tensor | None) -> Stretch:
        """Return the range of (C, H, W), all but a thousandth of its values on each side; [0, 1] where it is wide."""
        values = photo if known is None else photo[known.expand_as(photo) > 0]
        values = values.flatten()[:: max(1, values.numel() // 10**6)]
        low, high = np.percentile(values.cpu().numpy(), (0.1, 99.9)).tolist()
        margin = 0.05 * (high - low)
        return cls(low - margin, high + margin) if 0 < high - low < NARROW else cls()

    def stretched(self, photo: Tensor) -> Tensor:
        return photo if self == (0, 1) else ((photo - self.low) / (self.high - self.low)).clamp(0, 1)

    def back(self, image: Tensor) -> Tensor:
        return image if self == (0, 1) else image * (self.high - self.low) + self.low

    def outside(self, photo: Tensor) -> Tensor:
        """Return which values of a photo are outside, which a fit cannot reach: they are left as they are."""
        return (photo < self.low) | (photo > self.high)


class Restoration:
    """A photo restored tile by tile, each by a fit of its own; a small photo is one tile.

    So the memory depends on the size of a tile, and little on the size of the photo.

    Parameters
    ----------
    photo : (C, H, W) in [0, 1].
    how : how each tile is fitted. The network has fewer scales where a tile is too small for all.
    early : whether `stopping.recommended` stops each fit; otherwise it does all its iterations.
    by : how many times longer each side of the result is.
    known : (1, H, W), 1 = known, 0 = missing. Known pixels stay as they are; a tile without missing pixels is skipped.
    tile : the largest side of a tile, in pixels of the result.
    device, precision, seed : where the fits are computed, how (`fast.evaluator`), and from which random numbers.

    Attributes
    ----------
    size : (H', W') of the result.
    fit : of the current tile.
    """

    @runtime.own_defaults()
    def __init__(
        self,
        photo: Tensor,
        how: Preset,
        *,
        early: bool = False,
        by: int = 1,
        known: Tensor | None = None,
        tile: int = TILE,
        device: str | torch.device | None = "auto",
        precision: str = "float32",
        seed: int = 0,
    ):
        self.photo, self.how, self.early, self.precision, self.seed = sound(photo), how, early, precision, seed
        self.by, self.known, self.device = by, known, runtime.pick_device(device)
        self.stretch = Stretch.of(self.photo, known)
        self.size = tuple(by * side for side in photo.shape[-2:])
        self.tiles = self.cut(tile)
        self.total, self.weight = torch.zeros(len(photo), *self.size), torch.zeros(self.size)
        self.finished, self.earlier_seconds = 0, 0.0
        self.start()

    def cut(self, side: int) -> list[Tile]:
        """Return the tiles that are to be fitted."""
        overlap = max(1, OVERLAP // self.by)
        if self.size[0] * self.size[1] <= side**2:
            side = max(self.size)
        elif side // self.by < 2 * overlap:
            raise UserError(f"tiles of {side}×{side} pixels are too small: give {2 * max(OVERLAP, self.by)} or more")
        every = tiles(self.photo.shape[-2:], side // self.by, overlap, self.by)
        if self.known is None:
            return every
        damaged = [tile for tile in every if not tile.of(self.known).all()]
        if not all(tile.of(self.known).any() for tile in damaged):
            raise UserError(f"the hole covers a whole tile of {side}×{side} pixels: take larger tiles")
        return damaged

    @torch.inference_mode(False)
    @runtime.own_defaults()
    def start(self) -> None:
        """Make the fit of the next tile, and the rule that stops it."""
        tile = self.tiles[self.finished]
        operator: nn.Module = Decimation(self.by) if self.by > 1 else Identity()
        measurement = self.stretch.stretched(tile.of(self.photo))
        size = tuple(self.by * side for side in measurement.shape[-2:])
        if self.known is not None:
            operator = Mask(tile.of(self.known))
            measurement = operator(measurement)
        rule: stopping.Rule | stopping.Later = stopping.counted(self.how.settings.iterations)
        if self.early:
            operator, rule = stopping.recommended(measurement, self.seed)
            measurement = operator(measurement)
        config = as_deep_as_fits(self.how.network, size)
        z = noise_input(config.in_channels, size, self.seed).to(self.device)
        network = config.build(self.seed).to(self.device)
        self.fit = Fit(
            *(measurement, operator.to(self.device), network, z, self.how.settings),
            seed=self.seed,
            stop=rule,
            precision=self.precision,
        )

    def __iter__(self) -> Iterator[Report]:
        return self.reports(progress=False)

    def reports(self, progress: bool = True) -> Iterator[Report]:
        """Run what is left, with a progress bar for each tile."""
        while self.finished < len(self.tiles):
            self.fit.progress = progress
            yield from self.fit
            self.tiles[self.finished].add(self.kept, self.total, self.weight)
            self.finished += 1
            if self.finished < len(self.tiles):
                self.earlier_seconds += self.fit.seconds
                del self.fit  # so that its memory is free for the next
                self.start()

    def done(self, progress: bool = True) -> Tensor:
        """Run to the end and return the restored image, (C, H', W') in [0, 1], on the CPU."""
        for _ in self.reports(progress):
            pass
        return self.image

    @property
    def rule(self) -> stopping.Rule | stopping.Later:
        """What stops the fit of the current tile."""
        assert self.fit.stop is not None
        return self.fit.stop

    @property
    def kept(self) -> Tensor:
        """What the rule keeps of the current tile, after the first report."""
        assert self.rule.image is not None
        return self.stretch.back(self.rule.image.cpu())

    @property
    def image(self) -> Tensor:
        """The result so far, (C, H', W') in [0, 1], on the CPU; where no tile is done, the enlarged photo."""
        total, weight = self.total.clone(), self.weight.clone()
        if self.finished < len(self.tiles) and self.rule.image is not None:
            self.tiles[self.finished].add(self.kept, total, weight)
        before = self.photo if self.by == 1 else at_size(self.photo, self.size)
        image = total.add_((1 - weight) * before)
        if self.known is not None:
            return torch.where(self.known > 0, self.photo, image)
        return torch.where(self.stretch.outside(before), before, image).clamp(0, 1)

    @property
    def seconds(self) -> float:
        """What the iterations so far took."""
        return self.earlier_seconds + self.fit.seconds

    @property
    def seconds_a_step(self) -> float:
        """What an iteration of the current tile takes, measured without the first report's, which are slower."""
        rows = [{"seconds": 0, "iteration": 0}, *self.fit.rows]
        first, last = rows[1 if len(rows) > 2 else 0], rows[-1]
        return (last["seconds"] - first["seconds"]) / max(1, last["iteration"] - first["iteration"])

    @property
    def seconds_left(self) -> float:
        """What is left at most, after the first report."""
        return self.seconds_until(self.how.settings.iterations)

    @property
    def seconds_usual(self) -> float:
        """What is left if each fit ends where fits usually do: by its rule at `stopping.USUAL`, else at its end."""
        most = self.how.settings.iterations
        return self.seconds_until(min(most, stopping.USUAL) if self.early else most)

    def seconds_until(self, iterations: int) -> float:
        """What is left, after the first report, if each fit ends after so many iterations."""
        steps = iterations * (len(self.tiles) - self.finished) - self.fit.iteration
        return max(0, steps) * self.seconds_a_step

    @property
    def memory_gb(self) -> float:
        """About the most memory that this process will hold; measured, so ask after a report and a look at `image`."""
        return GROWTH * runtime.peak_memory_mb(self.device) / 1000

    @property
    def ended(self) -> str:
        """How far it came, and what is kept, in words."""
        done, most, kept = self.fit.iteration, self.how.settings.iterations, self.rule_kept
        how = f"stopped after {done} iterations" if done < most else f"did all {most} iterations"
        of = f" of iteration {kept}" if kept < done else ""
        if len(self.tiles) > 1:
            how = f"{self.finished} of {len(self.tiles)} tiles are done; the last {how}"
        return f"{how}; wrote the running average{of}"

    @property
    def rule_kept(self) -> int:
        """Which iteration of the current tile is kept."""
        return self.rule.latest.iteration if isinstance(self.rule, stopping.Later) else self.rule.iteration


def as_deep_as_fits(network: NetworkConfig, size: tuple[int, ...]) -> NetworkConfig:
    """Return the network with as many of its outermost scales as `size` = (H, W) has room for, at least one."""
    depth = max(1, min(network.depth, (min(size) - 1).bit_length() - 1))  # each side is more than 2^depth
    lists = ("n_d", "n_u", "n_s", "k_d", "k_u", "k_s")
    return replace(network, **{name: getattr(network, name)[:depth] for name in lists})


def sound(photo: Tensor) -> Tensor:
    """Return a photo (C, H, W) as float32 on the CPU, or say what is wrong with it."""
    if photo.ndim != 3 or len(photo) not in (1, 3) or not photo.is_floating_point():
        raise UserError(
            f"a photo is a floating-point tensor (C, H, W) with C = 1 or 3, not {tuple(photo.shape)} of {photo.dtype}"
        )
    if not torch.isfinite(photo).all():
        raise UserError("the photo holds NaN or infinite values: inpaint fills them in where a mask marks them missing")
    if photo.min() < 0 or photo.max() > 1:
        raise UserError(f"the photo's values run from {photo.min():g} to {photo.max():g}: scale them to [0, 1] first")
    with torch.inference_mode(False):  # what is made in it cannot be fitted to
        return photo.detach().float().cpu().clone()


def denoise(
    photo: Tensor, how: Preset | None = None, tile: int = TILE, device: str | torch.device | None = "auto", **more
) -> Restoration:
    """Remove noise. `more` is `precision` and `seed`, here and below."""
    how = how or recommended(denoising(photo.shape[-2:], tile), len(photo))
    return Restoration(photo, how, early=True, tile=tile, device=device, **more)


def dejpeg(
    photo: Tensor, how: Preset | None = None, tile: int = TILE, device: str | torch.device | None = "auto", **more
) -> Restoration:
    """Remove the block artefacts of JPEG."""
    return Restoration(photo, how or recommended("jpeg", len(photo)), tile=tile, device=device, **more)


@runtime.own_defaults()
def inpaint(
    photo: Tensor,
    known: Tensor,
    how: Preset | None = None,
    tile: int = TILE,
    device: str | torch.device | None = "auto",
    **more,
) -> Restoration:
    """Fill in where `known`, (1, H, W), is 0: whatever the photo holds there, NaN too."""
    known = known.detach().float().cpu()
    photo = torch.where(known > 0, photo.detach().cpu(), 0) if known.shape[-2:] == photo.shape[-2:] else photo
    Mask(known)(photo[None])  # says what is wrong with it
    if known.all():
        raise UserError("the mask marks no pixel as missing: there is nothing to fill in")
    how = how or recommended("inpainting", len(photo))
    return Restoration(photo, how, known=known, tile=tile, device=device, **more)


def upscale(
    photo: Tensor,
    by: int = 4,
    how: Preset | None = None,
    tile: int = TILE,
    device: str | torch.device | None = "auto",
    **more,
) -> Restoration:
    """Enlarge each side `by` times, (C, by·H, by·W)."""
    if by < 2 or by != int(by):
        raise UserError(f"to enlarge {by} times: give a whole number, 2 or more")
    return Restoration(photo, how or recommended(enlarging(by), len(photo)), by=by, tile=tile, device=device, **more)
