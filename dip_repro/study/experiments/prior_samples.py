"""Notebook `prior_samples`: what untrained networks draw."""

from __future__ import annotations

from dip_repro.config import NetworkConfig, ResNetConfig


def priors(width: int) -> dict[str, NetworkConfig | ResNetConfig]:
    """Return the networks whose untrained outputs are compared. They differ only in what their names say."""
    without = {scales: NetworkConfig.uniform(width, scales, skip=0) for scales in (1, 3, 5)}
    return {
        **{f"{scales} scales" if scales > 1 else "1 scale": network for scales, network in without.items()},
        "nearest": NetworkConfig.uniform(width, 5, skip=0, upsample="nearest"),
        "skips": NetworkConfig.uniform(width, 5),
        "U-Net": NetworkConfig.uniform(width, 5, skip=width),
        "ResNet": ResNetConfig(width=width),
    }
