"""Arrays in, arrays out: a picture comes back as it came, restored.

Each function takes a NumPy array of uint8, uint16 or floating point, a PIL image, a PyTorch tensor, or a `Picture` that
`open_picture` read, and returns the same: type, range, shape, and transparency where there is some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dip_repro import presets
from dip_repro.images import as_image, at_size
from dip_repro.photo import masks, restore
from dip_repro.photo.files import Picture
from dip_repro.runtime import UserError

Axis = int | Literal["auto"] | None
T = TypeVar("T", np.ndarray, Image.Image, Tensor, Picture)

PIL_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "F")


@dataclass(frozen=True)
class Form:
    """A picture as it is worked on, how an image of it becomes what came in, and by how much values grow then."""

    picture: Picture
    back: Callable[[Picture], object]
    scale: float = 1.0


def form_of(image, channel_axis: Axis = "auto", missing: bool = False, known: np.ndarray | None = None) -> Form:
    """Return the form of what came in.

    missing : whether it may hold NaN. known : (H, W) of bool, which pixels come back bit for bit; others may hold
    anything.

    Raises
    ------
    UserError : another type, shape or number of channels; NaN.
    """
    if isinstance(image, Picture):
        return Form(image, lambda picture: picture)
    if isinstance(image, Image.Image):
        return of_pil(image, missing, known)
    if isinstance(image, Tensor):
        axis = 0 if channel_axis == "auto" and image.ndim == 3 else channel_axis
        kind, device = image.dtype, image.device
        inner = of_array(numpy_of(image), axis, missing, known)
        return replace(inner, back=lambda picture: torch.as_tensor(inner.back(picture)).to(device, kind))
    if isinstance(image, np.ma.MaskedArray) and np.ma.is_masked(image):
        raise UserError("the array is masked: inpaint fills in what is masked")
    if isinstance(image, np.ndarray):
        return of_array(image, channel_axis, missing, known)
    raise UserError(f"a {type(image).__name__} is no picture: give a NumPy array, a PIL image or a tensor")


def numpy_of(image: Tensor) -> np.ndarray:
    """Return a tensor as an array; bfloat16, which NumPy lacks, as float32."""
    image = image.detach().cpu()
    return (image.float() if image.dtype == torch.bfloat16 else image).numpy()


def of_array(image: np.ndarray, channel_axis: Axis, missing: bool, known: np.ndarray | None) -> Form:
    axis = -1 if channel_axis == "auto" and image.ndim == 3 else None if channel_axis == "auto" else channel_axis
    if image.ndim != (2 if axis is None else 3) or 0 in image.shape:
        raise UserError(f"an array of shape {image.shape}: give (H, W), or (H, W, C) with channel_axis=-1")
    if axis is not None and not -3 <= axis <= 2:
        raise UserError(f"channel_axis = {axis}: an array of three axes has -3 to 2")
    if image.dtype.kind != "f" and image.dtype.str[1:] not in ("u1", "u2"):
        raise UserError(f"an array of {image.dtype}: give uint8, uint16 or floating point")
    pixels = image if axis is None else np.moveaxis(image, axis, -1)
    if pixels.ndim == 3 and pixels.shape[-1] not in (1, 2, 3, 4):
        raise UserError(f"{pixels.shape[-1]} channels along axis {axis}: give 1 to 4, or another channel_axis")
    low, high, scaled = 0.0, 1.0, pixels
    finite = (
        np.isfinite(pixels)
        if known is None
        else np.isfinite(pixels) & np.expand_dims(known, axis=tuple(range(2, pixels.ndim)))
    )
    if pixels.dtype.kind == "f":
        if not (finite.all() or missing):
            raise UserError("the image holds NaN or infinite values: inpaint fills them in")
        if not finite.any():
            raise UserError("the image holds no finite value")
        wide = pixels.astype(np.float64)
        low, high = min(0.0, wide[finite].min()), max(1.0, wide[finite].max())  # other ranges come back as they came
        scaled = ((np.where(finite, wide, low) - low) / (high - low)).clip(0, 1)
    values = as_image(scaled.astype(scaled.dtype.newbyteorder("=")))
    values[:, ~torch.from_numpy(np.atleast_3d(finite).all(-1))] = torch.nan
    alpha = values[-1:] if len(values) in (2, 4) else None
    bits = {"u": 8 * image.dtype.itemsize, "f": 32}[image.dtype.kind]
    scale = 2.0**bits - 1 if bits < 32 else high - low

    def back(picture: Picture) -> np.ndarray:
        parts = [picture.pixels] if alpha is None else [picture.pixels, opaque(picture)]
        restored = torch.cat(parts).clamp(0, 1).permute(1, 2, 0).numpy().astype(np.float64)
        restored = (restored * scale).round() if bits < 32 else restored * scale + low
        restored = restored.astype(image.dtype).reshape(*restored.shape[:2], *pixels.shape[2:])
        if known is not None:
            restored[known] = pixels[known]
        return restored if axis is None else np.moveaxis(restored, -1, axis)

    return Form(Picture(values if alpha is None else values[:-1], alpha, bits), back, scale)


def of_pil(image: Image.Image, missing: bool, known: np.ndarray | None) -> Form:
    """Return the form of a PIL image; of a palette it comes back as RGB or RGBA, of two values as grey."""
    mode = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "RGBX": "RGB"}.get(image.mode, image.mode)
    if image.has_transparency_data:
        mode = "LA" if mode in ("L", "LA") else "RGBA"
    if mode not in PIL_MODES:
        raise UserError(f"a PIL image of mode {mode}: convert it to L, RGB or RGBA")
    converted = image if image.mode == mode else image.convert(mode)
    inner = of_array(np.asarray(converted), None if mode in ("L", "I;16", "F") else -1, missing, known)

    def back(picture: Picture) -> Image.Image:
        restored = Image.fromarray(np.asarray(inner.back(picture)))
        restored.info = {name: x for name, x in image.info.items() if name != "transparency"}
        return restored

    return replace(inner, back=back)


def opaque(picture: Picture) -> Tensor:
    """Return the alpha, (1, H, W), where nothing is transparent too."""
    return torch.ones_like(picture.pixels[:1]) if picture.alpha is None else picture.alpha


@dataclass
class Work:
    """A restoration, and the form in which what it makes is given back."""

    run: restore.Restoration
    form: Form

    @property
    def image(self):
        """The result so far."""
        picture = self.form.picture
        alpha = None if picture.alpha is None else at_size(picture.alpha, self.run.size)
        return self.form.back(replace(picture, pixels=self.run.image, alpha=alpha))

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation between the runs so far, in the image's values; (H, W), or (H, W, 3) of colours."""
        spread = self.run.spread.permute(1, 2, 0).numpy() * np.float32(self.form.scale)
        return spread[..., 0] if spread.shape[-1] == 1 else spread


