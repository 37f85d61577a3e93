"""Speed that is not method: the convolution of an up-sampled map at a quarter of its cost, precision, compilation."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dip_repro import runtime
from dip_repro.config import NetworkConfig
from dip_repro.runtime import UserError

PRECISIONS = ("auto", "float32", "tf32", "bfloat16")
COMPILED_ON = ("cuda",)
QUARTER_FROM = 2**20  # elements of an up-sampled map; for smaller ones the plain path is faster
WIDE = 64  # filters; in a narrower network memory decides the time of a step, not products


# ---- The 3×3 convolution of a map that was up-sampled by 2 -----------------------------------------------------------
# Bilinear up-sampling by 2 puts zeros between the pixels and smooths with (1, 3, 3, 1)/4. Smoothing and convolution
# commute, so the convolution can come first, where three of four pixels are zeros: a transposed convolution. More than
# two thirds of the default network's products are in convolutions of this kind.


def convolves_before_upsampling(config: NetworkConfig, k_u: int) -> bool:
    """Return whether `upsample_join_convolve` computes the block u_i of these readings."""
    readings = (config.upsample, config.align_corners, config.join)
    order = (config.upsample_at, config.skip_from)
    return k_u == 3 and readings == ("bilinear", False, "concat") and order == ("start", "input")


def quarter_is_faster(x: Tensor, size: torch.Size) -> bool:
    """Return whether the quarter-cost path is the faster one for (N, C, h, w) up-sampled to `size`, (H, W).

    A rule by shape and processor, and no measurement, so that the same machine gives the same bits: sides must double,
    and the map must be large. On a GPU, and for bfloat16 on a CPU with AMX, products cost so little that the plain
    path is faster (benchmarks/NOTES.md).
    """
    if x.is_cuda or size != (2 * x.shape[-2], 2 * x.shape[-1]) or min(size) <= 2 or 4 * x.numel() < QUARTER_FROM:
        return False
    return not (torch.is_autocast_enabled("cpu") and has_amx())


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

    The same function as PyTorch's own convolution, up to rounding.
    """
    x, *edges = Edges.apply(x)
    flipped = weight.transpose(0, 1).flip(2, 3).contiguous(memory_format=layout(x))
    between = F.conv_transpose2d(F.pad(x, (1, 1, 1, 1), "replicate"), flipped, stride=2)
    whole = F.conv2d(between, smoothing((1, 3, 3, 1), 4, like=between), groups=len(weight))
    # Up-sampling continues the map beyond its border by replication, the convolution by `mode`. So the outermost
    # rows and columns are computed by the usual convolution, from the two that they see.
    top, bottom, left, right = (up(edge) for edge in edges)
    top = F.conv2d(F.pad(top[..., :2, :], (1, 1, 1, 0), mode), weight)
    bottom = F.conv2d(F.pad(bottom[..., -2:, :], (1, 1, 0, 1), mode), weight)
    left = F.conv2d(F.pad(left[..., :2], (1, 0, 0, 0), mode), weight)
    right = F.conv2d(F.pad(right[..., -2:], (0, 1, 0, 0), mode), weight)
    return Framed.apply(whole, top, bottom, left, right)


class Edges(torch.autograd.Function):
    """(N, C, h, w) → itself, its first two and its last two rows, its first two and its last two columns.

    The gradient is added up in place. Autograd would make a map of zeros for each edge, in another layout.
    """

    PARTS = ((..., slice(2), slice(None)), (..., slice(-2, None), slice(None)), (..., slice(2)), (..., slice(-2, None)))

    @staticmethod
    def forward(ctx, x: Tensor) -> tuple[Tensor, ...]:
        return x.detach(), *(x[part].clone() for part in Edges.PARTS)

    @staticmethod
    def backward(ctx, gradient: Tensor, *edges: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=layout(gradient))
        for part, edge in zip(Edges.PARTS, edges, strict=True):
            gradient[part] += edge
        return gradient


class Framed(torch.autograd.Function):
    """(N, K, H + 2, W + 2) without its border, and with the first and last row, then column, that are given."""

    INNER = (..., slice(1, -1), slice(1, -1))
    PARTS = (
        *((..., slice(1), slice(None)), (..., slice(-1, None), slice(None))),
        *((..., slice(1, -1), slice(1)), (..., slice(1, -1), slice(-1, None))),
    )

    @staticmethod
    def forward(ctx, whole: Tensor, *lines: Tensor) -> Tensor:
        framed = whole[Framed.INNER].clone(memory_format=layout(whole))
        for part, line in zip(Framed.PARTS, lines, strict=True):
            framed[part] = line
        return framed

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, ...]:
        whole = F.pad(gradient[Framed.INNER], (2, 2, 2, 2))
        return whole, *(gradient[part] for part in Framed.PARTS)


def variance_upsampled(x: Tensor) -> Tensor:
    """Return each channel's variance of up(x), (C,), from the small map: the mean of squares is a quadratic form."""
    centred = x - x.mean((0, 2, 3), keepdim=True)  # up(x) has the mean of x
    smoothed = F.conv2d(F.pad(centred, (1, 1, 1, 1), "replicate"), smoothing((3, 10, 3), 16, like=x), groups=x.shape[1])
    return GradientInLayout.apply(centred * smoothed).mean((0, 2, 3))


