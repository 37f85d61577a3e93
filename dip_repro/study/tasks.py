"""Tasks as plain data: an image, its damage, and the operator that links the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from dip_repro import baselines, corruptions, features, images, metrics, stopping
from dip_repro.fitting import Observer
from dip_repro.networks import mesh_input
from dip_repro.operators import Decimation, Identity, Mask, size_of
from dip_repro.runtime import UserError, stream
from dip_repro.study import no_prior, pairs, samples, spectra

MESHES = {"mesh": (0, 1), "mesh-tenth": (0, 0.1), "mesh-centred": (-1, 1)}  # ranges of the mesh grid (reading 22)


@dataclass
class Problem:
    """What a task makes of an image: tensors (C, H, W), and what may be measured of them.

    truth : for scores only; None where it is not known.
    corrupted : what one has without the method, of the truth's size.
    measurement : what is fitted, of any size.
    z : the input of the network (1, C_z, H, W); None where it is noise.
    measures : what is measured of an image alone, without the truth.
    signals : what stopping rules would see; it is logged.
    baselines : what methods without a network make of it.
    samples : of the iterates, where their mean and spread are wanted.
    stop : the rule that ends the fit, where there is one.
    """

    truth: Tensor | None
    corrupted: Tensor
    measurement: Tensor
    operator: nn.Module
    score: Callable[[Tensor, Tensor], Tensor] = metrics.psnr
    z: Tensor | None = None
    measures: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    signals: Mapping[str, stopping.Signal] = field(default_factory=dict)
    baselines: Mapping[str, Callable[[], Tensor]] = field(default_factory=dict)
    samples: samples.Samples | None = None
    stop: stopping.Rule | stopping.Later | None = None

    def observer(self, device: torch.device) -> Observer:
        """Return what logs the scores of a fit. Nothing else in a run knows the ground truth."""
        return Scores(self, device)


class Scores:
    """An observer: it logs the measures, the PSNR where the truth is known, the signals, and the mean of the iterates.

    The signals and the samples remember what they saw, so an interrupted fit saves their state.
    """

    def __init__(self, problem: Problem, device: torch.device):
        self.problem, self.watched = problem, dict(problem.measures)
        if problem.truth is not None:
            truth = problem.truth.to(device)
            self.watched["psnr"] = lambda x: problem.score(x, truth)

    def __call__(self, image: Tensor, average: Tensor) -> dict:
        problem, samples = self.problem, self.problem.samples
        scores: dict[str, Tensor | float] = {
            f"{n}{of}": f(x) for of, x in {"": image, "_average": average}.items() for n, f in self.watched.items()
        }
        scores |= {n: signal(image, average) for n, signal in problem.signals.items()}
        if samples:
            samples.see(image)
            if problem.truth is not None:
                scores["psnr_mean"] = problem.score(samples.mean, problem.truth)
                scores |= samples.calibration(problem.truth)
        return scores

    def state_dict(self) -> dict:
        signals = {name: stopping.state_of(signal) for name, signal in self.problem.signals.items()}
        return {"signals": signals, "samples": stopping.state_of(self.problem.samples)}

    def load_state_dict(self, state: dict) -> None:
        for name, signal in self.problem.signals.items():
            stopping.restore(signal, state["signals"][name])
        stopping.restore(self.problem.samples, state["samples"])


class Task(Protocol):
    """A frozen dataclass of plain data: what is made of an image, from the random streams of a seed."""

    @property
    def image(self) -> Any: ...

    @property
    def side(self) -> int | None: ...

    def problem(self, seed: int) -> Problem: ...


@dataclass(frozen=True)
class Denoising:
    """x0 = x + normal noise of `sigma_8bit` grey levels, or the published file `noisy`.

    The noise has the seed of the run, or `noise_seed`: then runs of several seeds share one noisy image.
    """

    image: str
    side: int | None = None
    sigma_8bit: float = 25
    noisy: str | None = None
    stored: str = "8bit"
    noise_seed: int | None = None

    def problem(self, seed: int) -> Problem:
        truth = open_at(self.image, self.side)
        if self.noisy:
            noisy = images.open_image(self.noisy)
            agree(truth, noisy, self.noisy)
        else:
            noise_seed = seed if self.noise_seed is None else self.noise_seed
            noisy = corruptions.gaussian_noise(truth, self.sigma_8bit, noise_seed, self.stored)
        simple = {name: partial(f, noisy, self.sigma_8bit) for name, f in baselines.DENOISERS.items()}
        return Problem(truth, noisy, noisy, Identity(), baselines=simple)


@dataclass(frozen=True)
class Sampled(Denoising):
    """Denoising, where the iterates after the first `burn_in` reports are samples: their mean and spread are scored."""

    burn_in: int = 0

    def problem(self, seed: int) -> Problem:
        return replace(super().problem(seed), samples=samples.Samples(self.burn_in))


@dataclass(frozen=True)
class Jpeg:
    """x0 = x compressed with this `quality`. None: `image` is compressed already, and x is not known."""

    image: str
    side: int | None = None
    quality: int | None = 10

    def problem(self, seed: int) -> Problem:
        image = open_at(self.image, self.side)
        truth = None if self.quality is None else image
        x0 = image if self.quality is None else corruptions.jpeg(image, self.quality)
        simple = {"TV": partial(baselines.total_variation, x0, 10)}
        return Problem(truth, x0, x0, Identity(), measures={"blockiness": metrics.blockiness}, baselines=simple)


@dataclass(frozen=True)
class Damage:
    """x0 = x with damage of a `kind` and `level`; the signals of the stopping rules are logged.

    The level of each kind: "gaussian", σ in grey levels; "poisson", photons where a channel is 1; "impulse",
    fraction of the values; "speckle", σ as a fraction of x; "jpeg", quality; "missing", fraction of the pixels;
    "mixed", photons.
    held_out : this fraction of the known pixels is not fitted, and the loss on them is logged too.
    """

    image: str
    side: int
    kind: str
    level: float
    held_out: float = 0

    def problem(self, seed: int) -> Problem:
        return self.watched(*self.damaged(seed), seed)

    def damaged(self, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the truth, what its damage makes of it, and the mask of the known pixels."""
        truth = open_at(self.image, self.side)
        mask = torch.ones(1, *truth.shape[-2:])
        if self.kind == "missing":
            mask = corruptions.missing_pixels(truth.shape[-2:], self.level, seed)
            corrupted = truth * mask
        elif self.kind == "jpeg":
            corrupted = corruptions.jpeg(truth, int(self.level))
        else:
            corrupted = getattr(corruptions, f"{self.kind}_noise")(truth, self.level, seed)
        return truth, corrupted, mask

    def watched(self, truth: Tensor, corrupted: Tensor, mask: Tensor, seed: int) -> Problem:
        """Return the problem, with the signals of the stopping rules."""
        signals = self.signals(corrupted)
        if self.held_out:
            mask, watched = stopping.held_out(mask, self.held_out, seed)
            signals |= {f"held_{of}": stopping.Residual(corrupted, watched, of) for of in ("image", "average")}
        operator = Mask(mask)
        return Problem(truth, corrupted, operator(corrupted), operator, signals=signals)

    def signals(self, corrupted: Tensor) -> dict[str, stopping.Signal]:
        """Return new signals of each kind and size, by name; discrepancies only where no pixel is missing."""
        signals: dict[str, stopping.Signal] = {"nothing": stopping.nothing}
        signals |= {f"variance_{n}": stopping.MovingVariance(n) for n in stopping.WINDOWS}
        signals |= {f"variance_{weight:g}": stopping.ExponentialVariance(weight) for weight in stopping.WEIGHTS}
        if self.kind != "missing":
            known, noise = torch.ones_like(corrupted[:1]), stopping.noise_variance(corrupted)
            for of in ("image", "average"):
                signals[f"discrepancy_{of}"] = stopping.Residual(corrupted, known, of, noise)
        return signals


