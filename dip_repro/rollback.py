"""The paper's remedy where the optimisation destabilises: back to the parameters before the loss jumped."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from dip_repro.runtime import UserError

MOST = 10  # times; then the fit ends
FLAT = 0.01  # of the measurement's standard deviation: an image that varies less is one flat colour


def jumped(loss: float, rows: list[dict], settings, image: Tensor, x0: Tensor) -> bool:
    """Return whether the loss jumped since the last sound report, is NaN, or the image is one flat colour.

    The threshold is not in the paper (reading 14): `settings.rollback_threshold`, `settings.rollback_ratio`.
    """
    sound = [row["loss"] for row in rows if not row["rolled_back"]]
    first, previous = (sound[0], sound[-1]) if sound else (0.0, math.inf)
    steady = loss <= previous + settings.rollback_threshold * first and loss <= settings.rollback_ratio * previous
    return not steady or bool(image.std((-2, -1)).max() < FLAT * x0.std(correction=0))


def roll_back(fit) -> None:
    """Return a `Fit` to its last good state.

    Adam's moments stay, as they remember the large gradients. With them restored too, an unperturbed run would repeat
    the step that jumped.

    Raises
    ------
    UserError : there is no good state yet.
    """
    good = fit.good
    if good["image"] is None:
        raise UserError("the loss or the output is degenerate from the start: lower the learning rate")
    fit.network.load_state_dict(good["network"])
    fit.image, fit.average = good["image"], good["average"].clone()
    moments = fit.optimizer.state_dict()["state"]
    if not all(torch.isfinite(x).all() for state in moments.values() for x in state.values()):
        fit.optimizer.load_state_dict(copy.deepcopy(good["optimizer"]))
    fit.rollbacks += 1
    if fit.rollbacks > MOST:
        fit.stopped = f"destabilised: rolled back {fit.rollbacks} times"