def smoothing(taps: tuple[int, ...], total: int, like: Tensor) -> Tensor:
    """Return the separable kernel of `taps`/`total` for every channel of `like`."""
    kernel = torch.tensor(taps, dtype=like.dtype, device=like.device) / total
    return torch.outer(kernel, kernel).expand(like.shape[1], 1, -1, -1).contiguous()


# ---- Layout ----------------------------------------------------------------------------------------------------------
# Maps and weights have one layout in memory, forward and backward. Mixed layouts cost more than products.


def layout(x: Tensor) -> torch.memory_format:
    """Return the layout that is fast for a map on the device of `x`: channels last, but not on a CPU without AVX-512.

    There oneDNN has no fast gradient by the weights with the channels last (benchmarks/NOTES.md).
    """
    return torch.channels_last if x.is_cuda or torch.cpu._is_avx512_supported() else torch.contiguous_format


class GradientInLayout(torch.autograd.Function):
    """x itself; its gradient gets the layout of the maps. That of a concatenation is a view with gaps."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.detach()  # `view_as` would change the strides

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient.contiguous(memory_format=layout(gradient))


class Pointwise(nn.Conv2d):
    """A 1×1 convolution; on a CPU with the channels last as one matrix product, which needs no copy."""

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or layout(x) != torch.channels_last:
            return super().forward(x)
        return F.linear(x.permute(0, 2, 3, 1), self.weight[:, :, 0, 0], self.bias).permute(0, 3, 1, 2)


# ---- Precision and compilation ---------------------------------------------------------------------------------------


@functools.cache
def has_amx() -> bool:
    """Return whether this CPU has AMX, matrix units for bfloat16."""
    return torch.cpu._is_amx_tile_supported()


def bfloat16_is_faster(device: torch.device) -> bool:
    """Return whether `device` multiplies bfloat16 faster than float32.

    CPUs do with AMX. AVX512-BF16 alone doubles the rate on AMD's, and halves it on Intel's (benchmarks/NOTES.md).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    return has_amx() or (torch.cpu._is_avx512_bf16_supported() and runtime.vendor() == "AuthenticAMD")


def choose_precision(wanted: str, network: nn.Module, device: torch.device) -> str:
    """Return the precision of the convolutions: `wanted`, or what "auto" stands for here.

    "auto" is bfloat16 where the processor multiplies it faster and the network is wide enough to gain, else float32. A
    rule and no measurement, so that the same machine gives the same bits. A CPU without instructions for bfloat16
    would emulate it: it takes float32, and a warning says so.

    Raises
    ------
    UserError : not one of `PRECISIONS`, or TF32 away from NVIDIA's GPUs.
    """
    if wanted not in PRECISIONS:
        raise UserError(f"precision = {wanted!r} is not one of {', '.join(PRECISIONS)}")
    if wanted == "tf32" and device.type != "cuda":
        raise UserError("precision tf32 exists on NVIDIA's GPUs only: use float32 or bfloat16 here")
    if wanted == "auto":
        widest = max((m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)), default=0)
        return "bfloat16" if widest >= WIDE and bfloat16_is_faster(device) else "float32"
    if wanted == "bfloat16" and device.type == "cpu" and not (has_amx() or torch.cpu._is_avx512_bf16_supported()):
        warnings.warn("this processor has no instructions for bfloat16: float32 is used", stacklevel=3)
        return "float32"
    return wanted


@contextlib.contextmanager
def products(precision: str, device: torch.device) -> Iterator[None]:
    """Within it, a GPU multiplies float32 as `precision` says; PyTorch's flags are given back at the end.

    PyTorch's own default is TF32 for convolutions, so that float32 would not be float32.
    """
    if device.type != "cuda":
        yield
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = precision != "float32"
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


def evaluator(network: nn.Module, z: Tensor, precision: str, compiled: bool = False) -> Callable[[Tensor], Tensor]:
    """Return f_θ as the loop calls it, (1, C_z, H, W) → (1, C, H, W) in float32; convolutions are in `precision`.

    `compiled`: on a GPU, pointwise work is fused and replayed as a CUDA graph; that takes about a minute first. On a
    CPU it takes longer than it saves. Where it cannot be done, one warning says so, and the network is called as it is.
    """

    def calling(called: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def f(z: Tensor) -> Tensor:
            with torch.autocast(z.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                return called(z).float()

        return f

    if not compiled:
        return calling(network)
    if z.device.type not in COMPILED_ON:
        warnings.warn("the network is not compiled: that helps on a GPU only", stacklevel=3)
        return calling(network)
    f = calling(torch.compile(network, mode="reduce-overhead", dynamic=False))
    try:
        f(z).sum().backward()  # what stands in the way shows here, and not in the loop
    except (RuntimeError, AssertionError, OSError, ImportError) as error:  # no compiler, an old card, its own faults
        why = str(error).strip().splitlines()[0]
        warnings.warn(f"the network is not compiled, so the fit takes longer: {why}", stacklevel=3)
        return calling(network)
    finally:
        network.zero_grad(set_to_none=True)
    return f