@dataclass(frozen=True)
class OneDamage(Damage):
    """The same, where the runs of all seeds share the damage of one draw; each holds out pixels of its own."""

    damage_seed: int = 0

    def problem(self, seed: int) -> Problem:
        return self.watched(*self.damaged(self.damage_seed), seed)


@dataclass(frozen=True)
class Restoration:
    """x0 = x ⊙ m with a Bernoulli mask m, or the published file `masked`, whose zeros are missing.

    known : "drawn", the mask as it was drawn; "nonzero", its zeros and those of x are missing (reading 26).
    black_known : with `masked`, which fraction of the pixels that are 0 in x count as known, drawn anew: the file
    does not tell them from missing ones.
    The mask has the seed of the run, or `mask_seed`: then runs of several seeds share it.
    """

    image: str
    side: int | None = None
    missing: float = 0.5
    masked: str | None = None
    normalise: str = "all"
    known: str = "drawn"
    mask_seed: int | None = None
    black_known: float = 0.0

    def problem(self, seed: int) -> Problem:
        truth = open_at(self.image, self.side)
        if self.masked:
            corrupted = images.open_image(self.masked)
            agree(truth, corrupted, self.masked)
            mask = images.known_from_zeros(corrupted)
            if self.black_known:
                drawn = corruptions.missing_pixels(truth.shape[-2:], 1 - self.black_known, seed=0)
                mask = torch.where((truth == 0).all(0), drawn, mask)
        else:
            mask_seed = seed if self.mask_seed is None else self.mask_seed
            mask = corruptions.missing_pixels(truth.shape[-2:], self.missing, mask_seed)
            corrupted = truth * mask
            if self.known == "nonzero":
                mask = images.known_from_zeros(corrupted)
        operator = Mask(mask, self.normalise)
        fill = partial(baselines.interpolate_missing, corrupted, mask)
        simple = {"nearest fill": partial(fill, "nearest"), "linear fill": partial(fill, "linear")}
        simple["biharmonic"] = partial(baselines.biharmonic, corrupted, mask)
        return Problem(truth, corrupted, operator(corrupted), operator, baselines=simple)


