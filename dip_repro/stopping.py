"""When to stop without the ground truth: rules that see only the iterates and the measurement.

A rule has a signal, which gives one number for each iterate that it sees, and a criterion, which decides by the curve
of these numbers. So another criterion can be tried on a recorded curve (`replay`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dip_repro.operators import Mask
from dip_repro.runtime import UserError, own_defaults, stream

Signal = Callable[[Tensor, Tensor], float]  # takes an iterate and the average, both (C, H, W)
Curve = list[tuple[int, float]]  # iterations, and the signal's value at each

WINDOWS, WEIGHTS = (5, 10, 20), (0.05, 0.1, 0.2)  # those that are studied; in iterates seen
USUAL = 1205  # where `recommended` stops in the median over pictures and noise that no setting was chosen with
TOO_FEW = 1.0  # stands for the variance of too few iterates; values in [0, 1] have less


@dataclass(frozen=True)
class Count:
    """Stop at iteration `at` and keep its image, whatever the signal: the paper's rule."""

    at: int

    def __str__(self) -> str:
        return f"{self.at} iterations are done"

    def kept(self, curve: Curve) -> int:
        return len(curve) - 1

    def stops(self, curve: Curve) -> bool:
        return curve[-1][0] >= self.at


@dataclass(frozen=True)
class Lowest:
    """Stop when the signal has not fallen below its minimum for `patience` iterations; keep the image of the minimum.

    Of several equal minima the latest counts, so that patience begins when the window of the signal is full.
    """

    patience: int

    def __str__(self) -> str:
        return f"no lower value for {self.patience} iterations"

    def kept(self, curve: Curve) -> int:
        return min(range(len(curve)), key=lambda i: (curve[i][1], -i))

    def stops(self, curve: Curve) -> bool:
        return curve[-1][0] - curve[self.kept(curve)][0] >= self.patience


@dataclass(frozen=True)
class Below:
    """Stop when the signal is at most `level`, and keep the image there."""

    level: float

    def __str__(self) -> str:
        return f"at most {self.level:g}"

    def kept(self, curve: Curve) -> int:
        return len(curve) - 1

    def stops(self, curve: Curve) -> bool:
        return curve[-1][1] <= self.level


Criterion = Count | Lowest | Below


def replay(curve: Curve, criterion: Criterion) -> tuple[int, int]:
    """Return which iteration of a recorded curve `criterion` keeps, and where it stops, at the latest at the end."""
    end = next((n for n in range(1, len(curve)) if criterion.stops(curve[:n])), len(curve))
    return curve[criterion.kept(curve[:end])][0], curve[end - 1][0]


def thinned(image: Tensor, side: int = 64) -> Tensor:
    """Return every k-th pixel of (C, H, W), on the CPU, about `side` on each side; not averaged, so the noise stays."""
    k = math.ceil(max(image.shape[-2:]) / side)
    return image[..., ::k, ::k].cpu().clone()


def nothing(image: Tensor, average: Tensor) -> float:
    """The signal of a rule that needs none."""
    return 0.0


class Remembers(Protocol):
    """What an interrupted fit saves of a rule, a signal or an observer that remembers, and hands back to a new one."""

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> None: ...


class MovingVariance:
    """The variance of the last `window` iterates about their mean, averaged over pixels (WMV).

    Wang et al., "Early Stopping for Deep Image Prior" (2023): VAR = 1/W Σ ‖x_w − mean‖². At its minimum the iterates
    change least. Their window counts iterations; this one counts the iterates seen, one for each report. The value
    belongs to the newest iterate of the window.
    """

    def __init__(self, window: int):
        if window < 2:
            raise UserError(f"window = {window}: a variance needs two iterates or more")
        self.window = window
        self.seen: deque[Tensor] = deque(maxlen=window)

    def __call__(self, image: Tensor, average: Tensor) -> float:
        self.seen.append(thinned(image))
        if len(self.seen) < self.window:
            return TOO_FEW
        return float(torch.stack(tuple(self.seen)).var(0, correction=0).mean())

    def state_dict(self) -> dict:
        return {"seen": list(self.seen)}

    def load_state_dict(self, state: dict) -> None:
        self.seen = deque((x.cpu() for x in state["seen"]), maxlen=self.window)


