"""What a fit saves, so that it goes on after an interruption as if there had been none."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from dip_repro.runtime import UserError, stream, written_whole

SECONDS = 60  # between two checkpoints
ALIKE = {"image": 1e-3, "measurement": 1e-5}  # machines differ in rounding by less; what is another fit, by more


def identity(measurement: Tensor, z: Tensor, settings, seed: int, precision: str) -> str:
    """Return what names a fit's data and settings: a SHA-256."""
    digest = hashlib.sha256(json.dumps([asdict(settings), seed, precision]).encode())
    for x in (measurement, z):
        digest.update(x.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def probes(network: nn.Module, operator: Callable[[Tensor], Tensor], z: Tensor) -> dict[str, Tensor]:
    """Return what tells a network and an operator from others: the first f_θ(z), and the operator of fixed noise."""
    image = network(z).float()
    noise = torch.rand(image.shape, generator=stream(0, "probe")).to(z.device)
    return {"image": image, "measurement": operator(noise)}


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
    }


def restore(fit, state: dict) -> None:
    """Bring a `Fit` to a state that `state_of` returned."""
    fit.network.load_state_dict(state["network"])
    fit.optimizer.load_state_dict(state["optimizer"])
    fit.image, fit.average, fit.z, fit.rows = state["image"], state["average"], state["z"], state["rows"]
    fit.noise.set_state(state["noise"].cpu())
    fit.iteration, fit.rollbacks, fit.seconds, fit.stopped = state["counts"]


class Checkpoint:
    """A file that holds the newest state of a fit, written every `SECONDS`; with no path it does nothing.

    `of` and `probed` say which fit it is: `identity`, `probes`.
    """

    def __init__(self, path: Path | None, of: str, probed: dict[str, Tensor]):
        self.path, self.of, self.probed = path, of, probed
        self.newest: dict | None = None
        self.due = time.monotonic() + SECONDS

    def take(self, state: dict) -> None:
        """Take in a state that can be gone on from, and write it where it is time."""
        self.newest = state
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

    def read(self) -> dict | None:
        """Return the state to go on from, None where there is no file.

        Raises
        ------
        UserError : a damaged file, or that of a fit with other data, settings, network or operator.
        """
        if self.path is None or not self.path.exists():
            return None
        device = self.probed["image"].device
        try:
            state = torch.load(self.path, map_location=device, weights_only=True)
            same = state.pop("identity") == self.of and agree(state.pop("probes"), self.probed)
        except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError):
            raise UserError(f"{self.path}: a damaged checkpoint; remove it, and the run starts anew") from None
        if not same:
            raise UserError(f"{self.path} belongs to another fit: remove it, or name another file")
        return state


def agree(saved: dict[str, Tensor], here: dict[str, Tensor]) -> bool:
    return all(
        saved[name].shape == x.shape and (saved[name] - x).abs().max() <= ALIKE[name] * x.abs().max()
        for name, x in here.items()
    )
