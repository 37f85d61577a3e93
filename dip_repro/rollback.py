"""The paper's remedy where the optimisation destabilises: back to the parameters before the loss jumped."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from dip_repro.runtime import UserError

MOST = 10  # times in a row; then the fit ends
FLAT = 0.01  # of the measurement's standard deviation: an image that varies less in its units is one flat colour


def jumped(loss: float, rows: list[dict], settings) -> bool:
    """Return whether the loss jumped since the last sound report, or is NaN.

    The threshold is not in the paper (reading 14): `settings.rollback_threshold`, `settings.rollback_ratio`.
    """
    sound = [row["loss"] for row in rows if not row["rolled_back"]]
    first, previous = (sound[0], sound[-1]) if sound else (0.0, math.inf)
    return not (loss <= previous + settings.rollback_threshold * first and loss <= settings.rollback_ratio * previous)


@torch.no_grad()
def flat(image: Tensor, operator: Callable[[Tensor], Tensor], x0: Tensor) -> bool:
    """Return whether an image (1, C, H, W) is one flat colour, as far as its measurement tells, in units of x0."""
    colour = image.mean((-2, -1), keepdim=True).expand_as(image).contiguous()
    return bool((operator(image) - operator(colour)).square().mean().sqrt() < FLAT * x0.std(correction=0))


def in_a_row(rows: list[dict]) -> int:
    """Return how often the fit was rolled back since its last sound report."""
    return len(list(itertools.takewhile(lambda row: row["rolled_back"], reversed(rows))))


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
        raise UserError(degenerate(fit))
    fit.network.load_state_dict(good["network"])
    fit.image, fit.average = good["image"], good["average"].clone()
    moments = fit.optimizer.state_dict()["state"]
    if not all(torch.isfinite(x).all() for state in moments.values() for x in state.values()):
        fit.optimizer.load_state_dict(copy.deepcopy(good["optimizer"]))
    fit.rollbacks += 1
    if (times := 1 + in_a_row(fit.rows)) > MOST:
        fit.stopped = f"destabilised: rolled back {times} times in a row"


@torch.no_grad()
def degenerate(fit) -> str:
    """Return why a `Fit` came to nothing before its first good state, in a sentence."""
    start, x0 = fit.checkpoint.probed["image"], fit.x0
    if not torch.isfinite(start).all():
        return "the network returns NaN or infinite values before the first iteration: look at its weights and at z"
    if not torch.isfinite(fit.operator(start)).all():
        return "the operator makes NaN or infinite values of the network's image: see for which images it is defined"
    predicted = fit.operator(fit.image)
    if not torch.isfinite(predicted).all():
        return "the fit came to NaN within its first iterations: lower the learning rate"
    least, most, low, high = (float(x) for x in (predicted.min(), predicted.max(), x0.min(), x0.max()))
    if high - low > 10 * (most - least):
        return (
            f"the measurement's values go from {low:.3g} to {high:.3g}, and those that the operator makes of the "
            f"network's image from {least:.3g} to {most:.3g}: give both in the same units (8 bits divided by 255)"
        )
    return "the network's image is one flat colour from the first iterations on: lower the learning rate"