@dataclass(frozen=True)
class Inpainting:
    """x0 = x ⊙ m. Missing: where the picture `mask` is black; or under `text`, `height` pixels high; or a central
    rectangle, `hole` of each side.

    z : "noise", or the mesh grid of one of `MESHES`.
    """

    image: str
    side: int | None = None
    mask: str | None = None
    text: str = ""
    height: int = 12
    hole: float = 1 / 3
    z: str = "noise"

    def problem(self, seed: int) -> Problem:
        truth = open_at(self.image, self.side)
        size = truth.shape[-2:]
        if self.mask:
            mask = images.as_mask(images.open_image(self.mask))
            agree(truth, mask, self.mask)
        elif self.text:
            mask = corruptions.text_mask(size, self.text, self.height)
        else:
            mask = corruptions.hole_mask(size, self.hole)
        operator = Mask(mask)
        z = None if self.z == "noise" else mesh_input(size, *MESHES[self.z])
        simple = {"biharmonic": partial(baselines.biharmonic, truth * mask, mask)}
        return Problem(truth, truth * mask, operator(truth), operator, z=z, baselines=simple)


@dataclass(frozen=True)
class SuperResolution:
    """x0 = x reduced by `factor` with Pillow's LANCZOS, in 8 bits; d of the fit has the Lanczos parameter `a`.

    The image is first cropped about its centre to a multiple of `multiple`: 32, as in the published files.
    phase, border : of d. x0_by : "pillow", or "d", which makes x0 with d itself (reading 24).
    """

    image: str
    factor: int
    side: int | None = None
    a: int = 2
    multiple: int = 32
    phase: float = 0.0
    border: str = "replicate"
    x0_by: str = "pillow"

    def problem(self, seed: int) -> Problem:
        truth = images.crop_to_multiple(open_at(self.image, self.side), self.multiple)
        operator = Decimation(self.factor, self.a, self.phase, self.border)
        if self.x0_by == "d":
            x0 = metrics.quantise(operator(truth[None])[0])
        else:
            x0 = corruptions.decimated(truth, self.factor)
        simple = {way: partial(baselines.enlarge, x0, self.factor, way) for way in ("bicubic", "lanczos")}
        return Problem(truth, simple["bicubic"](), x0, operator, metrics.psnr_super_resolution, baselines=simple)


