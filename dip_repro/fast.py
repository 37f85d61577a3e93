"""Speed that is not method: the convolution of an up-sampled map at a quarter of its cost, precision, compilation."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dip_repro.runtime import UserError, synchronise

PRECISIONS = ("float32", "tf32", "bfloat16")
SLOWER = 1.5  # a lower precision that takes so many times as long as float32 is not taken


# ---- The 3×3 convolution of a map that was up-sampled by 2 -----------------------------------------------------------
# Bilinear up-sampling by 2 puts zeros between the pixels and smooths with (1, 3, 3, 1)/4. Smoothing and convolution
# commute, so the convolution can come first, where three of four pixels are zeros: a transposed convolution. More than
# two thirds of the default network's products are in convolutions of this kind.


def knows(config, k_u: int) -> bool:
    """Return whether `upsample_join_convolve` is the same function as the plain way, for these readings."""
    readings = (config.upsample, config.align_corners, config.join)
    order = (config.upsample_at, config.skip_from)
    return k_u == 3 and readings == ("bilinear", False, "concat") and order == ("start", "input")


def pays(x: Tensor, size: torch.Size) -> bool:
    """Return whether it is faster for (N, C, h, w) up-sampled to `size`: on the CPU, where sizes are even."""
    return not x.is_cuda and size == (2 * x.shape[-2], 2 * x.shape[-1]) and min(size) > 2


def upsample_join_convolve(x: Tensor, skip: Tensor | None, norm: nn.Module, convolution: nn.Module) -> Tensor:
    """Return convolution(norm(cat[up(x), skip])), up to a constant of each filter; a third of the cost on the CPU.

    The batch norm acts as a scale of the weights. Its shift adds a constant to each filter's output, as the bias does,
    and the batch norm behind the convolution takes both away. Zero padding is not shifted, though: there the border
    gets the shift of the pixels within.
    """
    weight: Tensor = convolution.get_parameter("weight")
    mode, shifted = "reflect" if convolution.padding_mode == "reflect" else "constant", None
    if isinstance(norm, nn.BatchNorm2d):
        variance = variance_upsampled(x)
        if skip is not None:
            variance = torch.cat([variance, skip.var((0, 2, 3), correction=0)])
        plain, weight = weight, weight * (norm.weight * (variance + norm.eps).rsqrt())[:, None, None]
        if mode == "constant":
            mean = x.mean((0, 2, 3)) if skip is None else torch.cat([x.mean((0, 2, 3)), skip.mean((0, 2, 3))])
            shift = (plain * norm.bias[:, None, None] - weight * mean[:, None, None]).sum(1, keepdim=True)
            shifted = F.conv2d(torch.ones_like(x[:, :1]).repeat(1, 1, 2, 2), shift, padding=1)
    y = convolve_upsampled(x, weight[:, : x.shape[1]], mode)
    if skip is not None:
        y = y + F.conv2d(F.pad(skip, (1, 1, 1, 1), mode), weight[:, x.shape[1] :])
    return y if shifted is None else y + shifted


def up(x: Tensor) -> Tensor:
    """Bilinear up-sampling by 2, corners not aligned: (N, C, h, w) → (N, C, 2h, 2w)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def convolve_upsampled(x: Tensor, weight: Tensor, mode: str = "reflect") -> Tensor:
    """Return the convolution of up(x), padded by `mode`: (N, C, h, w), (K, C, 3, 3) → (N, K, 2h, 2w), h, w ≥ 2.

    The same function as the plain way, up to rounding.
    """
    between = F.conv_transpose2d(F.pad(x, (1, 1, 1, 1), "replicate"), weight.transpose(0, 1).flip(2, 3), stride=2)
    inner = F.conv2d(between[..., 2:-2, 2:-2], smoothing((1, 3, 3, 1), 4, like=between), groups=len(weight))
    # Up-sampling continues the map beyond its border by replication, the convolution by `mode`. So the outermost
    # rows and columns are done the plain way, from the two that they see.
    top = F.conv2d(F.pad(up(x[..., :2, :])[..., :2, :], (1, 1, 1, 0), mode), weight)
    bottom = F.conv2d(F.pad(up(x[..., -2:, :])[..., -2:, :], (1, 1, 0, 1), mode), weight)
    left = F.conv2d(F.pad(up(x[..., :2])[..., :2], (1, 0, 0, 0), mode), weight)
    right = F.conv2d(F.pad(up(x[..., -2:])[..., -2:], (0, 1, 0, 0), mode), weight)
    return torch.cat([top, torch.cat([left, inner, right], -1), bottom], -2)


