"""What one experiment alone changes in the loop: a random walk of z, a falling learning rate, noise in the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dip_repro.config import Settings
from dip_repro.fitting import adam
from dip_repro.runtime import UserError, stream


@dataclass(frozen=True)
class Varied(Settings):
    """Settings, and such changes."""

    perturbation: str = "fixed"  # or "walk": each z' is the next z (reading 3)
    schedule: str = "constant"  # or "cosine" (reading 21)
    weight_noise: float = 0.0  # σ, added to each weight at each step: SGLD

    def __post_init__(self):
        super().__post_init__()
        if self.perturbation not in ("fixed", "walk"):
            raise UserError(f"perturbation = {self.perturbation!r} is not one of fixed, walk")
        if self.schedule not in ("constant", "cosine"):
            raise UserError(f"schedule = {self.schedule!r} is not one of constant, cosine")
        if self.weight_noise < 0 or (self.weight_noise and self.schedule == "cosine"):
            raise UserError("weight_noise must not be negative, and is not combined with a schedule")


def strategies(settings: Settings, seed: int, device: torch.device) -> dict:
    """Return the arguments of `fit` that make these changes."""
    if not isinstance(settings, Varied):
        return {}
    changes: dict = {"perturb": walk} if settings.perturbation == "walk" else {}
    if settings.schedule == "cosine":
        changes["optimizer"] = partial(adam, kind=partial(Cosine, iterations=settings.iterations))
    if settings.weight_noise:
        noise = stream(seed, "weights noise", device)
        changes["optimizer"] = partial(adam, kind=partial(Langevin, sigma=settings.weight_noise, noise=noise))
    return changes


def walk(z: Tensor, sigma_p: float, generator: torch.Generator) -> Tensor:
    """Return z after a step of a random walk: normal noise of σ_p is added to z itself."""
    if sigma_p:
        z.add_(torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device), alpha=sigma_p)
    return z


class Cosine(torch.optim.Adam):
    """Adam whose rate falls to 0 at the last of `iterations` steps, along half a period of a cosine."""

    def __init__(self, *of_adam, iterations: int, **named):
        super().__init__(*of_adam, **named)
        self.param_groups[0].update(iterations=iterations, done=0, first_rate=self.param_groups[0]["lr"])

    def step(self, closure=None):
        group = self.param_groups[0]
        group["done"] += 1
        group["lr"] = group["first_rate"] * ((1 + math.cos(math.pi * group["done"] / group["iterations"])) / 2)
        return super().step(closure)


class Langevin(torch.optim.Adam):
    """Adam, and after each step normal noise of standard deviation `sigma` in every weight: SGLD.

    Cheng et al., "A Bayesian Perspective on the Deep Image Prior" (CVPR 2019). Their steps are ε/2 times the gradient
    of the log posterior, with noise N(0, ε). Here the step is Adam's, as in all that it is compared with, and `sigma`
    was tuned, so this is no exact posterior. Their weight decay is left out: batch norm makes most weights scale-free.
    """

    def __init__(self, *of_adam, sigma: float, noise: torch.Generator, **named):
        super().__init__(*of_adam, **named)
        self.sigma, self.noise = sigma, noise

    @torch.no_grad()
    def step(self, closure=None):
        loss = super().step(closure)
        for group in self.param_groups:
            for weights in group["params"]:
                drawn = torch.randn(weights.shape, generator=self.noise, device=weights.device)
                weights.add_(drawn, alpha=self.sigma)
        return loss

    def state_dict(self):
        return super().state_dict() | {"noise": self.noise.get_state()}

    def load_state_dict(self, state_dict):
        self.noise.set_state(state_dict["noise"].cpu())
        super().load_state_dict({name: part for name, part in state_dict.items() if name != "noise"})
