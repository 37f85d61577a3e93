"""Images as float32 tensors (C, H, W) in [0, 1]: bundled ones, the paper's, files; read and written in 8 bits."""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import importlib
import math
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from multiprocessing import TimeoutError
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image, ImageCms, ImageColor, ImageOps
from torch import Tensor
from torch.nn import functional as F

from dip_repro.runtime import DATA, UserError, written_whole

# In the scikit-image package itself: no network needed.
BUNDLED = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "page",
    "retina",
    "rocket",
    "text",
)
# In the libraries that this package and its extra "study" need.
BESIDE = {
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
    "portrait": lambda: Image.open(importlib.import_module("matplotlib.cbook").get_sample_data("grace_hopper.jpg")),
    "ascent": lambda: importlib.import_module("pywt.data").ascent(),
    "aero": lambda: importlib.import_module("pywt.data").aero(),
}
LARGEST = 2 * (Image.MAX_IMAGE_PIXELS or math.inf)  # pixels; Pillow refuses more
# What decoders raise for a damaged file; the classes of Pillow and tifffile are among the first two.
BROKEN = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, RuntimeError, AttributeError, ImportError),
    *(AssertionError, OverflowError, struct.error, zlib.error, ImageCms.PyCMSError),
)
PAINTED = 0.2  # how much a painted pixel may differ from the colour named, in each channel
REGISTRY = DATA / "registry.txt"
MIRROR = "DIP_REPRO_MIRROR"
PATIENCE = 120  # seconds for one download; the largest file has 1 MB
ADDRESSES = {  # the authors' public repositories, each at one commit
    "project-page": "https://raw.githubusercontent.com/DmitryUlyanov/dmitryulyanov.github.io/"
    "eb9ce4fae8917eabdd345b3244a3c53f44595ab8/assets/deep-image-prior",
    "repository": "https://raw.githubusercontent.com/DmitryUlyanov/deep-image-prior/"
    "042e0d4c1e93f4b1eb0932781de55b8cff5e0f40/data",
}


@functools.cache
def registry() -> dict[str, str]:
    """Return the SHA-256 of each of the paper's images, by name (project-page/… or repository/…)."""
    lines = REGISTRY.read_text().splitlines()
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}


def open_image(name: str | Path) -> Tensor:
    """Return the image called `name`, (C, H, W) in [0, 1], C = 1 or 3: a bundled one, one of the paper's, or a file.

    Raises
    ------
    UserError : no such name or file (it suggests the nearest name), or not a picture.
    """
    name = str(name)
    if name in BUNDLED:
        return as_image(getattr(skimage.data, name)())
    if name in BESIDE:
        try:
            return as_image(np.asarray(BESIDE[name]()))
        except ImportError as error:
            raise UserError(f"{name} comes with {error.name}: pip install 'dip_repro[study]'") from None
    if name in registry():
        return read(fetch(name))
    if os.path.lexists(name):
        return read(Path(name))
    near = difflib.get_close_matches(name, [*BUNDLED, *BESIDE, *registry()], n=1, cutoff=0.5)
    suggestion = f"did you mean {near[0]}?" if near else f"bundled images are {', '.join([*BUNDLED, *BESIDE])}"
    raise UserError(f"{name}: no file of this name, no bundled image and none of the paper's; {suggestion}")


def found(path: Path, kind: str) -> bool:
    """Return whether there is a "file" or a "folder" of this name.

    Raises
    ------
    UserError : it cannot be looked up: a folder that may not be entered, a name that is too long.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be looked up: {getattr(error, 'strerror', None) or error}") from None
    return stat.S_ISREG(mode) if kind == "file" else stat.S_ISDIR(mode)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a decoder raises within into a UserError that names the picture file `path`."""
    if not found(path, "file"):
        raise UserError(f"{path}: {'a folder, not a picture' if found(path, 'folder') else 'no file of this name'}")
    try:
        with warnings.catch_warnings(action="ignore"):  # they are about metadata
            yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: claims more than {LARGEST / 1e6:.0f} million pixels: save it smaller") from None
    except PermissionError:
        raise UserError(f"{path}: may not be read: change its rights") from None
    except BROKEN as error:
        why = "it is empty" if path.stat().st_size == 0 else next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path}: not a PNG, JPEG, WebP or TIFF picture, or a damaged one: {why}") from None


