"""A photo of one's own, restored: no training data, no ground truth, and a rule that stops the fit in time.

Each function takes an image (C, H, W) in [0, 1], grey or RGB, and returns a `Restoration`: iterate, or take `done()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from dip_repro import runtime, stopping
from dip_repro.experiments import SNAIL
from dip_repro.fitting import Fit, Report, Settings, stopped_by
from dip_repro.networks import NetworkConfig, memory_needed, noise_input
from dip_repro.operators import Decimation, Identity, Mask
from dip_repro.runtime import UserError


class Restoration:
    """A fit and the rule that stops it; `image`, (C, H', W') in [0, 1], is the best so far by the rule.

    known : (1, H, W) or None; where 1, the photo's own pixels stand in the result.
    """

    def __init__(
        self,
        photo: Tensor,
        operator: nn.Module,
        size: tuple[int, int],
        network: NetworkConfig,
        settings: Settings,
        known: Tensor | None = None,
        device: str = "auto",
    ):
        where = runtime.pick_device(device)
        self.photo, self.known, self.size = photo, known, size
        z = noise_input(network.in_channels, size, seed=0).to(where)
        built = network.build().to(where)
        self.memory_gb = memory_needed(built, z) / 1e9
        measurement = photo if known is None else operator(photo)
        self.fit = Fit(measurement, operator.to(where), built, z, settings)
        self.rule = stopping.recommended()

    @property
    def image(self) -> Tensor | None:
        """What the rule keeps so far, None before the first report; known pixels untouched."""
        if self.rule.image is None:
            return None
        restored = self.rule.image.cpu()
        return restored if self.known is None else torch.where(self.known > 0, self.photo, restored)

    @property
    def seconds_a_step(self) -> float:
        """Measured on this device; the first report, which warms up, is left out once there are two."""
        rows = [{"seconds": 0, "iteration": 0}, *self.fit.rows]
        first, last = rows[1 if len(rows) > 2 else 0], rows[-1]
        return (last["seconds"] - first["seconds"]) / max(1, last["iteration"] - first["iteration"])

    @property
    def longest(self) -> float:
        """The seconds that are left at the most: the rule may stop much sooner."""
        return (self.fit.settings.iterations - self.fit.iteration) * self.seconds_a_step

    def __iter__(self) -> Iterator[Report]:
        return self.reports(progress=False)

    def reports(self, progress: bool = True) -> Iterator[Report]:
        """Run on, under a progress bar, until the rule says stop."""
        return stopped_by(self.fit, self.rule, progress)

    def done(self, progress: bool = True) -> Tensor:
        """Run to the end and return the restored image, (C, H', W') in [0, 1], on the CPU."""
        for _ in self.reports(progress):
            pass
        return self.image


def default(photo: Tensor) -> NetworkConfig:
    return NetworkConfig(out_channels=len(photo))


def denoise(photo: Tensor, iterations: int = 1800, device: str = "auto") -> Restoration:
    """Take noise off, with the settings of the paper's denoising."""
    return Restoration(photo, Identity(), photo.shape[-2:], default(photo), Settings(iterations), device=device)


def dejpeg(photo: Tensor, iterations: int = 2400, device: str = "auto") -> Restoration:
    """Take JPEG's blocks off, with the narrow network of the paper's JPEG example."""
    network = replace(SNAIL, out_channels=len(photo))
    return Restoration(photo, Identity(), photo.shape[-2:], network, Settings(iterations), device=device)


def inpaint(photo: Tensor, known: Tensor, iterations: int = 6000, device: str = "auto") -> Restoration:
    """Fill in where `known`, (1, H, W), is 0, with the settings of the paper's text; known pixels are untouched."""
    settings = Settings(iterations)
    return Restoration(photo, Mask(known), photo.shape[-2:], default(photo), settings, known=known, device=device)


def upscale(photo: Tensor, by: int = 4, iterations: int | None = None, device: str = "auto") -> Restoration:
    """Enlarge `by` times each side, with the settings of the paper's super-resolution: (C, by·H, by·W)."""
    if by < 2:
        raise UserError(f"to enlarge {by} times changes nothing: give 2 or more")
    size = tuple(by * side for side in photo.shape[-2:])
    settings = Settings(iterations or 2000) if by <= 4 else Settings(iterations or 4000, sigma_p=1 / 20)
    return Restoration(photo, Decimation(by), size, default(photo), settings, device=device)