class ExponentialVariance:
    """The same with exponential weights instead of a window (EMV): it stores one mean and no list of iterates.

    M ← (1 − α) M + α x, V ← (1 − α)(V + α ‖x − M‖²), α = `weight`. The value is used from 1/α iterates on.
    """

    def __init__(self, weight: float):
        if not 0 < weight < 1:
            raise UserError(f"weight = {weight}: the weight of the newest iterate must be between 0 and 1")
        self.weight, self.count, self.variance = weight, 0, 0.0
        self.mean: Tensor | None = None

    def __call__(self, image: Tensor, average: Tensor) -> float:
        x = thinned(image)
        if self.mean is None:
            self.mean = x
        change = x - self.mean
        self.mean = self.mean + self.weight * change
        self.variance = (1 - self.weight) * (self.variance + self.weight * float(change.square().mean()))
        self.count += 1
        return self.variance if self.count * self.weight >= 1 else TOO_FEW

    def state_dict(self) -> dict:
        return {"mean": self.mean, "count": self.count, "variance": self.variance}

    def load_state_dict(self, state: dict) -> None:
        self.mean = None if state["mean"] is None else state["mean"].cpu()
        self.count, self.variance = state["count"], state["variance"]


class Residual:
    """The mean squared residual of the iterate (`of` = "image") or the "average", over the pixels of `mask` (1, H, W).

    With a mask of held-out pixels it is a loss that the fit does not see. With `variance` that of the noise, and the
    criterion `Below(1)` or so, it is the discrepancy principle (Morozov).
    """

    def __init__(self, measurement: Tensor, mask: Tensor, of: str = "image", variance: float = 1.0):
        self.measurement, self.mask, self.of, self.variance = measurement, mask, of, variance

    def __call__(self, image: Tensor, average: Tensor) -> float:
        x = (image if self.of == "image" else average).cpu()
        squares = (x - self.measurement).square() * self.mask
        return float(squares.sum() / (self.mask.sum() * len(x)) / self.variance)


