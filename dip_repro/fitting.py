"""The method: minimise E(f_θ(z); x0) over θ with Adam, from random weights, and stop in time."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from dip_repro import fast, memory, rollback, stopping
from dip_repro.checkpoint import Checkpoint, identity, probes, state_of
from dip_repro.config import Settings
from dip_repro.networks import add_noise
from dip_repro.operators import Mask
from dip_repro.runtime import UserError, stream
from dip_repro.stopping import Later, Rule


@dataclass
class Report:
    """What is seen while the loop runs: detached iterates (C, H, W) and the newest row of the history."""

    iteration: int
    image: Tensor
    average: Tensor
    row: dict


@dataclass
class FitResult:
    """What a fit leaves: images (C, H, W) in [0, 1] on the CPU, and a row of history every `report_every` iterations.

    `image` and `average` are of the last iteration. With a stopping rule, the one that it keeps (for the rules of
    `stopping`, the average) is that of the iteration that `stopped` names.
    The history's columns: iteration, loss, rolled_back (1 where the loss jumped), the observer's, seconds.
    """

    image: Tensor
    average: Tensor
    history: pd.DataFrame
    stopped: str
    rollbacks: int
    seconds: float


Observer = Callable[[Tensor, Tensor], dict | None]
Perturb = Callable[[Tensor, float, torch.Generator], Tensor]
Optimizer = Callable[[Iterable[nn.Parameter], Settings], torch.optim.Optimizer]


def adam(parameters: Iterable[nn.Parameter], settings: Settings, kind=torch.optim.Adam) -> torch.optim.Adam:
    """Return Adam over θ, or a `kind` of it."""
    theta, betas = list(parameters), (settings.beta_1, settings.beta_2)
    return kind(theta, settings.learning_rate, betas, settings.epsilon, fused=theta[0].is_cuda)


class Fit:
    """One fit of f_θ(z) to a measurement, as an iterator: `for report in Fit(...)`. Afterwards, take its `result`.

    Parameters
    ----------
    measurement : (C', H', W') tensor, what was observed; x0.
    operator : callable (1, C, H, W) → (1, C', H', W'), what maps an image to a measurement.
    network : f_θ, (1, C_z, H, W) → (1, C, H, W); its weights are changed in place.
    z : (1, C_z, H, W), the fixed input.
    settings : how to fit.
    seed : names the stream "perturbation".
    observer : called with the detached iterate and average, (C, H, W), at every report. The scalars that it returns, if
        any, go to the history, and nothing here reads them: only an observer may know the ground truth.
    stop : a rule that sees each report and may end the fit early. The result is then the image that it kept.
    checkpoint : file to resume from; written every minute, and when the loop ends or is left. It stays: remove it when
        the result is safe. A rule or an observer that remembers is saved where it has a `state_dict`.
    progress : whether a bar is shown.
    precision : "float32"; "bfloat16" or, on NVIDIA's GPUs, "tf32" for the convolutions; "auto" (`choose_precision`).
    compiled : see `fast.evaluator`.
    perturb, optimizer : what makes z' of z, and what updates θ, where an experiment replaces the paper's.

    Raises
    ------
    UserError : a measurement with NaN, of another type or shape, too little memory, a checkpoint of another fit; a
        network or an operator on another device, or of no tensor; an operator that autograd cannot follow; LBFGS.
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        measurement: Tensor,
        operator: Callable[[Tensor], Tensor],
        network: nn.Module,
        z: Tensor,
        settings: Settings,
        *,
        seed: int = 0,
        observer: Observer | None = None,
        stop: Rule | Later | None = None,
        checkpoint: str | Path | None = None,
        progress: bool = False,
        precision: str = "float32",
        compiled: bool = False,
        perturb: Perturb = add_noise,
        optimizer: Optimizer = adam,
    ):
        if not measurement.is_floating_point():
            raise UserError(f"the measurement is {measurement.dtype}: give float32, an image of 8 bits divided by 255")
        if isinstance(operator, Mask):
            measurement = operator.without_missing(measurement)
        self.x0, self.z = measurement[None].to(z.device), z.clone()
        self.operator, self.network, self.settings = operator, network, settings
        self.observer, self.stop, self.progress, self.perturb = observer, stop, progress, perturb
        if not torch.isfinite(self.x0).all():
            raise UserError("the measurement holds NaN or infinite values: mark them missing in a Mask, or repair them")
        memory.check(network, z)
        with fast.products(precision, z.device):
            probed = probes(network, operator, z)
        if (predicted := probed["measurement"].shape) != self.x0.shape:
            raise UserError(
                f"the measurement is {tuple(measurement.shape)}, and the operator maps the network's image to "
                f"{tuple(predicted[1:])}: give a measurement, a z and channels that agree"
            )
        stopping.check(stop, operator, probed["image"])
        path = None if checkpoint is None else Path(checkpoint)
        self.checkpoint = Checkpoint(path, identity(measurement, z, settings, seed), probed)
        saved = self.checkpoint.saved()
        if saved is not None and precision == "auto":
            precision = saved["precision"]  # on another processor too
        self.precision = fast.choose_precision(precision, network, z.device)
        with fast.products(self.precision, z.device):
            self.f = fast.evaluator(network, z, self.precision, compiled)
        self.optimizer = optimizer(network.parameters(), settings)
        if isinstance(self.optimizer, torch.optim.LBFGS):
            raise UserError("LBFGS asks for the same loss several times a step, and z is perturbed anew: take Adam")
        self.noise = stream(seed, "perturbation", z.device)
        self.iteration, self.rollbacks, self.seconds, self.stopped = 0, 0, 0.0, ""
        self.rows: list[dict] = []
        self.image: Tensor | None = None  # (1, C, H, W), as is the average
        self.average: Tensor | None = None
        self.good = state_of(self)
        if saved is not None:
            self.checkpoint.resume(self, saved)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def step(self) -> Tensor:
        """One iteration of the method. Returns the loss E(f_θ(z'); x0), still on the device."""
        settings = self.settings
        self.optimizer.zero_grad(set_to_none=True)
        z = self.perturb(self.z, settings.sigma_p, self.noise)  # z' = z + noise of σ_p
        x = self.f(z)  # x = f_θ(z')
        error = (self.operator(x) - self.x0).square()
        loss = error.mean() if settings.reduction == "mean" else error.sum()  # E(x; x0)
        loss.backward()
        self.optimizer.step()
        self.image = x.detach().clone()  # a CUDA graph writes its next output where this one lies
        if self.average is None or self.iteration < settings.average_start:
            self.average = self.image.clone()
        else:
            self.average.lerp_(self.image, 1 - settings.average_weight)
        self.iteration += 1
        return loss.detach()

    def __iter__(self) -> Generator[Report]:
        """Run on from where the fit is, and yield a Report every `report_every` iterations."""
        every, last = self.settings.report_every, self.settings.iterations
        bar = tqdm(total=last, initial=self.iteration, unit="it", disable=not self.progress, mininterval=0.5)
        with self.checkpoint, bar:
            while not self.stopped:
                start = time.perf_counter()
                until = min((self.iteration // every + 1) * every, last)
                with fast.products(self.precision, self.z.device):
                    while self.iteration < until:
                        loss = self.step()
                    report = self.report(loss, start)
                shown = {k: f"{report.row[k]:.4g}" for k in ("loss", "psnr", "psnr_average") if k in report.row}
                bar.set_postfix(shown, refresh=False)
                bar.update(report.iteration - bar.n)
                yield report

    @torch.inference_mode(False)
    def report(self, loss: Tensor, start: float) -> Report:
        """Look at the loss, go back where it jumped, take the scores, ask the rule, and keep the state."""
        if self.settings.output == "unperturbed":
            with torch.no_grad():
                self.image = self.f(self.z).clone()  # see `step`
        row = {"iteration": self.iteration, "loss": float(loss), "rolled_back": 0}  # waits for the device
        self.seconds += time.perf_counter() - start
        assert self.image is not None  # a step has been done
        jumped = rollback.jumped(row["loss"], self.rows, self.settings)
        if jumped or rollback.flat(self.image, self.operator, self.x0):
            rollback.roll_back(self)
            row["rolled_back"] = 1
        image, average = self.iterates
        if self.observer:
            row |= {name: float(value) for name, value in (self.observer(image, average) or {}).items()}
        self.rows.append(row | {"seconds": self.seconds})
        if self.iteration >= self.settings.iterations and not self.stopped:
            self.stopped = "iterations done"
        if self.stop and self.stop.see(self.iteration, image, average):
            self.stopped = self.stop.why
        state = state_of(self)
        self.good = self.good if row["rolled_back"] else state
        self.checkpoint.take(state, self.good)
        return Report(self.iteration, image, average, self.rows[-1])

    @property
    def iterates(self) -> tuple[Tensor, Tensor]:
        """The last iterate and the average, (C, H, W), which no later iteration changes."""
        if self.image is None or self.average is None:
            raise UserError("there is no image before the first iteration: iterate over the fit first")
        return self.image[0], self.average[0].clone()

    @property
    def result(self) -> FitResult:
        stopped = self.stopped or f"left at iteration {self.iteration}"
        images = dict(zip(("image", "average"), self.iterates, strict=True))
        if self.stop and self.stop.image is not None:
            images[self.stop.keep] = self.stop.image
        image, average = (x.cpu() for x in images.values())
        return FitResult(image, average, pd.DataFrame(self.rows), stopped, self.rollbacks, self.seconds)


Arguments = ParamSpec("Arguments")


def to_the_end(kind: Callable[Arguments, Fit]) -> Callable[Arguments, FitResult]:
    """Return the function that makes a fit, runs all of it with a progress bar, and returns what it leaves."""

    @functools.wraps(kind, assigned=(), updated=())
    def fit(*arguments: Arguments.args, **named: Arguments.kwargs) -> FitResult:
        """Fit f_θ(z) to a measurement, and return the restored image, a `FitResult`.

        The arguments and the errors are those of `Fit`. A bar shows the progress, unless it is `progress=False`. To
        watch the iterates, go through a `Fit`.
        """
        run = kind(*arguments, **({"progress": True} | named))  # type: ignore[arg-type]
        for _ in run:
            pass
        return run.result

    return fit


fit = to_the_end(Fit)
