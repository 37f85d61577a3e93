"""A photo restored, without training data and without the ground truth.

`denoise`, `dejpeg`, `inpaint` and `upscale` take a photo (C, H, W) in [0, 1], grey or RGB, and return a `Restoration`:
iterate over it, or call `done()`. `how` is a preset, by default the recommended one; `presets.preset("denoising",
"paper")` is the paper's. A result of more than `tile` × `tile` pixels is computed in tiles. The result is the mean of
several `runs`, which take one core each. (`photo.arrays` has the same for arrays, which are returned as they came.)

A photo that uses a small part of [0, 1] is stretched before the fit and brought back after it (`Stretch`).

A fit to a noisy photo reproduces the noise in the end, so a rule stops it early (`stopping.recommended`). The other
three do all their iterations, as the paper does: a mask or a decimation adds no noise, and the network reproduces
JPEG's errors only late. Notebook `stopping` compares kinds of damage.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from dip_repro import memory, runtime, stopping
from dip_repro.config import NetworkConfig
from dip_repro.fitting import Fit, Perturb, Report
from dip_repro.images import at_size
from dip_repro.networks import add_noise, noise_input
from dip_repro.operators import Decimation, Identity, Mask
from dip_repro.photo.threads import side_by_side
from dip_repro.photo.tiles import Tile, tiles
from dip_repro.presets import Preset, denoising, enlarging, recommended
from dip_repro.runtime import UserError

RUNS = 4  # at most, where their number is not given
NARROW = 0.5  # a photo that uses less of [0, 1] is stretched
TILE, OVERLAP = 512, 64  # pixels of the result; a tile of 512² takes about 3 GB
GROWTH = 1.1  # from the first reports to the end a process grew by up to 1.08 times, since free memory is fragmented


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


@dataclass
class Part:
    """The fit of one run to one tile."""

    run: int
    tile: Tile
    fit: Fit

    @property
    def rule(self) -> stopping.Rule | stopping.Later:
        assert self.fit.stop is not None
        return self.fit.stop

    @property
    def kept(self) -> int:
        """The iteration whose average the rule keeps; 0 before the first report."""
        return self.rule.latest.iteration if isinstance(self.rule, stopping.Later) else self.rule.iteration


class LeftMeanwhile(Exception):
    """Ends a step that another thread does when the loop is left."""


def unless(left: threading.Event) -> Perturb:
    """Return what perturbs z, which each step does first; where the loop was left, it ends the step."""

    def perturb(z: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
        if left.is_set():
            raise LeftMeanwhile
        return add_noise(z, sigma, generator)

    return perturb


def advance(fit: Fit) -> Report:
    """Run a fit to its next report."""
    return next(iter(fit))


class Restoration:
    """A photo restored: the mean of several runs, each tile by tile. A small photo is one tile.

    Each tile of each run is a fit of its own. Several of them go on side by side, one a core. So the memory depends on
    the size of a tile and the number of cores, and little on the size of the photo.

    Parameters
    ----------
    photo : (C, H, W) in [0, 1].
    how : how each tile is fitted. The network has fewer scales where a tile is too small for all.
    early : whether `stopping.recommended` stops each fit; otherwise it does all its iterations.
    by : how many times longer each side of the result is.
    known : (1, H, W), 1 = known, 0 = missing. Known pixels stay as they are; a tile without missing pixels is skipped.
    tile : the largest side of a tile, in pixels of the result.
    device, precision : where the fits are computed, and how (`fast.evaluator`).
    seed, runs : run k draws its random numbers from seed + k. By default there are as many runs as PyTorch uses threads
        on the CPU (`torch.get_num_threads`), at most `RUNS`; on other devices, where they come one after another, one.

    Attributes
    ----------
    size : (H', W') of the result.
    parts : the fits that go on now.
    finished : how many fits are done, one for each run and tile.
    seconds, steps : how long the loop has computed, and how many iterations one after another.
    """

    @torch.inference_mode(False)
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
        runs: int | None = None,
    ):
        self.photo, self.how, self.early, self.precision, self.seed = sound(photo), how, early, precision, seed
        self.by, self.known, self.device = by, known, runtime.pick_device(device)
        self.cores = torch.get_num_threads() if self.device.type == "cpu" else 1
        self.runs = min(RUNS, self.cores) if runs is None else runs
        if self.runs < 1 or self.runs != int(self.runs):
            raise UserError(f"{runs} runs: give a whole number, 1 or more")
        self.stretch = Stretch.of(self.photo, known)
        self.size = tuple(by * side for side in photo.shape[-2:])
        self.tiles = self.cut(tile)
        self.waiting = deque((run, tile) for tile in self.tiles for run in range(self.runs))
        self.parts: list[Part] = []
        self.last: Part | None = None  # of those that have ended, for what is asked of it afterwards
        self.total, self.weight = torch.zeros(self.runs, len(photo), *self.size), torch.zeros(self.runs, *self.size)
        self.ends = [(0, 0)] * self.runs  # of the newest fit of each run: iterations done, and the one that is kept
        self.finished, self.done_in_finished, self.left = 0, 0, threading.Event()
        self.seconds, self.steps, self.first = 0.0, 0, (0.0, 0)
        self.begin()
        self.at_once = memory.room(self.fit.network, self.fit.z, min(self.cores, 1 + len(self.waiting)))

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
    def begin(self) -> None:
        """Make the next fit, and the rule that stops it."""
        run, tile = self.waiting[0]
        seed = self.seed + run
        operator: nn.Module = Decimation(self.by) if self.by > 1 else Identity()
        measurement = self.stretch.stretched(tile.of(self.photo))
        size = tuple(self.by * side for side in measurement.shape[-2:])
        if self.known is not None:
            operator = Mask(tile.of(self.known))
            measurement = operator(measurement)
        rule: stopping.Rule | stopping.Later = stopping.counted(self.how.settings.iterations)
        if self.early:
            operator, rule = stopping.recommended(measurement, seed)
            measurement = operator(measurement)
        config = as_deep_as_fits(self.how.network, size)
        z = noise_input(config.in_channels, size, seed).to(self.device)
        network = config.build(seed).to(self.device)
        fit = Fit(
            *(measurement, operator.to(self.device), network, z, self.how.settings),
            seed=seed,
            stop=rule,
            precision=self.precision,
            perturb=unless(self.left),
        )
        self.parts.append(Part(*self.waiting.popleft(), fit))

    def __iter__(self) -> Iterator[Report]:
        return self.reports(progress=False)

    def reports(self, progress: bool = True) -> Iterator[Report]:
        """Run what is left, with a progress bar, and yield what one of the fits that go on reports."""
        self.left.clear()
        done, most = self.iterations_done, self.iterations_most
        bar = tqdm(initial=done, total=most, unit="it", disable=not progress, mininterval=0.5)
        with bar, side_by_side(self.at_once, max(1, self.cores // self.at_once)) as mapped:
            try:
                while self.go_on():
                    start, before = time.perf_counter(), [part.fit.iteration for part in self.parts]
                    reports = list(mapped(advance, [part.fit for part in self.parts]))
                    self.seconds += time.perf_counter() - start
                    self.steps += max(p.fit.iteration - done for p, done in zip(self.parts, before, strict=True))
                    self.first = self.first if self.first[1] else (self.seconds, self.steps)
                    for part in self.parts:
                        self.ends[part.run] = part.fit.iteration, part.kept
                    bar.total = self.iterations_most
                    bar.update(self.iterations_done - bar.n)
                    yield reports[0]
            finally:
                self.left.set()

    def go_on(self) -> bool:
        """Take over what has ended, begin other fits in its place, and return whether any go on."""
        self.take_over()
        while self.waiting and len(self.parts) < self.at_once:
            self.begin()
        return bool(self.parts)

    def take_over(self) -> None:
        """Add the images of the fits that have ended to the result, and let the fits go, for their memory."""
        for part in [part for part in self.parts if part.fit.stopped]:
            part.tile.add(self.image_of(part), self.total[part.run], self.weight[part.run])
            self.finished += 1
            self.done_in_finished += part.fit.iteration
            self.parts.remove(part)
            if not self.parts and not self.waiting:
                self.last = part

    def done(self, progress: bool = True) -> Tensor:
        """Run to the end and return the restored image, (C, H', W') in [0, 1], on the CPU."""
        for _ in self.reports(progress):
            pass
        return self.image

    @property
    def foremost(self) -> Part:
        """The first of those that go on; once all have ended, the last."""
        if self.last is not None and not self.parts:
            return self.last
        return self.parts[0]

    @property
    def fit(self) -> Fit:
        """That of `foremost`."""
        return self.foremost.fit

    @property
    def rule(self) -> stopping.Rule | stopping.Later:
        """What stops it."""
        return self.foremost.rule

    def image_of(self, part: Part) -> Tensor:
        """Return what the rule of a part keeps, after its first report."""
        assert part.rule.image is not None
        return self.stretch.back(part.rule.image.cpu())

    def so_far(self, run: int) -> tuple[Tensor, Tensor]:
        """Return what a run has made: the sum of its tiles by their weights, and the weights."""
        total, weight = self.total[run].clone(), self.weight[run].clone()
        for part in self.parts:
            if part.run == run and part.rule.image is not None:
                part.tile.add(self.image_of(part), total, weight)
        return total, weight

    @property
    def mean(self) -> tuple[Tensor, Tensor]:
        """The mean of the runs, (C, H', W'), and how far each pixel is covered by tiles that have begun, (H', W')."""
        total, weight = self.so_far(0)
        covered = weight
        for run in range(1, self.runs):
            more, its_weight = self.so_far(run)
            total, weight, covered = total + more, weight + its_weight, covered.maximum(its_weight)
        return total / torch.where(weight > 0, weight, 1), covered

    @property
    def image(self) -> Tensor:
        """The result so far, (C, H', W') in [0, 1], on the CPU; where no tile is done, the enlarged photo."""
        image, covered = self.mean
        before = self.photo if self.by == 1 else at_size(self.photo, self.size)
        image = before.lerp(image, covered.expand_as(before))
        return torch.where(self.left_alone(before), before, image).clamp(0, 1)

    @property
    def spread(self) -> Tensor:
        """The standard deviation between the runs, (C, H', W'); 0 where fewer than two have come, on the CPU.

        Raises
        ------
        UserError : there is one run.
        """
        self.check_spread()
        mean, _ = self.mean
        squares, count = torch.zeros_like(mean), torch.zeros(self.size)
        for run in range(self.runs):
            total, weight = self.so_far(run)
            squares += (total / torch.where(weight > 0, weight, 1) - mean).square() * (weight > 0)
            count += weight > 0
        before = self.photo if self.by == 1 else at_size(self.photo, self.size)
        return torch.where(self.left_alone(before), 0, (squares / (count - 1).clamp(min=1)).sqrt())

    def check_spread(self) -> None:
        """Say so where there is no spread."""
        if self.runs < 2:
            raise UserError("the spread is that between runs, and there is one: ask for 2 or more")

    def left_alone(self, before: Tensor) -> Tensor:
        """Return which values stay as they are."""
        return self.stretch.outside(before) if self.known is None else self.known.expand_as(before) > 0

    @property
    def iterations_done(self) -> int:
        """Of all fits together."""
        return self.done_in_finished + sum(part.fit.iteration for part in self.parts)

    @property
    def iterations_most(self) -> int:
        """Of all fits together, if those that have not ended do all theirs."""
        most = self.how.settings.iterations
        now = sum(part.fit.iteration if part.fit.stopped else most for part in self.parts)
        return self.done_in_finished + now + most * len(self.waiting)

    @property
    def seconds_a_step(self) -> float:
        """What an iteration takes, of all fits that go on; without the first report's, which are slower."""
        seconds, steps = self.first if self.steps > self.first[1] else (0.0, 0)
        return (self.seconds - seconds) / max(1, self.steps - steps)

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
        now = max((iterations - part.fit.iteration for part in self.parts), default=0)
        return (max(0, now) + iterations * math.ceil(len(self.waiting) / self.at_once)) * self.seconds_a_step

    @property
    def memory_gb(self) -> float:
        """About the most memory that this process will hold; measured, so ask after a report and a look at `image`."""
        return GROWTH * runtime.peak_memory_mb(self.device) / 1000

    @property
    def ended(self) -> str:
        """How far it came, and what is kept, in words."""
        begun = [end for end in self.ends if end[0]] or self.ends[:1]
        fewest, most = min(done for done, _ in begun), max(done for done, _ in begun)
        stopped = f"stopped after {most if fewest == most else f'{fewest} to {most}'} iterations"
        how = f"did all {most} iterations" if fewest == self.how.settings.iterations else stopped
        if len(self.tiles) > 1:
            how = f"{self.finished // self.runs} of {len(self.tiles)} tiles are done; the last {how}"
        if len(begun) > 1:
            return f"{len(begun)} runs: {how}; wrote the mean of their running averages"
        kept = begun[0][1]
        return f"{how}; wrote the running average{f' of iteration {kept}' if kept < most else ''}"


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