@own_defaults()
def held_out(mask: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split the known pixels of `mask` (1, H, W) into two masks: those to fit, and those to watch.

    share : about this fraction is watched. They are drawn from the stream "held-out", each pixel with all its channels.
    """
    if not 0 < share < 1:
        raise UserError(f"held out = {share}: a fraction of the known pixels must be between 0 and 1")
    watched = mask * (torch.rand(mask.shape, generator=stream(seed, "held-out")) < share)
    return mask - watched, watched


def noise_variance(noisy: Tensor) -> float:
    """Return an estimate of the variance of Gaussian noise in (C, H, W), from its finest wavelets (scikit-image).

    It is at least that of rounding to 8 bits. Other noise is treated as if it were Gaussian.
    """
    from skimage.restoration import estimate_sigma  # needs PyWavelets

    sigma = estimate_sigma(noisy.numpy(), average_sigmas=True, channel_axis=0)
    return max(float(sigma), 1 / 255 / math.sqrt(12)) ** 2


class Rule:
    """Watches one fit: show it each iterate with `see` until it says stop or the fit ends; then `image` is the result.

    Parameters
    ----------
    name : for messages.
    signal : what is watched. It remembers iterates, so each fit needs a new rule. Where it has a `state_dict`
        (`Remembers`), an interrupted fit saves it.
    criterion : when to stop, and which iteration to keep.
    keep : "image" or "average": what is kept of that iteration.
    """

    def __init__(self, name: str, signal: Signal, criterion: Criterion, keep: str = "average"):
        if keep not in ("image", "average"):
            raise UserError(f"keep = {keep!r} is not one of image, average")
        self.name, self.signal, self.criterion, self.keep = name, signal, criterion, keep
        self.curve: Curve = []
        self.stopped, self.iteration = False, 0
        self.image: Tensor | None = None

    def see(self, iteration: int, image: Tensor, average: Tensor) -> bool:
        """Look at an iterate and the average, (C, H, W), and return whether to stop; after that nothing changes."""
        if not self.stopped:
            self.curve.append((iteration, float(self.signal(image, average))))
            if self.criterion.kept(self.curve) == len(self.curve) - 1:
                self.iteration, self.image = iteration, (image if self.keep == "image" else average).clone()
            self.stopped = self.criterion.stops(self.curve)
        return self.stopped

    @property
    def why(self) -> str:
        """Which iteration is kept, and why, in a sentence."""
        last = self.curve[-1][0] if self.curve else 0
        ended = f"{self.criterion}, at iteration {last}" if self.stopped else f"the fit ended at iteration {last}"
        return f"{self.name}: {ended}; the {self.keep} of iteration {self.iteration} is kept"

    def state_dict(self) -> dict:
        own = {"curve": [list(point) for point in self.curve], "image": self.image}
        return own | {"stopped": self.stopped, "iteration": self.iteration, "signal": state_of(self.signal)}

    def load_state_dict(self, state: dict) -> None:
        self.curve = [(iteration, value) for iteration, value in state["curve"]]
        self.stopped, self.iteration, self.image = state["stopped"], state["iteration"], state["image"]
        restore(self.signal, state["signal"])


def state_of(what) -> dict | None:
    """Return the state of what `Remembers`; None of what does not."""
    return what.state_dict() if hasattr(what, "state_dict") else None


def restore(what, state: dict | None) -> None:
    """Bring what `Remembers` to a state that `state_of` returned."""
    if state is not None:
        what.load_state_dict(state)


def moving_variance(window: int = 20, patience: int = 50) -> Rule:
    """Return a new rule that stops where the moving variance of the iterates is lowest; `window` counts reports."""
    return Rule("moving variance", MovingVariance(window), Lowest(patience), "average")


class Later:
    """Two rules or more: the fit ends when all have stopped, and the result is that of the latest iteration kept."""

    def __init__(self, *rules: Rule):
        self.rules = rules

    def see(self, iteration: int, image: Tensor, average: Tensor) -> bool:
        """Show each rule an iterate and the average, (C, H, W), and return whether all say stop."""
        stops = [rule.see(iteration, image, average) for rule in self.rules]
        return all(stops)

    @property
    def latest(self) -> Rule:
        return max(self.rules, key=lambda rule: rule.iteration)

    @property
    def image(self) -> Tensor | None:
        return self.latest.image

    @property
    def keep(self) -> str:
        return self.latest.keep

    def state_dict(self) -> dict:
        return {"rules": [rule.state_dict() for rule in self.rules]}

    def load_state_dict(self, state: dict) -> None:
        for rule, its in zip(self.rules, state["rules"], strict=True):
            rule.load_state_dict(its)

    @property
    def why(self) -> str:
        """Which iteration is kept, and why, in a sentence."""
        return f"the later of {' and '.join(rule.name for rule in self.rules)}; {self.latest.why}"


def recommended(
    noisy: Tensor,
    seed: int = 0,
    share: float = 1 / 50,
    patience: int = 100,
    window: int = 20,
    variance_patience: int = 200,
) -> tuple[Mask, Later]:
    """Return what to fit of a noisy image (C, H, W), and a new rule that watches the rest of it.

    The operator leaves out the fraction `share` of the pixels. The fit reproduces their noise only by chance, so the
    loss on them rises when the rest is overfitted. The fit ends when this loss and the moving variance of the iterates
    have both passed their minimum. Of the rules tried it was the best on unseen pictures and noise (notebook
    `stopping`).

    It compares pixels of the image with those of the measurement, so it means nothing with an operator of your own,
    such as a blur: `fit` refuses it there. `moving_variance` watches the iterates alone.
    """
    fitted, watched = held_out(torch.ones_like(noisy[:1]), share, seed)
    held = Rule("held-out pixels", Residual(noisy, watched, "average"), Lowest(patience))
    return Mask(fitted), Later(held, moving_variance(window, variance_patience))


def counted(iterations: int) -> Rule:
    """Return a new rule that stops after `iterations` and keeps the average, for measurements without noise."""
    return Rule("a set count", nothing, Count(iterations), "average")


def check(stop: Rule | Later | None, operator: Callable[[Tensor], Tensor], image: Tensor) -> None:
    """Raise UserError where a rule compares pixels of the image with a measurement that is not made of such pixels.

    image : (1, C, H, W), on which the operator is tried.
    """
    rules = stop.rules if isinstance(stop, Later) else (stop,)
    if isinstance(operator, Mask) or not any(rule and isinstance(rule.signal, Residual) for rule in rules):
        return
    measured = operator(image)
    if measured.shape != image.shape or not ((measured == image) | (measured == 0)).all():
        raise UserError(
            "the stopping rule compares the image with the measurement, pixel by pixel, which means nothing with this "
            "operator: take stopping.moving_variance(), which watches the iterates alone, or a number of iterations"
        )
