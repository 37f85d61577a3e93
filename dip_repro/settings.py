"""How to fit: the paper's settings, and the readings of its text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dip_repro.runtime import UserError


@dataclass(frozen=True)
class Settings:
    """How to fit: the paper's settings, then the readings of its text (docs/readings.md lists them)."""

    iterations: int
    learning_rate: float = 0.01
    sigma_p: float = 1 / 30
    average_weight: float = 0.99
    # Readings
    average_start: int = 0
    reduction: str = "mean"
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    rollback_threshold: float = 0.1  # the loss jumps where it rises by this share of the first loss between two reports
    rollback_ratio: float = math.inf  # or to this multiple of itself
    output: str = "perturbed"  # z of the last iterate
    report_every: int = 10  # how often the loss is looked at, scores are taken, and a place to return to is kept

    def __post_init__(self):
        if self.iterations < 1 or self.report_every < 1:
            raise UserError("iterations and report_every must be at least 1")
        if min(self.learning_rate, self.sigma_p) < 0 or not 0 <= self.average_weight < 1:
            raise UserError("learning_rate and sigma_p must not be negative, and average_weight lies in [0, 1)")
        if self.rollback_ratio <= 1:
            raise UserError(f"rollback_ratio = {self.rollback_ratio}: a jump is to a multiple above 1")
        for name, choices in {"reduction": ("mean", "sum"), "output": ("perturbed", "unperturbed")}.items():
            if getattr(self, name) not in choices:
                raise UserError(f"{name} = {getattr(self, name)!r} is not one of {', '.join(choices)}")
