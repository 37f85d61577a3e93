"""The optimisation loop: minimise E(f_θ(z); x0) over θ with Adam, from random weights, and stop after a set count."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import math
import pickle
import time
import warnings
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from dip_repro import runtime, stopping
from dip_repro.networks import memory_needed
from dip_repro.runtime import UserError, stream


@dataclass(frozen=True)
class Settings:
    """How to fit: the paper's settings, then the readings of its text (README lists them)."""

    iterations: int
    learning_rate: float = 0.01
    sigma_p: float = 1 / 30
    average_weight: float = 0.99
    # Readings
    perturbation: str = "fixed"
    average_start: int = 0
    reduction: str = "mean"
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    rollback_threshold: float = 0.1  # of the first loss
    schedule: str = field(default="constant", metadata={"neutral": "constant"})
    output: str = field(default="perturbed", metadata={"neutral": "perturbed"})  # z, where the last iterate is taken
    weight_noise: float = field(default=0.0, metadata={"neutral": 0.0})  # σ, added to each weight at each step: SGLD
    # How often the loss is looked at, scores are taken and a place to return to is kept
    report_every: int = 10

    def __post_init__(self):
        if self.iterations < 1 or self.report_every < 1:
            raise UserError("iterations and report_every must be at least 1")
        if min(self.learning_rate, self.sigma_p, self.weight_noise) < 0 or not 0 <= self.average_weight < 1:
            raise UserError(
                "learning_rate, sigma_p and weight_noise must not be negative, and average_weight lies in [0, 1)"
            )
        if self.perturbation not in ("fixed", "walk"):
            raise UserError(f"perturbation = {self.perturbation!r} is not one of fixed, walk")
        if self.reduction not in ("mean", "sum"):
            raise UserError(f"reduction = {self.reduction!r} is not one of mean, sum")
        if self.schedule not in ("constant", "cosine"):
            raise UserError(f"schedule = {self.schedule!r} is not one of constant, cosine")
        if self.output not in ("perturbed", "unperturbed"):
            raise UserError(f"output = {self.output!r} is not one of perturbed, unperturbed")


@dataclass
class FitResult:
    """What a fit leaves: images (C, H, W) in [0, 1] on the CPU, and the curves sampled every `report_every`.

    `history` has the columns iteration, loss, seconds, and those that the observer returned.
    """

    image: Tensor
    average: Tensor
    history: pd.DataFrame
    stopped: str
    rollbacks: int
    seconds: float


@dataclass
class Report:
    """What a notebook sees while the loop runs: detached iterates (C, H, W) and the newest row of the history."""

    iteration: int
    image: Tensor
    average: Tensor
    row: dict


Observer = Callable[[Tensor, Tensor], dict]