def denoise(photo: Tensor, how: Preset | None = None, tile: int = TILE, **more) -> Restoration:
    """Remove noise. `more`, here and below, are `tile`, `device`, `precision`, `seed` and `runs` of `Restoration`."""
    how = how or recommended(denoising(photo.shape[-2:], tile), len(photo))
    return Restoration(photo, how, early=True, tile=tile, **more)


def dejpeg(photo: Tensor, how: Preset | None = None, **more) -> Restoration:
    """Remove the block artefacts of JPEG."""
    return Restoration(photo, how or recommended("jpeg", len(photo)), **more)


@runtime.own_defaults()
def inpaint(photo: Tensor, known: Tensor, how: Preset | None = None, **more) -> Restoration:
    """Fill in where `known`, (1, H, W), is 0: whatever the photo holds there, NaN too."""
    known = known.detach().float().cpu()
    photo = torch.where(known > 0, photo.detach().cpu(), 0) if known.shape[-2:] == photo.shape[-2:] else photo
    Mask(known)(photo[None])  # says what is wrong with it
    if known.all():
        raise UserError("the mask marks no pixel as missing: there is nothing to fill in")
    return Restoration(photo, how or recommended("inpainting", len(photo)), known=known, **more)


def upscale(photo: Tensor, by: int = 4, how: Preset | None = None, **more) -> Restoration:
    """Enlarge each side `by` times, (C, by·H, by·W)."""
    if by < 2 or by != int(by):
        raise UserError(f"to enlarge {by} times: give a whole number, 2 or more")
    return Restoration(photo, how or recommended(enlarging(by), len(photo)), by=by, **more)
