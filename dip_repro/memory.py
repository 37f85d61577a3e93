"""How much memory a step of a fit takes, known before it starts."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from dip_repro.networks import Hourglass, count_parameters
from dip_repro.runtime import UserError, free_memory


def check(network: nn.Module, z: Tensor) -> None:
    """Say so before anything is computed where a step would not fit, with the size that would.

    Raises
    ------
    UserError : too little memory, or an image too small for the network.
    """
    if isinstance(network, Hourglass):
        network.check_size(*z.shape[-2:])
    needed, free = estimate(network, z)
    if needed <= free:
        return
    sides = z.shape[-2:]
    fitting = [int(side * 0.9 * math.sqrt(free / needed)) for side in sides]
    raise UserError(
        f"a step at {sides[0]}×{sides[1]} takes about {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free: "
        f"scale the picture to {fitting[0]}×{fitting[1]}, or use a narrower network"
    )


def room(network: nn.Module, z: Tensor, most: int) -> int:
    """Return how many fits like this one have room side by side, at least one and at most `most`."""
    if most == 1:
        return 1
    needed, free = estimate(network, z)
    return most if most * needed <= free else max(1, int(free / needed))


def estimate(network: nn.Module, z: Tensor) -> tuple[float, float]:
    """Return the bytes that a step takes, 0 where that is not known; and those that are free, else infinity."""
    try:
        needed = memory_needed(network, z)
    except Exception:  # noqa: BLE001 - a network of any kind, and an estimate decides nothing where it fails
        return 0, math.inf
    free = free_memory(z.device)
    return needed, math.inf if free is None else free


def memory_needed(network: nn.Module, z: Tensor) -> int:
    """Return about how many bytes a step takes: weights, Adam's state, and what is kept for the gradient.

    Counted on a copy without data, so nothing is computed. The factor for work space and the constant were measured
    on the CPU in float32, from 64² to 1024² (benchmarks/NOTES.md), so as not to be too low. Networks that cannot be
    copied, or that make tensors of their own on another device, raise errors of PyTorch's.
    """
    ghost, kept = copy.deepcopy(network).to("meta"), {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage()._cdata] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        ghost(z.to("meta"))
    activations = sum(x.untyped_storage().nbytes() for x in kept.values())
    return int(1.95 * activations) + 5 * 4 * count_parameters(network) + 150_000_000