def finished(begin: Callable[..., Work], progress: bool, **given):
    """Return what a restoration, begun with these arguments, makes in the end."""
    work = begin(**given)
    work.run.done(progress)
    return work.image


def preset(task: str, setting: str, picture: Picture, iterations: int | None) -> presets.Preset:
    found = presets.preset(task, setting, len(picture.pixels))
    return found if iterations is None else found.of(iterations)


def denoising(image, *, iterations=None, setting="recommended", channel_axis: Axis = "auto", **where) -> Work:
    form = form_of(image, channel_axis)
    pixels = form.picture.pixels
    task = presets.denoising(pixels.shape[-2:], where.get("tile", restore.TILE))
    run = restore.denoise(pixels, preset(task, setting, form.picture, iterations), **where)
    return Work(run, form)


def denoise(
    image: T,
    *,
    iterations: int | None = None,
    setting: str = "recommended",
    seed: int = 0,
    runs: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    tile: int = restore.TILE,
    progress: bool = True,
    channel_axis: Axis = "auto",
) -> T:
    """Remove noise from a picture.

    The fit is stopped by pixels that it does not see, so `iterations` is the most that it does.

    Parameters
    ----------
    image : (H, W) or (H, W, C) array of uint8, uint16 or float; PIL image; (H, W) or (C, H, W) tensor; or `Picture`
        1 or 3 channels, and one more for the transparency, which is left as it is. Floating-point values that are all
        in [0, 1] are taken as such; others keep their own range.
    iterations : int, optional
        How many iterations at most; by default those of the setting.
    setting : {"recommended", "paper"}
        The paper's takes about five times as long, and is a little better on noisy photos.
    seed : int
        Of the random numbers: another one gives another, similar result.
    runs : int, optional
        How many fits, from `seed`, `seed` + 1, …; the result is their mean, which is better than one of them. They go
        on side by side: by default as many as PyTorch uses threads on the CPU, at most 4, and 1 on other devices.
    device : str or torch.device, optional
        Where to compute; by default a CUDA card where there is one, else the CPU.
    precision : {"float32", "auto", "bfloat16", "tf32"}
        The lower ones are faster where the device supports them.
    tile : int
        A larger result is computed in overlapping tiles of this side, in pixels.
    progress : bool
        Whether a bar is shown.
    channel_axis : int or None, optional
        Which axis holds the channels, as in scikit-image; None means grey. By default the last one of an array, and the
        first one of a tensor.

    Returns
    -------
    restored : of the type, range and shape of `image`

    Raises
    ------
    UserError
        What was given is no picture, holds NaN, or needs more memory than there is.

    Examples
    --------
    >>> import numpy as np
    >>> from skimage.data import camera
    >>> from dip_repro import denoise
    >>> noisy = camera()[::16, ::16]
    >>> restored = denoise(noisy, iterations=2, progress=False)  # 2 for the example; leave it out for a result
    >>> restored.dtype, restored.shape
    (dtype('uint8'), (32, 32))
    """
    return finished(denoising, **locals())


