"""A photo's file: read and written so that its transparency, bit depth, colour profile and EXIF survive."""

from __future__ import annotations

import io
import itertools
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from dip_repro import images
from dip_repro.images import LARGEST, as_image, at_size, to_8bit
from dip_repro.runtime import UserError, written_whole

TIFF = (".tif", ".tiff")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", *TIFF)
SAMPLES = {1: (1, 2), 2: (3, 4)}  # values of a pixel without and with alpha, by TIFF's colour type: 1 grey, 2 RGB
VALUES = {(1, 1), (1, 8), (1, 16), (3, 16), (3, 32), (3, 64)}  # TIFF's (1 unsigned or 3 floating point, bits)
ORIENTATION, PROFILE = 274, 34675  # tags of TIFF and EXIF


@dataclass(frozen=True)
class Picture:
    """A picture and what of its file a restoration keeps.

    pixels : (C, H, W) in [0, 1], C = 1 or 3.
    alpha : the transparency, (1, H, W) in [0, 1].
    bits : of one value in the file: 8, 16, or 32 (floating point).
    profile : the ICC colour profile.
    exif : as bytes, without the orientation, which is applied.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    bits: int = 8
    profile: bytes | None = None
    exif: bytes | None = None

    def no_larger_than(self, side: int | None) -> Picture:
        """Return it scaled down so that neither side has more than `side` pixels; None changes nothing."""
        size = self.pixels.shape[-2:]
        if side is None or side >= max(size):
            return self
        return self.resized(tuple(max(1, round(n * side / max(size))) for n in size))

    def resized(self, size: tuple[int, ...]) -> Picture:
        """Return it at `size` = (H, W)."""
        alpha = None if self.alpha is None else at_size(self.alpha, size)
        return replace(self, pixels=at_size(self.pixels, size), alpha=alpha)


def open_picture(name: str | Path) -> Picture:
    """Return the file called `name`; where there is none, the bundled or the paper's image of that name.

    Raises
    ------
    UserError : neither a file nor an image of that name, or not a picture that is read here.
    """
    return read(Path(name)) if Path(name).is_file() else Picture(images.open_image(name))


def read(path: Path) -> Picture:
    """Return a PNG, JPEG, WebP or TIFF file: grey or RGB, upright, CMYK as sRGB.

    8 and 16 bits are scaled to [0, 1]; floating-point TIFF is taken as it is. EXIF is not read from TIFF.

    Raises
    ------
    UserError : damaged, more than one picture, too large, NaN, or colours that are not read; it names the file.
    """
    with images.reading(path):
        pixels, properties = (read_tiff if path.suffix.lower() in TIFF else read_other)(path)
        if pixels.ndim == 3 and pixels.shape[-1] not in (1, 2, 3, 4):
            raise UserError(f"pixels of shape {pixels.shape}: save it as grey or RGB")
        bits = 32 if pixels.dtype.kind == "f" else min(16, 8 * pixels.dtype.itemsize)  # 16-bit grey comes as int32
        values = as_image(pixels)
    alpha = values[-1:] if len(values) in (2, 4) else None
    return Picture(values if alpha is None else values[:-1], alpha, bits, **properties)


def read_tiff(path: Path) -> tuple[np.ndarray, dict]:
    """Return the pixels (H, W, ...) of a TIFF and its profile. (Pillow reads no 16-bit colour from TIFF.)"""
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # it logs what it raises
    with tifffile.TiffFile(path) as opened:
        if len(opened.pages) != 1:
            raise UserError(f"holds {len(opened.pages)} pictures: save one of them by itself")
        page = opened.pages.first
        values = page.sampleformat, page.bitspersample
        if page.samplesperpixel not in SAMPLES.get(page.photometric, ()) or values not in VALUES:
            raise UserError(
                f"{page.samplesperpixel} values of {page.bitspersample} bits a pixel, of TIFF's colour type "
                f"{page.photometric:d} and format {page.sampleformat:d}: save it as grey or RGB of 8 or 16 bits"
            )
        if page.size > 4 * LARGEST:
            raise Image.DecompressionBombError
        profile = page.tags.valueof(PROFILE)
        pixels = upright(page.asarray(), page.tags.valueof(ORIENTATION, 1))
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    return pixels, {"profile": profile if isinstance(profile, bytes) else None}


def read_other(path: Path) -> tuple[np.ndarray, dict]:
    """Return the pixels (H, W, ...) of a file that Pillow reads, and its profile and EXIF."""
    with Image.open(path) as opened:
        opened.verify()  # PNG's checksums, which Pillow skips when it reads
    with Image.open(path) as opened:
        frames = getattr(opened, "n_frames", 1)
        if frames > 1 and opened.format != "MPO":  # a phone's JPEG with a preview
            raise UserError(f"holds {frames} pictures: save one of them by itself")
        deep = opened.format == "PNG" and opened.mode != "I;16" and ";16" in str(opened.tile)
        profile, orientation = opened.info.get("icc_profile"), opened.getexif().get(ORIENTATION, 1)
        picture = ImageOps.exif_transpose(opened)
    exif = picture.getexif().tobytes() if picture.getexif() else None
    if deep:
        return upright(sixteen_bits(path), orientation), {"profile": profile, "exif": exif}
    if picture.mode == "CMYK" and profile:
        own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        picture, profile = ImageCms.buildTransform(own, srgb, "CMYK", "RGB").apply(picture), None
    elif "transparency" in picture.info:
        picture = picture.convert("RGBA")
    elif picture.mode not in ("L", "LA", "RGB", "RGBA", "I", "I;16", "I;16B", "F"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    return np.asarray(picture), {"profile": profile, "exif": exif}


def sixteen_bits(path: Path) -> np.ndarray:
    """Return the pixels (H, W, C) of a PNG of 16 bits in colour. (Pillow keeps only 8 of them.)"""
    import png  # pypng

    try:
        width, height, rows, info = png.Reader(filename=str(path)).asDirect()
        rows = list(rows)
    except png.Error as error:
        raise ValueError(error) from None
    return np.vstack(rows).astype(np.uint16).reshape(height, width, info["planes"])


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return (H, W, ...) pixels turned upright; `orientation` is the tag of TIFF and EXIF, and 1 is upright."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def taken(path: Path) -> bool:
    """Return whether something has this name: a file, a folder, or a link, even one to nothing."""
    return os.path.lexists(path)


def unused(path: Path) -> Path:
    """Return `path`, or where that is taken the first of NAME-2, NAME-3, … that is not."""
    names = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], names) if not taken(name))


def check_name(path: Path, like: Picture) -> None:
    """Raise UserError where `write` could not write a picture like `like` under this name, or something has it."""
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder to write {path.name} to")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path.parent}: {path.name} cannot be written there: name another folder")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path.name}: pictures are written as .png, .jpg, .webp or .tif")
    if like.bits > 8 and suffix not in TIFF:
        raise UserError(f"{path.name}: {like.bits} bits a value are written as TIFF: name a .tif")
    if like.alpha is not None and suffix in (".jpg", ".jpeg"):
        raise UserError(f"{path.name}: JPEG has no transparency, and the picture has: name a .png")
    if taken(path):
        raise UserError(f"{path} exists, and no file is overwritten: name another, or remove it first")


def write(image: Tensor, path: Path, like: Picture) -> None:
    """Write (C, H, W) in [0, 1], whole or not at all, with the alpha, bits, profile and EXIF of `like`.

    The suffix says the format. EXIF is not written to TIFF. `check_name` says beforehand what could not be written.
    """
    image = image.cpu()
    if like.alpha is not None:
        image = torch.cat((image, at_size(like.alpha, image.shape[-2:])))
    with written_whole(path) as partial:
        if path.suffix.lower() in TIFF:
            import tifffile

            pixels = image.clamp(0, 1).permute(1, 2, 0).squeeze(-1).numpy()
            if like.bits < 32:
                pixels = (pixels * (2**like.bits - 1)).round().astype(f"uint{like.bits}")
            colours, alpha = "rgb" if len(image) > 2 else "minisblack", None if like.alpha is None else ["unassalpha"]
            tifffile.imwrite(partial, pixels, photometric=colours, extrasamples=alpha, iccprofile=like.profile)
        else:
            kind = Image.registered_extensions()[path.suffix.lower()]
            kept = {name: x for name, x in {"icc_profile": like.profile, "exif": like.exif}.items() if x}
            Image.fromarray(to_8bit(image)).save(partial, kind, quality=95, lossless=True, **kept)
