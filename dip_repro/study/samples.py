"""Averages of iterates and of runs, and whether their spread tells how far they are from the truth."""

from __future__ import annotations

from itertools import combinations

import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor

from dip_repro.metrics import psnr


class Samples:
    """The mean and the spread of the images (C, H, W) that it sees, without the first `burn_in`.

    Welford's recursion. Until the burn-in is over the mean is the newest image, and the spread is 0. An observer that
    has samples is to save them with a checkpoint (`state_dict`).
    """

    def __init__(self, burn_in: int = 0):
        self.burn_in, self.seen = burn_in, 0
        self.mean: Tensor  # set by the first image
        self.squares: Tensor

    @property
    def count(self) -> int:
        return max(1, self.seen - self.burn_in)

    def see(self, image: Tensor) -> None:
        """Take in one more image."""
        image, self.seen = image.cpu(), self.seen + 1
        if self.count == 1:
            self.mean, self.squares = image.clone(), torch.zeros_like(image)
        else:
            change = image - self.mean
            self.mean = self.mean + change / self.count
            self.squares = self.squares + change * (image - self.mean)

    def state_dict(self) -> dict:
        return {"seen": self.seen} | ({"mean": self.mean, "squares": self.squares} if self.seen else {})

    def load_state_dict(self, state: dict) -> None:
        self.seen = state["seen"]
        if self.seen:
            self.mean, self.squares = state["mean"].cpu(), state["squares"].cpu()

    @property
    def std(self) -> Tensor:
        """The standard deviation of each value, (C, H, W), unbiased."""
        return (self.squares / max(1, self.count - 1)).sqrt()

    def calibration(self, truth: Tensor) -> dict[str, float]:
        """Compare the spread with the error of the mean, over all values of (C, H, W).

        samples : how many. coverage : the fraction of values within 2 standard deviations of the truth; 0.954 for a
        normal posterior. explained : the mean variance over the mean squared error; 1 where calibrated. rank :
        Spearman's correlation of the standard deviation and the absolute error.
        """
        std, error = self.std.flatten(), (self.mean - truth).abs().flatten()
        return {
            "samples": self.count,
            "coverage": float((error <= 2 * std).float().mean()),
            "explained": float(std.square().mean() / error.square().mean()),
            "rank": float(spearmanr(std, error).statistic) if self.count > 1 else 0.0,
        }

    def reliability(self, truth: Tensor, bins: int = 10) -> pd.DataFrame:
        """Return the root mean squares of the spread, "predicted", and of the "error", by quantile of the spread."""
        std, error = self.std.flatten(), (self.mean - truth).flatten()
        parts = [torch.stack((std[part], error[part])) for part in std.argsort().tensor_split(bins)]
        return pd.DataFrame([part.square().mean(1).sqrt().tolist() for part in parts], columns=["predicted", "error"])


def of_runs(restored: list[Tensor], truth: Tensor) -> list[float]:
    """Return the PSNR in dB of the mean of k images, k = 1, 2, …, each averaged over all choices of k."""
    scores = [
        [float(psnr(torch.stack(chosen).mean(0), truth)) for chosen in combinations(restored, k)]
        for k in range(1, len(restored) + 1)
    ]
    return [sum(of_k) / len(of_k) for of_k in scores]