def unblocking(image, *, iterations=None, setting="recommended", channel_axis: Axis = "auto", **where) -> Work:
    form = form_of(image, channel_axis)
    run = restore.dejpeg(form.picture.pixels, preset("jpeg", setting, form.picture, iterations), **where)
    return Work(run, form)


def remove_jpeg(
    image: T,
    *,
    iterations: int | None = None,
    setting: str = "recommended",
    seed: int = 0,
    runs: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    tile: int = restore.TILE,
    progress: bool = True,
    channel_axis: Axis = "auto",
) -> T:
    """Remove the block artefacts of JPEG from a picture.

    Parameters
    ----------
    image, iterations, setting, seed, runs, device, precision, tile, progress, channel_axis
        As in `denoise`; all the iterations are done.

    Returns
    -------
    restored : of the type, range and shape of `image`

    Raises
    ------
    UserError
        As in `denoise`.

    Examples
    --------
    >>> from skimage.data import camera
    >>> from dip_repro import remove_jpeg
    >>> remove_jpeg(camera()[::16, ::16], iterations=2, progress=False).shape
    (32, 32)
    """
    return finished(unblocking, **locals())


def upscaling(image, by=4, *, iterations=None, setting="recommended", channel_axis: Axis = "auto", **where) -> Work:
    form = form_of(image, channel_axis)
    how = preset(presets.enlarging(by), setting, form.picture, iterations)
    return Work(restore.upscale(form.picture.pixels, by, how, **where), form)


def upscale(
    image: T,
    by: int = 4,
    *,
    iterations: int | None = None,
    setting: str = "recommended",
    seed: int = 0,
    runs: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    tile: int = restore.TILE,
    progress: bool = True,
    channel_axis: Axis = "auto",
) -> T:
    """Enlarge a picture.

    Parameters
    ----------
    by : int
        How many times longer each side becomes, 2 or more.
    image, iterations, setting, seed, runs, device, precision, tile, progress, channel_axis
        As in `denoise`; all the iterations are done.

    Returns
    -------
    enlarged : (by·H, by·W) or (by·H, by·W, C), of the type and range of `image`

    Raises
    ------
    UserError
        As in `denoise`.

    Examples
    --------
    >>> from skimage.data import camera
    >>> from dip_repro import upscale
    >>> upscale(camera()[::16, ::16], 2, iterations=2, progress=False).shape
    (64, 64)
    """
    return finished(upscaling, **locals())


def filling(
    image, known=None, *, missing=None, iterations=None, setting="recommended", channel_axis: Axis = "auto", **where
) -> Work:
    if known is not None and missing is not None:
        raise UserError("both known and missing are given: give one of them")
    if isinstance(image, np.ma.MaskedArray):
        if known is None and missing is None:
            missing = np.ma.getmaskarray(image)
            missing = missing if missing.ndim == 2 else missing.any(0 if channel_axis == 0 else -1)
        image = image.filled(0)
    form = form_of(image, channel_axis, missing=True)
    size = tuple(form.picture.pixels.shape[-2:])
    if missing is not None:
        known = 1 - mask_of(missing, size, "missing")
    elif known is not None:
        known = mask_of(known, size, "known")
    picture, known = masks.with_holes(form.picture, known)
    form = form_of(image, channel_axis, missing=True, known=known[0].numpy() > 0)  # by the range of what is known
    picture = replace(picture, pixels=torch.where(known > 0, form.picture.pixels, 0))
    run = restore.inpaint(picture.pixels, known, preset("inpainting", setting, picture, iterations), **where)
    return Work(run, replace(form, picture=picture))


