"""Picture files, read and written so that what a restoration leaves alone survives: alpha, bits, profile, EXIF."""

from __future__ import annotations

import io
import logging
import math
import os
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor
from torch.nn import functional as F

from dip_repro.runtime import UserError, written_whole

TIFF = (".tif", ".tiff")
LARGEST = 2 * (Image.MAX_IMAGE_PIXELS or math.inf)  # pixels; above, Pillow refuses
SAMPLES = {1: (1, 2), 2: (3, 4)}  # of a pixel by TIFF's "photometric interpretation": grey, RGB; without, with alpha
VALUES = {(1, 1), (1, 8), (1, 16), (3, 16), (3, 32), (3, 64)}  # of TIFF: (1 unsigned or 3 floating point, bits)
# What decoders raise where a file is damaged; Pillow's and tifffile's own are among the first two.
BROKEN = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, NotImplementedError),
    *(struct.error, zlib.error, ImageCms.PyCMSError),
)


@dataclass(frozen=True)
class Picture:
    """A picture as a file holds it: `pixels` (C, H, W) in [0, 1], C = 1 or 3, and what a restoration leaves alone.

    alpha : (1, H, W) in [0, 1]. bits : of a value in the file, 8, 16, or 32 (floating point). profile : ICC, of the
    colours. exif : as bytes, without the orientation, which is applied.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    bits: int = 8
    profile: bytes | None = None
    exif: bytes | None = None

    def resized(self, size: tuple[int, ...]) -> Picture:
        """Return it at `size` = (H, W)."""
        alpha = None if self.alpha is None else at_size(self.alpha, size)
        return replace(self, pixels=at_size(self.pixels, size), alpha=alpha)


def at_size(image: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return (C, H, W) at `size` = (H', W'), bicubic, with an antialiasing filter where that is smaller."""
    return F.interpolate(image[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def read(path: Path) -> Picture:
    """Return a PNG, JPEG, WebP or TIFF file: grey or RGB, turned upright, CMYK as sRGB.

    8 and 16 bits are scaled to [0, 1]; floating-point TIFF is taken as it is. EXIF is not read from TIFF.

    Raises
    ------
    UserError : damaged, more than one picture, too large, NaN, of colours that are not read; the file is named.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with warnings.catch_warnings(action="ignore"):  # of metadata; what cannot be read is raised
            pixels, properties = (read_tiff if path.suffix.lower() in TIFF else read_other)(path)
        return as_picture(pixels, **properties)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: claims more than {LARGEST / 1e6:.0f} million pixels: save it smaller") from None
    except BROKEN as error:
        why = "it is empty" if path.stat().st_size == 0 else next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path}: not a PNG, JPEG, WebP or TIFF picture, or a damaged one: {why}") from None


def read_tiff(path: Path) -> tuple[np.ndarray, dict]:
    """Return the pixels (H, W, ...) of a TIFF, of which Pillow reads no 16-bit colour, and a Picture's properties."""
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what cannot be read is raised as well
    with tifffile.TiffFile(path) as opened:
        if len(opened.pages) != 1:
            raise UserError(f"holds {len(opened.pages)} pictures: save one of them by itself")
        page = opened.pages.first
        values = page.sampleformat, page.bitspersample
        if page.samplesperpixel not in SAMPLES.get(page.photometric, ()) or values not in VALUES:
            raise UserError(
                f"{page.samplesperpixel} values of {page.bitspersample} bits a pixel, of TIFF's colours "
                f"{page.photometric:d} and format {page.sampleformat:d}: save it as grey or RGB of 8 or 16 bits"
            )
        if page.size > 4 * LARGEST:
            raise Image.DecompressionBombError
        profile = page.tags.valueof(34675)
        pixels = upright(page.asarray(), page.tags.valueof(274, 1))
    return pixels, {"profile": profile if isinstance(profile, bytes) else None}


def read_other(path: Path) -> tuple[np.ndarray, dict]:
    """Return the pixels (H, W, ...) of a file that Pillow reads, and a Picture's properties."""
    with Image.open(path) as opened:
        opened.verify()  # PNG's checksums, which reading passes over
    with Image.open(path) as opened:
        frames = getattr(opened, "n_frames", 1)
        if frames > 1 and opened.format != "MPO":  # a phone's JPEG with a preview
            raise UserError(f"holds {frames} pictures: save one of them by itself")
        deep = opened.format == "PNG" and opened.mode != "I;16" and ";16" in str(opened.tile)
        profile, orientation = opened.info.get("icc_profile"), opened.getexif().get(274, 1)
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
    """Return the pixels (H, W, C) of a PNG of 16 bits in colour, of which Pillow keeps eight."""
    try:
        import png  # pypng
    except ImportError:
        raise UserError("16 bits a colour in PNG want pypng: pip install pypng, or save a TIFF") from None
    try:
        width, height, rows, info = png.Reader(filename=str(path)).asDirect()
        rows = list(rows)
    except png.Error as error:
        raise ValueError(error) from None
    return np.vstack(rows).astype(np.uint16).reshape(height, width, info["planes"])


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return (H, W, ...) pixels turned as the tag 274 of TIFF says; 1 is upright."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def as_picture(pixels: np.ndarray, **properties) -> Picture:
    """Return (H, W), (H, W, 1 to 4) pixels, the second or fourth the alpha, as a Picture of `properties`."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 2, 3, 4):
        raise UserError(f"pixels of shape {pixels.shape}: an image is (H, W) or (H, W, 3)")
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    bits = min(16, 8 * pixels.dtype.itemsize) if np.issubdtype(pixels.dtype, np.integer) else 32
    if bits < 32:
        # Pillow hands 16-bit grey over as 32-bit integers.
        pixels = pixels / (255 if bits == 8 else 65535)
    if not np.isfinite(pixels).all():
        raise UserError("the image holds NaN or infinite values: repair them, or mark them missing in a mask")
    if pixels.min() < 0 or pixels.max() > 1:
        raise UserError(f"pixel values run from {pixels.min():g} to {pixels.max():g}: scale them to [0, 1] first")
    tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32))
    alpha = tensor[-1:] if len(tensor) in (2, 4) else None
    return Picture(tensor[:-1] if alpha is not None else tensor, alpha, bits, **properties)


def to_8bit(image: Tensor) -> np.ndarray:
    """Return (C, H, W) in [0, 1] as uint8 (H, W) or (H, W, 3), clipped and rounded."""
    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def resampled(image: Tensor, size: tuple[int, int], method: str) -> Tensor:
    """Return (C, H, W) at `size` = (H', W') by Pillow's "bicubic" or "lanczos" (a = 3), in 8 bits."""
    picture = Image.fromarray(to_8bit(image)).resize(size[::-1], Image.Resampling[method.upper()])
    return as_picture(np.asarray(picture)).pixels


def save(image: Tensor, path: Path) -> None:
    """Write (C, H, W) as an 8-bit PNG, whole or not at all."""
    with written_whole(path) as partial:
        Image.fromarray(to_8bit(image)).save(partial, "png")


def check_name(path: Path, like: Picture) -> None:
    """Raise UserError where `write` could not write a picture like `like` under this name."""
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder to write {path.name} to")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{path.parent}: {path.name} may not be written there: name another folder")
    suffix = path.suffix.lower()
    if suffix not in (".png", ".jpg", ".jpeg", ".webp", *TIFF):
        raise UserError(f"{path.name}: pictures are written as .png, .jpg, .webp or .tif")
    if like.bits > 8 and suffix not in TIFF:
        raise UserError(f"{path.name}: {like.bits} bits a value are written as TIFF: name a .tif")
    if like.alpha is not None and suffix in (".jpg", ".jpeg"):
        raise UserError(f"{path.name}: JPEG has no transparency, and the picture has: name a .png")


def write(image: Tensor, path: Path, like: Picture) -> None:
    """Write (C, H, W) in [0, 1], whole or not at all, with the alpha, bits, colour profile and EXIF of `like`.

    The suffix says the format; of TIFF, EXIF is left out. `check_name` says beforehand what could not be written.
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
