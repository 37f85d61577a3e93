"""Where images come from (bundled, the paper's, the user's), as float32 tensors (C, H, W) in [0, 1]."""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from dip_repro.runtime import ROOT, UserError, written_whole

# In the scikit-image package itself: no network needed.
BUNDLED = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "moon",
    "page",
    "retina",
    "rocket",
    "text",
)
REGISTRY = ROOT / "data" / "registry.txt"
MIRROR = "DIP_REPRO_MIRROR"
ADDRESSES = {  # the authors' public repositories, each at one commit
    "project-page": "https://raw.githubusercontent.com/DmitryUlyanov/dmitryulyanov.github.io/"
    "eb9ce4fae8917eabdd345b3244a3c53f44595ab8/assets/deep-image-prior",
    "repository": "https://raw.githubusercontent.com/DmitryUlyanov/deep-image-prior/"
    "042e0d4c1e93f4b1eb0932781de55b8cff5e0f40/data",
}


@functools.cache
def registry() -> dict[str, str]:
    """Return the SHA-256 of each of the paper's images, by name (project-page/… or repository/…)."""
    return dict(reversed(line.split(maxsplit=1)) for line in REGISTRY.read_text().splitlines())


def open_image(name: str | Path) -> Tensor:
    """Return the image called `name`: a bundled one, one of the paper's, or a file, (C, H, W) in [0, 1], C = 1 or 3.

    Raises
    ------
    UserError : no such name or file (the nearest name is suggested), or not a picture.
    """
    name = str(name)
    if name in BUNDLED:
        return as_tensor(np.asarray(getattr(skimage.data, name)()))
    if name in registry():
        return read(fetch(name))
    if Path(name).exists():
        return read(Path(name))
    near = difflib.get_close_matches(name, [*BUNDLED, *registry()], n=1, cutoff=0.5)
    suggestion = f"did you mean {near[0]}?" if near else f"bundled images are {', '.join(BUNDLED)}"
    raise UserError(f"{name}: no file of this name, no bundled image and none of the paper's; {suggestion}")


def fetch(name: str) -> Path:
    """Return the file of one of the paper's images: from the mirror folder where one is named, else downloaded.

    Either way its SHA-256 is the registry's.
    """
    mirror = os.environ.get(MIRROR)
    if mirror:
        path = Path(mirror) / name
        if not path.is_file():
            raise UserError(f"{path} is missing: {MIRROR} names a folder without {name}; unset it to download")
        if hashlib.sha256(path.read_bytes()).hexdigest() != registry()[name]:
            raise UserError(f"{path} is not the paper's image: its SHA-256 differs from {REGISTRY.name}'s")
        return path
    import pooch  # not needed where a mirror is named

    source, _, file = name.partition("/")
    store = pooch.create(
        pooch.os_cache("dip_repro"),
        "",
        registry={name: registry()[name]},
        urls={name: f"{ADDRESSES[source]}/{file}"},
        retry_if_failed=1,
    )
    try:
        return Path(store.fetch(name))
    except (OSError, ValueError) as error:  # no network (requests' errors are OSErrors), a full disk, a wrong hash
        reason = "its SHA-256 is not the registry's" if isinstance(error, ValueError) else type(error).__name__
        raise UserError(
            f"{name} could not be downloaded ({reason}): connect to the network, or name a mirror folder in {MIRROR}"
        ) from error


def read(path: Path) -> Tensor:
    """Return a PNG, JPEG or TIFF file as (C, H, W): grey or RGB, EXIF rotation applied, alpha dropped.

    8 and 16 bits are scaled to [0, 1]; floating-point TIFF is taken as it is.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile  # Pillow reads no 16-bit colour

        try:
            return as_tensor(tifffile.imread(path))
        except (tifffile.TiffFileError, ValueError) as error:
            raise UserError(f"{path}: not a TIFF picture ({error})") from None
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            if not picture.mode.startswith(("I", "L", "1", "F")) or picture.mode == "LA":
                picture = picture.convert("L" if picture.mode == "LA" else "RGB")
            elif picture.mode == "1":
                picture = picture.convert("L")
            return as_tensor(np.asarray(picture))
    except (UnidentifiedImageError, OSError) as error:
        why = "it is empty" if path.stat().st_size == 0 else str(error).splitlines()[0]
        raise UserError(f"{path}: not a PNG, JPEG or TIFF picture: {why}") from None


def as_tensor(pixels: np.ndarray) -> Tensor:
    """Return (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) pixels as float32 (1 or 3, H, W) in [0, 1]."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 2, 3, 4):
        raise UserError(f"pixels of shape {pixels.shape}: an image is (H, W) or (H, W, 3)")
    if pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1]
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    if np.issubdtype(pixels.dtype, np.integer):
        # Pillow hands 16-bit grey over as 32-bit integers.
        pixels = pixels / (255 if pixels.dtype == np.uint8 else 65535)
    if not np.isfinite(pixels).all():
        raise UserError("the image holds NaN or infinite values: repair them, or mark them missing in a mask")
    if pixels.min() < 0 or pixels.max() > 1:
        raise UserError(f"pixel values run from {pixels.min():g} to {pixels.max():g}: scale them to [0, 1] first")
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32))


def as_mask(image: Tensor) -> Tensor:
    """Return a mask (1, H, W), 1 = known, from a picture whose white (above one half) marks the known pixels."""
    return (image.mean(0, keepdim=True) > 0.5).float()


def known_from_zeros(masked: Tensor) -> Tensor:
    """Return the mask (1, H, W) of a masked image whose missing pixels are 0 (reading 26).

    Known pixels that are truly black cannot be told from missing ones.
    """
    return (masked > 0).any(0, keepdim=True).float()


def resize(image: Tensor, side: int) -> Tensor:
    """Return the central square of (C, H, W), scaled down to `side` × `side` with an antialiasing filter."""
    square = min(image.shape[-2:])
    top, left = ((n - square) // 2 for n in image.shape[-2:])
    square = image[:, top : top + square, left : left + square]
    scaled = F.interpolate(square[None], (side, side), mode="bicubic", antialias=True, align_corners=False)[0]
    return scaled.clamp(0, 1)


def crop_to_multiple(image: Tensor, of: int) -> Tensor:
    """Return the central part of (..., H, W) whose sides are the largest multiples of `of`."""
    if min(image.shape[-2:]) < of:
        raise UserError(f"the image is {image.shape[-2]}×{image.shape[-1]}: each side must be at least {of}")
    for axis in (-2, -1):
        left = image.shape[axis] % of
        image = image.narrow(axis, left // 2, image.shape[axis] - left)
    return image


def to_8bit(image: Tensor) -> np.ndarray:
    """Return (C, H, W) in [0, 1] as uint8 (H, W) or (H, W, 3), clipped and rounded."""
    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def save(image: Tensor, path: Path) -> None:
    """Write (C, H, W) as an 8-bit PNG, whole or not at all."""
    with written_whole(path) as partial:
        Image.fromarray(to_8bit(image)).save(partial, "png")