@dataclass(frozen=True)
class Flash:
    """x0 is a picture taken without flash, z the same scene taken with flash (Sec. 4, flash/no-flash).

    Either the files `flash` and `no_flash`, whose truth is not known; or a pair made from the scene `image` by
    `pairs.flash_pair`, with noise of `sigma_8bit` grey levels on the picture without flash.
    z : "flash", or "noise": plain denoising, for comparison.
    """

    image: str | None = None
    side: int | None = None
    sigma_8bit: float = 25
    flash: str | None = None
    no_flash: str | None = None
    z: str = "flash"

    def __post_init__(self):
        if self.z not in ("flash", "noise"):
            raise UserError(f"z = {self.z!r} is not one of flash, noise")
        if (self.image is None) == (self.flash is None) or (self.flash is None) != (self.no_flash is None):
            raise UserError("a pair is either made of an image, or two files: flash and no_flash")

    def pair(self, seed: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the picture with flash, the one without, and the truth of the latter or None."""
        if self.image is None:
            assert self.flash and self.no_flash  # checked when made
            flash, no_flash = open_at(self.flash, self.side), open_at(self.no_flash, self.side)
            agree(no_flash, flash, self.flash)
            return flash, no_flash, None
        flash, truth = pairs.flash_pair(open_at(self.image, self.side))
        return flash, corruptions.gaussian_noise(truth, self.sigma_8bit, seed), truth

    def problem(self, seed: int) -> Problem:
        flash, no_flash, truth = self.pair(seed)
        simple = {name: partial(f, no_flash, self.sigma_8bit) for name, f in baselines.DENOISERS.items()}
        # Of medium strength; with the strength that is best by the truth it is as good as the network (`flash`).
        simple["guided filter"] = partial(pairs.guided_filter, no_flash, flash, 4, 1e-3)
        z = flash[None] if self.z == "flash" else None
        return Problem(truth, no_flash, no_flash, Identity(), z=z, baselines=simple)


@dataclass(frozen=True)
class Enhancement:
    """x0 is a clean photo. The fit, stopped early, is its base layer; what the fit lacks is detail, which is boosted.

    Nothing is recovered, so there is no truth.
    """

    image: str
    side: int | None = None
    boost: float = 2

    def problem(self, seed: int) -> Problem:
        photo = open_at(self.image, self.side)
        return Problem(None, photo, photo, Identity())

    def enhanced(self, photo: Tensor, base: Tensor) -> Tensor:
        """Return base + boost · (photo − base), clipped to [0, 1]."""
        return (base + self.boost * (photo - base)).clamp(0, 1)


@dataclass(frozen=True)
class Target:
    """x0 is a target to fit, without damage: an image, or something that keeps one property of it (Fig. 2).

    kind : "natural", the image; "noisy", with normal noise of 25 grey levels; "shuffled", its pixels in another order;
    "phases", its power spectrum with random phases; "noise", U(0, 1) of its size. The error is logged by frequency:
    `spectra.band_error` of each of `spectra.BANDS`.
    """

    image: str
    side: int | None = None
    kind: str = "natural"

    def problem(self, seed: int) -> Problem:
        target = self.target(seed)

        def watch(low: float, high: float) -> Callable[[Tensor], Tensor]:
            return lambda x: spectra.band_error(x, target.to(x.device), low, high)

        measures = {band: watch(*edges) for band, edges in spectra.BANDS.items()}
        return Problem(None, target, target, Identity(), measures=measures)

    def target(self, seed: int) -> Tensor:
        """Return the target, (C, H, W) in [0, 1]."""
        image = open_at(self.image, self.side)
        draw = stream(seed, "corruption")
        match self.kind:
            case "natural":
                return image
            case "noisy":
                return corruptions.gaussian_noise(image, 25, seed)
            case "shuffled":
                return image.flatten(1)[:, torch.randperm(image[0].numel(), generator=draw)].view_as(image)
            case "phases":
                return spectra.random_phases(image, seed)
            case "noise":
                return torch.rand(image.shape, generator=draw)
        raise UserError(f"kind = {self.kind!r} is not one of natural, noisy, shuffled, phases, noise")


@dataclass(frozen=True)
class PreImage:
    """Of the image x0 nothing is known but Φ(x0), and x with Φ(x) = Φ(x0) is sought (natural pre-image).

    Φ is `network` up to `layer` (`features.NETWORKS`). `variation` is λ of total variation, added to the loss.
    """

    image: str
    side: int
    network: str
    layer: str
    variation: float = 0

    def problem(self, seed: int) -> Problem:
        x0 = open_at(self.image, self.side)
        distance = features.Distance(features.features(self.network, self.layer), x0)
        known = int(features.Classifier(self.network)(x0).argmax())
        measures = {
            "distance": lambda x: distance.to(x.device)(x[None]).square().mean().sqrt(),
            **judged(self.network, known),
        }
        return without_picture(distance, x0.shape, self.variation, measures, truth=x0)


@dataclass(frozen=True)
class Activation:
    """A picture is sought that excites one unit: the mean of channel `channel` of `layer`, over the map; of the last
    layer, a class (activation maximisation).

    The unit is driven towards `target`, out of reach: see `features.Unit`. `variation` is λ of total variation, added
    to the loss. `judges` are networks that say how probable the class is.
    """

    network: str
    layer: str
    channel: int
    side: int
    target: float
    variation: float = 0
    judges: tuple[str, ...] = ()
    image: ClassVar[str] = "none"

    def problem(self, seed: int) -> Problem:
        unit = features.Unit(features.features(self.network, self.layer), self.channel, self.target)

        measures = {"activation": lambda x: unit.to(x.device).activation(x[None])[0]}
        for network in self.judges:
            measures |= judged(network, self.channel)
        return without_picture(unit, (3, self.side, self.side), self.variation, measures)


def judged(network: str, known: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return what a classifier says of an image: the most probable class, and the probability of class `known`."""
    classify = features.Classifier(network)
    return {
        f"class_{network}": lambda x: classify(x).argmax(),
        f"probability_{network}": lambda x: classify(x)[known],
    }


def without_picture(
    operator: nn.Module,
    size: tuple[int, ...],
    variation: float,
    measures: Mapping[str, Callable[[Tensor], Tensor]],
    truth: Tensor | None = None,
) -> Problem:
    """Return the problem of an operator whose value is to be 0, of images of `size` (C, H, W): no picture is given.

    `measures` are taken of the picture in 8 bits, as it is stored.
    """
    grey = torch.full(size, 0.5)
    if variation:
        operator = no_prior.WithVariation(operator, variation)
    stored = {name: lambda x, of=of: of(metrics.quantise(x)) for name, of in measures.items()}
    return Problem(truth, grey, torch.zeros_like(operator(grey[None])[0]), operator, measures=stored)


def open_at(name: str, side: int | None) -> Tensor:
    """Return an image, scaled to `side` pixels and rounded to 8 bits where a side is given."""
    image = images.open_image(name)
    return metrics.quantise(images.resize(image, side)) if side else image


def agree(truth: Tensor, other: Tensor, name: str) -> None:
    """Raise a UserError where the picture `name` has another size than the image."""
    if truth.shape[-2:] != other.shape[-2:]:
        raise UserError(f"{name} is {size_of(other)} and the image {size_of(truth)}: give them one size")
