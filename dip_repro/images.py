"""Where images come from (bundled, the paper's, the user's), as float32 tensors (C, H, W) in [0, 1]."""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
from multiprocessing import TimeoutError
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import ImageColor
from torch import Tensor
from torch.nn import functional as F

from dip_repro.pictures import Picture, as_picture, read
from dip_repro.runtime import DATA, UserError

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
PAINTED = 0.2  # how far a painted pixel may be from the colour named, in each channel
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
    """Return the pixels of the image called `name`, (C, H, W) in [0, 1], C = 1 or 3; see `open_picture`."""
    return open_picture(name).pixels


def open_picture(name: str | Path) -> Picture:
    """Return the image called `name`: a bundled one, one of the paper's, or a file.

    Raises
    ------
    UserError : no such name or file (the nearest name is suggested), or not a picture.
    """
    name = str(name)
    if name in BUNDLED:
        return as_picture(np.asarray(getattr(skimage.data, name)()))
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

    Raises
    ------
    UserError : not there, not the registry's, not downloaded within `PATIENCE` seconds, no room for it; or a name that
        leads outside the folder.
    """
    source, _, file = name.partition("/")
    if source not in ADDRESSES or ".." in Path(file).parts:
        raise UserError(f"{name} leads outside the folder of images: mend or remove its line in {REGISTRY}")
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
        with ThreadPool(1) as pool:  # left alone, not joined, where a server drips a byte a second
            return Path(pool.apply_async(store.fetch, (name,)).get(PATIENCE))
    except (OSError, ValueError, TimeoutError) as error:  # requests' errors are OSErrors; ValueError is a wrong hash
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


def as_mask(image: Tensor, missing: str = "black") -> Tensor:
    """Return a mask (1, H, W), 1 = known, from a picture that marks the missing pixels in one colour.

    Two-toned, `missing` = "black" or "white": they are the darker, or the lighter, half. In another colour ("red",
    "#ff00ff"), the picture may be a painted copy of the photo: those near it, and their neighbours, as a brush blends.
    """
    try:
        colour = torch.tensor(ImageColor.getrgb(missing)[:3]) / 255
    except ValueError:
        raise UserError(f"--missing {missing}: not a colour; write red, white, or #ff00ff") from None
    distance = (image - colour[:, None, None]).abs().amax(0, keepdim=True)
    if missing in ("black", "white"):
        return (distance >= 0.5).float()
    return 1 - F.max_pool2d((distance < PAINTED).float(), 3, 1, 1)


def known_from_zeros(masked: Tensor) -> Tensor:
    """Return the mask (1, H, W) of a masked image whose missing pixels are 0 (reading 26).

    Known pixels that are truly black cannot be told from missing ones.
    """
    return (masked > 0).any(0, keepdim=True).float()


def resize(image: Tensor, side: int) -> Tensor:
    """Return the central square of (C, H, W), scaled down to `side` × `side` with an antialiasing filter."""
    least = min(image.shape[-2:])
    top, left = ((n - least) // 2 for n in image.shape[-2:])
    square = image[:, top : top + least, left : left + least]
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