def variance_upsampled(x: Tensor) -> Tensor:
    """Return each channel's variance of up(x), (C,), from the small map: the mean of squares is a quadratic form."""
    centred = x - x.mean((0, 2, 3), keepdim=True)  # up(x) has the mean of x
    smoothed = F.conv2d(F.pad(centred, (1, 1, 1, 1), "replicate"), smoothing((3, 10, 3), 16, like=x), groups=x.shape[1])
    return (centred * smoothed).mean((0, 2, 3))


def smoothing(taps: tuple[int, ...], total: int, like: Tensor) -> Tensor:
    """Return the separable kernel of `taps`/`total` for every channel of `like`."""
    kernel = torch.tensor(taps, dtype=like.dtype, device=like.device) / total
    return torch.outer(kernel, kernel).expand(like.shape[1], 1, -1, -1).contiguous()


# ---- Precision and compilation ---------------------------------------------------------------------------------------


def precision_that_pays(wanted: str, network: nn.Module, z: Tensor) -> str:
    """Return `wanted`, or "float32" where bfloat16 is much slower here: a CPU without instructions for it emulates it.

    Two steps of each are timed, and one warning says what was found.

    Raises
    ------
    UserError : not one of `PRECISIONS`, or TF32 away from NVIDIA's GPUs.
    """
    if wanted not in PRECISIONS:
        raise UserError(f"precision = {wanted!r} is not one of {', '.join(PRECISIONS)}")
    if wanted == "tf32" and z.device.type != "cuda":
        raise UserError("precision tf32 exists on NVIDIA's GPUs only: use float32 or bfloat16 here")
    if wanted != "bfloat16" or z.device.type != "cpu":
        return wanted
    took = {name: seconds_of_two_steps(evaluator(network, z, name), z) for name in ("float32", "bfloat16")}
    network.zero_grad(set_to_none=True)
    if took["bfloat16"] < SLOWER * took["float32"]:
        return wanted
    steps = " and ".join(f"{seconds / 2:.2f} s in {name}" for name, seconds in took.items())
    warnings.warn(f"a step takes {steps} on this processor: float32 is used", stacklevel=3)
    return "float32"


def seconds_of_two_steps(f: Callable[[Tensor], Tensor], z: Tensor) -> float:
    f(z).sum().backward()  # the first call sets things up
    start = time.perf_counter()
    for _ in range(2):
        f(z).sum().backward()
    synchronise(z.device)
    return time.perf_counter() - start


def evaluator(network: nn.Module, z: Tensor, precision: str, compiled: bool = False) -> Callable[[Tensor], Tensor]:
    """Return f_θ as the loop calls it, (1, C_z, H, W) → (1, C, H, W) in float32; convolutions are in `precision`.

    `compiled`: pointwise work is fused and, on a GPU, replayed as a CUDA graph; that takes about a minute first. Where
    it cannot be done, one warning says so, and the network is called as it is.
    """
    cuda = z.device.type == "cuda"
    # PyTorch's own default is TF32 for convolutions, so that float32 would not be float32.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
    if cuda:  # the layout that its tensor cores take
        nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)

    def calling(called: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def f(z: Tensor) -> Tensor:
            with torch.autocast(z.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                return called(z).float()

        return f

    if not compiled:
        return calling(network)
    f = calling(torch.compile(network, mode="reduce-overhead" if cuda else "default", dynamic=False))
    try:
        f(z).sum().backward()  # what stands in the way shows here, and not in the loop
    except (RuntimeError, AssertionError, OSError, ImportError) as error:  # no compiler, an old card, its own faults
        why = str(error).strip().splitlines()[0]
        warnings.warn(f"the network is not compiled, so the fit takes longer: {why}", stacklevel=3)
        return calling(network)
    finally:
        network.zero_grad(set_to_none=True)
    return f