def mask_of(mask, size: tuple[int, ...], name: str) -> Tensor:
    """Return a mask (H, W) of bool, 0 and 1, or 0 and 255, as (1, H, W) of 0 and 1."""
    values = numpy_of(mask) if isinstance(mask, Tensor) else np.asarray(mask)
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[-1]):
        values = values.squeeze(0 if values.shape[0] == 1 else -1)
    if values.shape != size:
        raise UserError(f"{name} is of shape {values.shape} and the image of {size}: give them the same size")
    levels = set(np.unique(values).tolist())
    if not (levels <= {0, 1} or levels <= {0, 255}):
        raise UserError(f"{name} holds other values than 0 and 1, or 0 and 255: threshold it first")
    return torch.from_numpy((values != 0).astype(np.float32))[None]


def inpaint(
    image: T,
    known=None,
    *,
    missing=None,
    iterations: int | None = None,
    setting: str = "recommended",
    seed: int = 0,
    runs: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "float32",
    tile: int = restore.TILE,
    progress: bool = True,
    channel_axis: Axis = "auto",
) -> T:
    """Fill in the missing pixels of a picture; the others stay as they are.

    Parameters
    ----------
    known : (H, W) array, PIL image or tensor, optional
        True, 1 or 255 where the picture is known, and 0 where it is missing, as in the paper and on the command line.
    missing : (H, W) array, PIL image or tensor, optional
        The other way round, as in scikit-image: True, 1 or 255 where it is missing. Without either, missing is what is
        NaN, masked (`numpy.ma`) or transparent.
    image, iterations, setting, seed, runs, device, precision, tile, progress, channel_axis
        As in `denoise`; all the iterations are done. Missing pixels may hold anything.

    Returns
    -------
    filled : of the type, range and shape of `image`; what is filled in is not transparent

    Raises
    ------
    UserError
        As in `denoise`; a mask of another size or of other values; nothing is missing, or everything.

    Examples
    --------
    >>> import numpy as np
    >>> from skimage.data import camera
    >>> from dip_repro import inpaint
    >>> image, missing = camera()[::16, ::16], np.zeros((32, 32), bool)
    >>> missing[10:14] = True
    >>> filled = inpaint(image, missing=missing, iterations=2, progress=False)
    >>> bool((filled == image)[~missing].all())
    True
    """
    return finished(filling, **locals())


STARTED = {denoise: denoising, remove_jpeg: unblocking, upscale: upscaling, inpaint: filling}


class Watched(Iterator[tuple[int, T]]):
    """What `watch` returns: iterations and pictures, and how the runs differ."""

    def __init__(self, work: Work, progress: bool):
        self.work, self.reports = work, work.run.reports(progress)

    def __next__(self) -> tuple[int, T]:
        iteration = next(self.reports).iteration
        return iteration, self.work.image

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation between the runs so far, in the image's values.

        (H, W) or (H, W, 3), of float32. A picture of where the result is uncertain; what all runs have wrong alike, it
        does not show. UserError where there is one run.
        """
        return self.work.spread


def watch(function: Callable, image: T, *arguments, progress: bool = False, **options) -> Watched[T]:
    """Run `denoise`, `remove_jpeg`, `upscale` or `inpaint`, and yield the picture so far, again and again.

    Leave the loop to end early. The last picture is what the function returns.

    Parameters
    ----------
    function : one of the four
    image, *arguments, **options
        What it is given.

    Returns
    -------
    watched : iterator of (iteration, restored)
        Every ten iterations or so, an int and what the function returns; in tiles, the iteration is of a current tile.
        `watched.spread` is the standard deviation between the runs.

    Examples
    --------
    >>> from skimage.data import camera
    >>> from dip_repro import denoise, watch
    >>> for iteration, restored in watch(denoise, camera()[::16, ::16], iterations=30):
    ...     print(iteration, restored.shape)
    10 (32, 32)
    20 (32, 32)
    30 (32, 32)
    >>> watched = watch(denoise, camera()[::16, ::16], iterations=2, runs=2)
    >>> *_, (iteration, restored) = watched
    >>> restored.shape, watched.spread.shape
    ((32, 32), (32, 32))
    """
    if function not in STARTED:
        raise UserError(
            f"{getattr(function, '__name__', function)} cannot be watched: {', '.join(f.__name__ for f in STARTED)} can"
        )
    return Watched(STARTED[function](image, *arguments, **options), progress)