def read(path: Path) -> Tensor:
    """Return a picture file of 8 bits a value, (C, H, W) in [0, 1]: grey or RGB, upright, without transparency.

    `dip_repro.photo.files` reads more kinds of files, and keeps what else is in them.
    """
    with reading(path):
        with Image.open(path) as opened:
            opened.verify()  # PNG's checksums, which Pillow skips when it reads
        with Image.open(path) as opened:
            try:
                picture = ImageOps.exif_transpose(opened)
            except BROKEN:  # its EXIF, or the pixels, which come now
                picture = opened.copy()
        if picture.mode[0] in "IF":
            raise UserError("more than 8 bits a value: save it with 8")
        return as_image(np.asarray(picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")))


def as_image(pixels: np.ndarray) -> Tensor:
    """Return pixels (H, W) or (H, W, C) as a float32 tensor (C, H, W) in [0, 1].

    Integers are scaled: by 1/255 where they have 8 bits, else by 1/65535. Floating-point values stay as they are.
    """
    if pixels.dtype.kind in "iu":
        pixels = pixels / (255 if pixels.dtype.itemsize == 1 else 65535)
    if not np.isfinite(pixels).all():
        raise UserError("the image holds NaN or infinite values: inpaint fills them in where a mask marks them missing")
    if pixels.min() < 0 or pixels.max() > 1:
        raise UserError(f"pixel values run from {pixels.min():g} to {pixels.max():g}: scale them to [0, 1] first")
    channels_first = np.atleast_3d(pixels).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(channels_first, dtype=np.float32))


def to_8bit(image: Tensor) -> np.ndarray:
    """Return (C, H, W) in [0, 1] as uint8 (H, W) or (H, W, C), clipped and rounded."""
    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def save(image: Tensor, path: Path) -> None:
    """Write (C, H, W) as an 8-bit PNG, whole or not at all."""
    with written_whole(path) as partial:
        Image.fromarray(to_8bit(image)).save(partial, "png")


def fetch(name: str) -> Path:
    """Return the file of one of the paper's images: from the folder that `MIRROR` names, or else downloaded.

    Its SHA-256 is compared with the registry's.

    Raises
    ------
    UserError : not there, another SHA-256, not downloaded within `PATIENCE` seconds, no room for it; or a name that
        leads outside the folder.
    """
    source, _, file = name.partition("/")
    if source not in ADDRESSES or ".." in Path(file).parts:
        raise UserError(f"{name} leads outside the folder of images: correct or remove its line in {REGISTRY}")
    mirror = os.environ.get(MIRROR)
    if mirror:
        path = Path(mirror) / name
        if not path.is_file():
            raise UserError(f"{path} is missing: {MIRROR} names a folder without {name}; unset it to download")
        if hashlib.sha256(path.read_bytes()).hexdigest() != registry()[name]:
            raise UserError(f"{path} is not the paper's image: its SHA-256 differs from {REGISTRY.name}'s")
        return path
    import pooch  # not needed where a mirror is named

    store = pooch.create(
        pooch.os_cache("dip_repro"),
        "",
        registry={name: registry()[name]},
        urls={name: f"{ADDRESSES[source]}/{file}"},
        retry_if_failed=1,
    )
    try:
        with ThreadPool(1) as pool:  # it is not joined, as a slow server could keep it for hours
            return Path(pool.apply_async(store.fetch, (name,)).get(PATIENCE))
    except (OSError, ValueError, TimeoutError) as error:  # requests raises OSErrors, pooch ValueError for a wrong hash
        if isinstance(error, TimeoutError):
            reason = f"not whole after {PATIENCE} s"
        elif isinstance(error, ValueError):
            reason = "its SHA-256 is not the registry's"
        else:
            reason = getattr(error, "strerror", None) or type(error).__name__
        raise UserError(
            f"{name} could not be downloaded to {store.path} ({reason}): "
            f"connect to the network, or name a mirror folder in {MIRROR}"
        ) from error


def distance_to(image: Tensor, colour: str) -> Tensor:
    """Return how far each pixel of (C, H, W) is from a colour, (1, H, W): the largest difference of its channels."""
    return (image - torch.tensor(rgb(colour), dtype=torch.float32)[:, None, None] / 255).abs().amax(0, keepdim=True)


def is_black_or_white(colour: str) -> bool:
    """Return whether a colour, however it is written, is black or white."""
    return rgb(colour) in ((0, 0, 0), (255, 255, 255))


def rgb(colour: str) -> tuple[int, ...]:
    """Return a colour that is written as people write it, in 8 bits."""
    try:
        return ImageColor.getrgb(colour.strip())[:3]
    except (ValueError, IndexError):
        raise UserError(f"--missing {colour}: not a colour; write red, white, or #ff00ff") from None


def as_mask(image: Tensor, missing: str = "black") -> Tensor:
    """Return a mask (1, H, W), 1 = known, from a picture that shows missing pixels in the colour `missing`.

    "black" and "white" are for masks in black and white: missing is what is nearer to that colour than to the other.
    Another colour ("red", "#ff00ff") may be painted over a copy of the photo: missing is what is within `PAINTED` of
    it, and the pixels beside, where a brush mixes its colour with the photo.
    """
    distance = distance_to(image, missing)
    if is_black_or_white(missing):
        return (distance >= 0.5).float()
    return 1 - F.max_pool2d((distance < PAINTED).float(), 3, 1, 1)


def known_from_zeros(masked: Tensor) -> Tensor:
    """Return the mask (1, H, W) of a masked image whose missing pixels are 0 (reading 26).

    Known pixels that are black count as missing too.
    """
    return (masked > 0).any(0, keepdim=True).float()


def resize(image: Tensor, side: int) -> Tensor:
    """Return the central square of (C, H, W), scaled to `side` × `side`; see `at_size`."""
    least = min(image.shape[-2:])
    top, left = ((n - least) // 2 for n in image.shape[-2:])
    return at_size(image[:, top : top + least, left : left + least], (side, side))


def at_size(image: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return (C, H, W) at `size` = (H', W'), bicubic, with an antialiasing filter where it is scaled down."""
    return F.interpolate(image[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def resampled(image: Tensor, size: tuple[int, int], method: str) -> Tensor:
    """Return (C, H, W) at `size` = (H', W') by Pillow's "bicubic" or "lanczos" (a = 3), in 8 bits."""
    picture = Image.fromarray(to_8bit(image)).resize(size[::-1], Image.Resampling[method.upper()])
    return as_image(np.asarray(picture))


def crop_to_multiple(image: Tensor, of: int) -> Tensor:
    """Return the central part of (..., H, W) whose sides are the largest multiples of `of`."""
    if min(image.shape[-2:]) < of:
        raise UserError(f"the image is {image.shape[-2]}×{image.shape[-1]}: each side must be at least {of}")
    for axis in (-2, -1):
        left = image.shape[axis] % of
        image = image.narrow(axis, left // 2, image.shape[axis] - left)
    return image
