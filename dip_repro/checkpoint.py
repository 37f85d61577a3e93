"""What a fit saves, so that it resumes after an interruption as if there had been none."""

from __future__ import annotations

import copy
import hashlib
import io
import itertools
import json
import pickle
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from dip_repro import stopping
from dip_repro.runtime import UserError, stream, written_whole

SECONDS = 60  # between two checkpoints
# What PyTorch raises for a damaged file.
DAMAGED = (
    *(RuntimeError, OSError, EOFError, LookupError, TypeError, ValueError, AttributeError, pickle.UnpicklingError),
)
DAMAGED_FILE = "{}: a damaged checkpoint; remove it, and the run starts anew"
OF_ANOTHER = "{} belongs to another fit: remove it, or name another file"
ALIKE = {"image": 1e-3, "measurement": 1e-5}  # machines differ in rounding by less; what is another fit, by more


def identity(measurement: Tensor, z: Tensor, settings, seed: int) -> str:
    """Return what names a fit's data and settings: a SHA-256."""
    digest = hashlib.sha256(json.dumps([asdict(settings), seed]).encode())
    for x in (measurement, z):
        digest.update(x.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def probes(network: nn.Module, operator: Callable[[Tensor], Tensor], z: Tensor) -> dict[str, Tensor]:
    """Return what tells a network and an operator from others: the first f_θ(z), and the operator of fixed noise.

    Raises
    ------
    UserError : either lies on another device than z, or does not return a tensor; an operator without a gradient.
    """
    for name, part in {"network": network, "operator": operator}.items():
        held = itertools.chain(part.parameters(), part.buffers()) if isinstance(part, nn.Module) else ()
        if elsewhere := {x.device for x in held if x.device != z.device}:
            raise UserError(f"the {name} lies on {elsewhere.pop()} and z on {z.device}: move one of them, x.to(device)")
    image = tensor_of(network(z), "network").float()
    noise = torch.rand(image.shape, generator=stream(0, "probe"), dtype=image.dtype, device="cpu").to(z.device)
    cut = "the operator is cut from autograd: write it in PyTorch, without NumPy, .detach(), .data or no_grad"
    try:
        with torch.enable_grad():
            measurement = tensor_of(operator(noise.requires_grad_() * 1), "operator")  # of no leaf, as in a step
    except RuntimeError as error:
        if "requires grad" not in str(error):
            raise
        raise UserError(cut) from None
    if not measurement.requires_grad:
        raise UserError(cut)
    return {"image": image, "measurement": measurement.detach()}


def tensor_of(x: object, whose: str) -> Tensor:
    """Return x, which is a tensor, or say what it is."""
    if isinstance(x, Tensor):
        return x
    raise UserError(f"the {whose} returns a {type(x).__name__}: wrap it in a function that returns one tensor")


def state_of(fit) -> dict:
    """Return all that decides the rest of a `Fit`, as `torch.save` takes it."""
    return {
        "network": copy.deepcopy(fit.network.state_dict()),
        "optimizer": copy.deepcopy(fit.optimizer.state_dict()),
        "image": fit.image,
        "average": None if fit.average is None else fit.average.clone(),
        "z": fit.z.clone(),
        "noise": fit.noise.get_state(),
        "counts": [fit.iteration, fit.rollbacks, fit.seconds, fit.stopped],
        "rows": list(fit.rows),
        "stop": stopping.state_of(fit.stop),
        "observer": stopping.state_of(fit.observer),
        "precision": fit.precision,
    }


def restore(fit, state: dict) -> None:
    """Bring a `Fit` to a state that `state_of` returned."""
    fit.network.load_state_dict(state["network"])
    fit.optimizer.load_state_dict(state["optimizer"])
    fit.image, fit.average, fit.z, fit.rows = state["image"], state["average"], state["z"], state["rows"]
    fit.noise.set_state(state["noise"].cpu())
    fit.iteration, fit.rollbacks, fit.seconds, fit.stopped = state["counts"]
    stopping.restore(fit.stop, state["stop"])
    stopping.restore(fit.observer, state["observer"])
    fit.good = state["good"] or state


class Checkpoint:
    """A file that holds the newest state of a fit, written every `SECONDS`; with no path it does nothing.

    `of` and `probed` say which fit it is: `identity`, `probes`.
    """

    def __init__(self, path: Path | None, of: str, probed: dict[str, Tensor]):
        self.path, self.of, self.probed = path, of, probed
        self.newest: dict | None = None
        self.due = time.monotonic() + SECONDS

    def take(self, state: dict, good: dict) -> None:
        """Keep a state to resume from, with the `good` one to roll back to, and write it where it is time."""
        self.newest = state | {"good": None if good is state else good}
        if time.monotonic() > self.due:
            self.write()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_) -> None:
        self.write()

    def write(self) -> None:
        """Write the newest state, whole or not at all; there is none before the first report."""
        if self.path is None or self.newest is None:
            return
        whole = io.BytesIO()  # on a full disk, PyTorch's own writer raises what is no OSError
        torch.save(self.newest | {"identity": self.of, "probes": self.probed}, whole)
        with written_whole(self.path) as partial:
            partial.write_bytes(whole.getbuffer())
        self.due = time.monotonic() + SECONDS

    def saved(self) -> dict | None:
        """Return the saved state, None where there is no file.

        Raises
        ------
        UserError : a damaged file, or that of a fit with other data, settings, network or operator.
        """
        if self.path is None or not self.path.exists():
            return None
        device, saved = self.probed["image"].device, io.BytesIO(self.path.read_bytes())
        try:
            with warnings.catch_warnings(action="ignore"):  # they are about what is damaged
                state = torch.load(saved, map_location=device, weights_only=True)
            same = state.pop("identity") == self.of and agree(state.pop("probes"), self.probed)
            state["precision"], state["good"]  # raises KeyError
        except DAMAGED:
            raise UserError(DAMAGED_FILE.format(self.path)) from None
        if not same:
            raise UserError(OF_ANOTHER.format(self.path))
        return state

    def resume(self, fit, state: dict) -> None:
        """Bring a `Fit` to the saved state.

        Raises
        ------
        UserError : parts of it are damaged, or the fit's precision was asked to be another.
        """
        if state["precision"] != fit.precision:
            raise UserError(OF_ANOTHER.format(self.path) + f" ({state['precision']}, not {fit.precision})")
        try:
            restore(fit, state)
            check(fit, self.probed["image"])
        except DAMAGED:
            raise UserError(DAMAGED_FILE.format(self.path)) from None


def check(fit, image: Tensor) -> None:
    """Raise ValueError where the parts of a `Fit` that was brought to a saved state do not belong together."""
    at_report = fit.rows[-1]["iteration"] == fit.iteration <= fit.settings.iterations
    if not at_report or not fit.image.shape == fit.average.shape == image.shape:
        raise ValueError("not the state of a fit at a report")


def agree(saved: dict[str, Tensor], here: dict[str, Tensor]) -> bool:
    return all(
        saved[name].shape == x.shape and (saved[name] - x).abs().max() <= ALIKE[name] * x.abs().max()
        for name, x in here.items()
    )