class Fit:
    """One fit, as an iterator: `for report in Fit(...)` runs it; `fit(...)` runs it to its end.

    Parameters
    ----------
    measurement : (C', H', W') tensor, what was observed; x0.
    operator : callable (1, C, H, W) → (1, C', H', W'), what maps an image to a measurement.
    network : f_θ, (1, C_z, H, W) → (1, C, H, W); its weights are changed in place.
    z : (1, C_z, H, W), the fixed input.
    settings : how to fit.
    seed : names the streams "perturbation" and "weights noise".
    observer : called with the detached iterate and average, (C, H, W), at every report; the dict of scalars it
        returns goes to the history. It is the only place where the ground truth may stand, and nothing here reads it.
    checkpoint : file to resume from, and to write every `checkpoint_seconds` and when the loop is left early.
    precision : of the convolutions: "float32", "tf32" (NVIDIA's GPUs), "bfloat16"; weights and all else stay float32.
    compiled : whether the network is compiled before the first iteration, where that can be done.

    Raises
    ------
    UserError : a measurement with NaN or of another shape, a checkpoint of another fit.
    """

    max_rollbacks = 10

    def __init__(
        self,
        measurement: Tensor,
        operator: Callable[[Tensor], Tensor],
        network: nn.Module,
        z: Tensor,
        settings: Settings,
        seed: int = 0,
        observer: Observer | None = None,
        checkpoint: Path | None = None,
        checkpoint_seconds: float = 60,
        precision: str = "float32",
        compiled: bool = False,
    ):
        runtime.tune_allocator()
        runtime.set_precision(precision, z.device)
        self.precision = precision
        self.settings, self.operator, self.network, self.observer = settings, operator, network, observer
        self.device = z.device
        self.z, self.measurement = z, measurement[None].to(self.device)
        self.check()
        cuda = self.device.type == "cuda"
        if cuda:  # the layout that its tensor cores take
            nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
        self.f = self.compile() if compiled else network
        self.optimizer = torch.optim.Adam(
            network.parameters(),
            settings.learning_rate,
            (settings.beta_1, settings.beta_2),
            settings.epsilon,
            fused=cuda,
        )
        self.noise = stream(seed, "perturbation", self.device)
        self.weights_noise = stream(seed, "weights noise", self.device)
        self.iteration, self.rollbacks, self.seconds = 0, 0, 0.0
        self.stopped = ""
        self.rows: list[dict] = []
        self.image: Tensor | None = None
        self.average: Tensor | None = None
        self.checkpoint, self.checkpoint_seconds = checkpoint, checkpoint_seconds
        self.identity = hashlib.sha256(
            json.dumps([asdict(settings), seed, list(z.shape), precision]).encode()
            + self.measurement.cpu().numpy().tobytes()
        ).hexdigest()
        self.resume()
        self.good = self.state()

    def check(self) -> None:
        if not torch.isfinite(self.measurement).all():
            raise UserError("the measurement holds NaN or infinite values: nothing was computed; mask or repair them")
        self.check_memory()
        with torch.no_grad():
            channels = getattr(getattr(self.network, "config", None), "out_channels", self.measurement.shape[1])
            predicted = self.operator(torch.zeros(1, channels, *self.z.shape[-2:], device=self.device))
        if predicted.shape != self.measurement.shape:
            raise UserError(
                f"the measurement is {tuple(self.measurement.shape[1:])}, and the operator maps the network's image "
                f"to {tuple(predicted.shape[1:])}: give a measurement, a z and channels that agree"
            )

    def compile(self) -> Callable[[Tensor], Tensor]:
        """Return f_θ compiled: pointwise work fused and, on a GPU, replayed as a CUDA graph. It takes about a minute.

        Where it cannot be done, one line says so, and the network itself is returned.
        """
        self.f = torch.compile(self.network, mode="reduce-overhead" if self.z.is_cuda else "default", dynamic=False)
        try:
            self.output(self.z).sum().backward()  # what stands in the way shows here, and not in the loop
        except (
            RuntimeError,
            AssertionError,
            OSError,
            ImportError,
        ) as error:  # no compiler, an old card, its own faults
            why = str(error).strip().splitlines()[0]
            warnings.warn(f"the network is not compiled, so the fit takes longer: {why}", stacklevel=3)
            return self.network
        finally:
            self.network.zero_grad(set_to_none=True)
        return self.f

    def check_memory(self) -> None:
        """Say so before starting where a step would not fit, with the size that would."""
        free, needed = runtime.free_memory(self.device), memory_needed(self.network, self.z)
        if free is None or needed <= free:
            return
        sides = self.z.shape[-2:]
        fitting = [int(side * 0.9 * math.sqrt(free / needed)) for side in sides]
        raise UserError(
            f"a step at {sides[0]}×{sides[1]} takes about {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free: "
            f"scale the picture to {fitting[0]}×{fitting[1]}, or use a narrower network"
        )

    def __iter__(self) -> Generator[Report]:
        last_saved = time.monotonic()
        try:
            while not self.stopped:
                start = time.perf_counter()
                until = min(self.iteration + self.settings.report_every, self.settings.iterations)
                while self.iteration < until:
                    loss = self.step()
                report = self.report(loss, start)
                if time.monotonic() - last_saved > self.checkpoint_seconds:
                    self.save()
                    last_saved = time.monotonic()
                yield report
        finally:
            if not self.stopped:
                self.save()

    def step(self) -> Tensor:
        """One iteration; returns its loss, still on the device."""
        settings = self.settings
        self.iteration += 1
        z = self.z
        if settings.sigma_p:
            perturbation = torch.randn(z.shape, generator=self.noise, device=self.device)
            z = z.add(perturbation, alpha=settings.sigma_p)
            if settings.perturbation == "walk":
                self.z = z
        if settings.schedule == "cosine":  # to 0 at the last iteration
            annealed = (1 + math.cos(math.pi * self.iteration / settings.iterations)) / 2
            self.optimizer.param_groups[0]["lr"] = settings.learning_rate * annealed
        self.optimizer.zero_grad(set_to_none=True)
        x = self.output(z)
        error = (self.operator(x) - self.measurement).square()
        loss = error.mean() if settings.reduction == "mean" else error.sum()
        loss.backward()
        self.optimizer.step()
        if settings.weight_noise:
            for weights in self.network.parameters():
                drawn = torch.randn(weights.shape, generator=self.weights_noise, device=self.device)
                weights.data.add_(drawn, alpha=settings.weight_noise)
        self.image = x.detach().clone()  # a CUDA graph writes its next output where this one lies
        if self.average is None or self.iteration <= settings.average_start:
            self.average = self.image.clone()
        else:
            self.average.lerp_(self.image, 1 - settings.average_weight)
        return loss.detach()

    def output(self, z: Tensor) -> Tensor:
        """Return f_θ(z), (1, C, H, W)."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return self.f(z).float()

    def report(self, loss: Tensor, start: float) -> Report:
        """Read the loss, return to the last good state where it jumped, and take the scores."""
        if self.settings.output == "unperturbed":
            with torch.no_grad():
                self.image = self.output(self.z)
        row = {"iteration": self.iteration, "loss": float(loss)}  # waits for the device
        self.seconds += time.perf_counter() - start
        first, previous = (self.rows[0]["loss"], self.rows[-1]["loss"]) if self.rows else (0.0, math.inf)
        jumped = not row["loss"] <= previous + self.settings.rollback_threshold * first  # NaN included
        collapsed = self.iterates[0].std((-2, -1)).max() < 0.01 * self.measurement.std()  # one flat colour, whichever
        if jumped or collapsed:
            self.roll_back()
            row["loss"] = previous
        else:
            self.good = self.state()
        if self.iteration >= self.settings.iterations and not self.stopped:
            self.stopped = "iterations done"
        image, average = self.iterates
        if self.observer:
            scores = self.observer(image, average)
            row |= {name: float(value) for name, value in scores.items()}
        row["seconds"] = self.seconds
        self.rows.append(row)
        return Report(self.iteration, image, average, row)

    @property
    def iterates(self) -> tuple[Tensor, Tensor]:
        """The last iterate and the average, (C, H, W)."""
        if self.image is None or self.average is None:
            raise UserError("there is no image before the first iteration: iterate over the fit first")
        return self.image[0], self.average[0]

    def state(self) -> dict:
        """What decides the rest of the run, but for the count of iterations and the random streams."""
        return {
            "network": copy.deepcopy(self.network.state_dict()),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "image": self.image,
            "average": None if self.average is None else self.average.clone(),
        }

    def restore(self, state: dict) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.image = state["image"]
        self.average = None if state["average"] is None else state["average"].clone()

    def roll_back(self) -> None:
        """The paper's remedy for a destabilised optimisation: back to the parameters before the loss jumped.

        Adam's moments stay, as they remember the large gradients: with all restored, an unperturbed run would jump
        again, alike.
        """
        self.rollbacks += 1
        if self.good["image"] is None:
            raise UserError("the loss or the output is degenerate from the start: lower the learning rate")
        moments = self.optimizer.state_dict()
        self.restore(self.good)
        if all(torch.isfinite(x).all() for state in moments["state"].values() for x in state.values()):
            self.optimizer.load_state_dict(moments)
        if self.rollbacks > self.max_rollbacks:
            self.stopped = f"destabilised: rolled back {self.rollbacks} times"

    def save(self) -> None:
        """Write the checkpoint, where one is named, whole or not at all."""
        if self.checkpoint is None:
            return
        data = self.state() | {
            "identity": self.identity,
            "z": self.z,
            "noise": self.noise.get_state(),
            "weights noise": self.weights_noise.get_state(),
            "counts": [self.iteration, self.rollbacks, self.seconds],
            "rows": self.rows,
        }
        whole = io.BytesIO()  # on a full disk, PyTorch's own writer raises what is no OSError
        torch.save(data, whole)
        with runtime.written_whole(self.checkpoint) as partial:
            partial.write_bytes(whole.getbuffer())

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        try:
            data = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError):
            raise UserError(f"{self.checkpoint}: a damaged checkpoint; remove it, and the run starts anew") from None
        if data["identity"] != self.identity:
            raise UserError(f"{self.checkpoint} belongs to another fit: remove it, or name another file")
        self.restore(data)
        self.z, self.rows = data["z"], data["rows"]
        self.noise.set_state(data["noise"].cpu())
        self.weights_noise.set_state(data["weights noise"].cpu())
        self.iteration, self.rollbacks, self.seconds = data["counts"]

    @property
    def result(self) -> FitResult:
        image, average = self.iterates
        return FitResult(
            image=image.cpu(),
            average=average.cpu(),
            history=pd.DataFrame(self.rows),
            stopped=self.stopped or f"left at iteration {self.iteration}",
            rollbacks=self.rollbacks,
            seconds=self.seconds,
        )


def fit(*arguments, progress: bool = True, **named) -> FitResult:
    """Run a `Fit` of these arguments to its end; see `finish`."""
    return finish(Fit(*arguments, **named), progress)


def finish(run: Fit, progress: bool = True, until: float = math.inf, rule: stopping.Rule | None = None) -> FitResult:
    """Run `run` to its end, or until `rule` says stop, and return its result; its checkpoint is then removed.

    It is left at the first report after the time `until` (of `time.time()`), its checkpoint written. A rule sees
    iterates and averages alone; the image to keep is `rule.image`, and `rule.why` says why. Its memory is not in a
    checkpoint: a fit that is resumed is watched anew.
    """
    with contextlib.closing(stopped_by(run, rule, progress) if rule else watched(run, progress)) as reports:
        for _ in reports:
            if time.time() > until:
                break
    if run.checkpoint and run.stopped:
        run.checkpoint.unlink(missing_ok=True)
    return run.result


def stopped_by(run: Fit, rule: stopping.Rule, progress: bool = True) -> Generator[Report]:
    """Iterate over `run` under a progress bar until `rule` says stop, or to its end."""
    with contextlib.closing(watched(run, progress)) as reports:
        for report in reports:
            if rule.see(report.iteration, report.image, report.average):
                run.stopped = rule.why
            yield report
            if rule.stopped:
                return


def watched(run: Fit, progress: bool = True) -> Generator[Report]:
    """Iterate over `run` under a progress bar: loss, scores where observed, time left."""
    bar = tqdm(total=run.settings.iterations, initial=run.iteration, unit="it", disable=not progress, mininterval=0.5)
    with bar, contextlib.closing(iter(run)) as reports:
        for report in reports:
            bar.set_postfix({k: f"{v:.4g}" for k, v in report.row.items() if k not in ("iteration", "seconds")}, False)
            bar.update(report.iteration - bar.n)
            yield report
