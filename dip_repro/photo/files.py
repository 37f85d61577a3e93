"""A photo's file: read and written so that what a restoration does not change survives.

That is transparency, bit depth, colour profile and the rest of `metadata.Metadata`. Pixels are read whatever the rest
looks like; what of the rest cannot be kept is left out, and `left_out` says it.
"""

from __future__ import annotations

import difflib
import io
import itertools
import logging
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import COMPRESSION_INFO
from torch import Tensor

from dip_repro import images
from dip_repro.images import BROKEN, LARGEST, as_image, at_size, to_8bit
from dip_repro.photo import metadata
from dip_repro.photo.metadata import JPEG, PNG, Metadata, colours_of
from dip_repro.runtime import UserError, written_whole

KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WebP", ".tif": "TIFF", ".tiff": "TIFF"}
SIDES = {"WebP": 16383, "JPEG": 65500}  # pixels that a side may have
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}  # values of a pixel without its extra ones, by TIFF's colour type
WHITE_IS_ZERO, GREY, PLANES = 0, 1, 2  # TIFF's colour types of grey; its planes one after another
ASSOCIATED, UNASSOCIATED = 1, 2  # TIFF's kinds of alpha: colours multiplied by it, or not
VALUES = {(1, 1), (1, 8), (1, 16), (3, 16), (3, 32), (3, 64)}  # TIFF's (1 unsigned or 3 floating point, bits)
TEXTS = {
    270: "a description",
    271: "the camera",
    272: "the camera",
    306: "the date",
    315: "the artist",
    33432: "rights",
}


@dataclass(frozen=True)
class Picture:
    """A picture and what of its file a restoration keeps.

    pixels : (C, H, W) in [0, 1], C = 1 or 3; NaN where `read` was told that some may be missing.
    alpha : the transparency, (1, H, W) in [0, 1].
    bits : of one value in the file: 8, 16, or 32 (floating point).
    beside : what else the file holds.
    damaged : what of it could not be read, for people.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    bits: int = 8
    beside: Metadata = field(default_factory=Metadata)
    damaged: tuple[str, ...] = ()

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


def open_picture(name: str | Path, missing: bool = False) -> Picture:
    """Return the file called `name`; where there is none, the bundled or the paper's image of that name.

    Raises
    ------
    UserError : neither a file nor an image of that name, or not a picture that is read here; `missing` is `read`'s.
    """
    if not os.path.lexists(name) and str(name) in (*images.BUNDLED, *images.BESIDE, *images.registry()):
        return Picture(images.open_image(name))
    return read(Path(name), missing)


def read(path: Path, missing: bool = False) -> Picture:
    """Return a PNG, JPEG, WebP or TIFF file: grey or RGB, upright, CMYK as sRGB, with straight alpha.

    8 and 16 bits are scaled to [0, 1]; floating-point TIFF is taken as it is. `missing` : whether pixels may be NaN.

    Raises
    ------
    UserError : damaged, more than one picture, too large, NaN, or colours that are not read; it names the file.
    """
    if not os.path.lexists(path) and (near := neighbour(path)):
        raise UserError(f"{path}: no file of this name; did you mean {near}?")
    with images.reading(path):
        data = path.read_bytes()
        if data.startswith(PNG):
            pixels, beside, damaged = read_png(data)
        elif data.startswith(JPEG):
            pixels, beside, damaged = read_jpeg(data)
        elif data.startswith(TIFF):
            pixels, beside, damaged = read_tiff(data)
        else:
            pixels, beside, damaged = read_other(data)
        bits = 32 if pixels.dtype.kind == "f" else min(16, 8 * pixels.dtype.itemsize)  # 16-bit grey comes as int32
        known = np.isfinite(pixels)
        values = as_image(np.where(known, pixels, 0) if missing else pixels)
        if not known.all():
            values[:, ~torch.from_numpy(np.atleast_3d(known).all(-1))] = torch.nan
    alpha = values[-1:] if len(values) in (2, 4) else None
    return Picture(values if alpha is None else values[:-1], alpha, bits, beside, tuple(damaged))


def neighbour(path: Path) -> str | None:
    """Return the picture of the same folder whose name is nearest to that of `path`."""
    try:
        names = [found.name for found in path.parent.iterdir() if found.suffix.lower() in KINDS]
    except OSError:
        return None
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return str(path.with_name(near[0])) if near else None


Read = tuple[np.ndarray, Metadata, list[str]]  # pixels (H, W) or (H, W, C), what is beside them, what is damaged


def read_png(data: bytes) -> Read:
    plain, beside, damaged = metadata.split_png(data)
    with Image.open(io.BytesIO(plain)) as opened:
        opened.verify()  # PNG's checksums, which Pillow skips when it reads
    with Image.open(io.BytesIO(plain)) as opened:
        deep = ";16" in str(opened.tile) and opened.mode != "I;16"
        transparent = any(name == b"tRNS" for name, _ in metadata.chunks(plain)) and opened.mode != "P"
        if getattr(opened, "n_frames", 1) == 1 and (deep or transparent):
            pixels = by_pypng(plain)
        else:
            pixels, beside = by_pillow(opened, beside, damaged)
    return upright(pixels, metadata.orientation_of(beside.exif)), beside, damaged


def by_pypng(data: bytes) -> np.ndarray:
    """Return the pixels (H, W, C) of a PNG. (Of 16 bits in colour Pillow keeps 8; a transparent value it may miss.)"""
    import png  # pypng

    try:
        width, height, rows, info = png.Reader(bytes=data).read()
        values = np.vstack(list(rows)).reshape(height, width, info["planes"])
    except png.Error as error:
        raise ValueError(error) from None
    if "transparent" in info:
        opaque = (values != np.asarray(info["transparent"])).any(-1, keepdims=True)
        values = np.concatenate([values, opaque * (2 ** info["bitdepth"] - 1)], -1)
    bits = 8 if info["bitdepth"] <= 8 else 16
    return scaled(values, info["bitdepth"], bits)


def scaled(values: np.ndarray, bits: int, to: int) -> np.ndarray:
    """Return unsigned whole numbers of so many `bits` as ones of 8 or 16."""
    largest = 2**bits - 1
    return (values * np.uint32(2**to - 1) // largest if bits != to else values).astype(f"uint{to}")


def read_jpeg(data: bytes) -> Read:
    plain, beside, damaged = metadata.split_jpeg(data)
    with Image.open(io.BytesIO(plain)) as opened:
        pixels, beside = by_pillow(opened, beside, damaged)
    return upright(pixels, metadata.orientation_of(beside.exif)), beside, damaged


def read_other(data: bytes) -> Read:
    """Return a file that Pillow reads; its EXIF comes as bytes, so that nothing in it stops the reading."""
    damaged: list[str] = []
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        found = {name: x for name in ("icc_profile", "exif", "xmp") if isinstance(x := opened.info.get(name), bytes)}
        exif = found.get("exif", b"").removeprefix(metadata.EXIF_IN_JPEG) or None
        beside = Metadata(found.get("icc_profile"), exif, found.get("xmp"), kind=opened.format or "")
        pixels, beside = by_pillow(opened, beside, damaged)
    return upright(pixels, metadata.orientation_of(exif)), beside, damaged


def by_pillow(picture: Image.Image, beside: Metadata, damaged: list[str]) -> tuple[np.ndarray, Metadata]:
    """Return the pixels of what Pillow opened, and what is beside them; the profile of CMYK is applied."""
    if (frames := getattr(picture, "n_frames", 1)) > 1:
        raise UserError(f"holds {frames} pictures: save one of them by itself")
    picture.load()
    if picture.mode == "CMYK":
        if beside.profile:
            try:
                own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(beside.profile)), ImageCms.createProfile("sRGB")
                picture = ImageCms.buildTransform(own, srgb, "CMYK", "RGB").apply(picture)
            except BROKEN:
                damaged.append("its colour profile (the colours of CMYK are converted without it)")
            beside = replace(beside, profile=None)
        picture = picture.convert("RGB")
    elif picture.mode in ("LAB", "HSV"):
        raise UserError(f"its colours are {picture.mode}: save it as grey or RGB")
    elif picture.mode in ("La", "RGBa", "PA") or "transparency" in picture.info:
        picture = picture.convert("LA" if picture.mode in ("La", "L", "1") else "RGBA")
    elif picture.mode not in ("L", "LA", "RGB", "RGBA", "I", "I;16", "I;16B", "I;16L", "F"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    return np.asarray(picture), beside


def read_tiff(data: bytes) -> Read:
    """Return a TIFF: its pixels by tifffile (Pillow reads no 16-bit colour), or by Pillow (tifffile lacks decoders)."""
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # it logs what it raises
    damaged: list[str] = []
    plain = metadata.plain_tiff(data)
    beside = beside_tiff(data, damaged)
    with tifffile.TiffFile(io.BytesIO(plain)) as opened:
        count = 1 + sum(not getattr(page, "is_reduced", False) for page in opened.pages[1:])  # or a thumbnail
        if count != 1:
            raise UserError(f"holds {count} pictures: save one of them by itself")
        page = opened.pages.first
        what = f"{page.samplesperpixel} values of {page.bitspersample} bits a pixel, of TIFF's colour type "
        what += f"{page.photometric:d} and format {page.sampleformat:d}: save it as grey or RGB of 8 or 16 bits"
        extra = page.samplesperpixel - COLOURS.get(page.photometric, page.samplesperpixel)
        if page.photometric not in COLOURS or extra not in (0, 1):
            raise UserError(what)
        alpha = (page.extrasamples or (0,))[0] if extra else 0
        if extra and alpha not in (ASSOCIATED, UNASSOCIATED):
            raise UserError(
                "has an extra channel, and does not say what it means: save it without, or declared as alpha"
            )
        if page.size > 4 * LARGEST:
            raise Image.DecompressionBombError
        deep = page.bitspersample > 8 and not (page.samplesperpixel == 1 and page.bitspersample in (12, 16))
        if page.photometric < 3 and (page.sampleformat, page.bitspersample) in VALUES:
            try:
                pixels = page.asarray()
            except (ImportError, ValueError) as error:
                if not isinstance(error, ImportError) and "imagecodecs" not in str(error):
                    raise
                pixels = None  # tifffile has no decoder for it
                if deep or page.compression not in COMPRESSION_INFO:  # nor has Pillow
                    name = getattr(page.compression, "name", page.compression)
                    raise UserError(f"compressed by {name}: pip install imagecodecs, or save it uncompressed") from None
        elif deep or page.sampleformat != 1:
            raise UserError(what)
        else:
            pixels = None
        if pixels is None:
            with Image.open(io.BytesIO(plain)) as picture:
                pixels, beside = by_pillow(picture, beside, damaged)
            if page.bitspersample > 8:
                pixels = inverted(scaled(pixels, page.bitspersample, 16), page.photometric)
        else:
            if page.planarconfig == PLANES and pixels.ndim == 3:
                pixels = np.moveaxis(pixels, 0, -1)
            pixels = inverted(pixels * np.uint8(255) if pixels.dtype == bool else pixels, page.photometric)
            if alpha == ASSOCIATED:
                pixels = straight(pixels)
        orientation = page.tags.valueof(metadata.ORIENTATION, 1)
    return upright(pixels, orientation), beside, damaged


def inverted(pixels: np.ndarray, photometric: int) -> np.ndarray:
    """Return grey as black is 0; `photometric` is TIFF's colour type."""
    return ~pixels if photometric == WHITE_IS_ZERO and pixels.dtype.kind == "u" else pixels


def straight(pixels: np.ndarray) -> np.ndarray:
    """Return (H, W, C) with its colours divided by its alpha, which is the last channel."""
    colours, alpha = pixels[..., :-1], pixels[..., -1:]
    largest = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    divided = np.divide(colours * largest, alpha, where=alpha > 0, out=np.zeros(colours.shape)).clip(0, largest)
    divided = divided if pixels.dtype.kind == "f" else divided.round()
    return np.concatenate([divided.astype(pixels.dtype), alpha], -1)


def beside_tiff(data: bytes, damaged: list[str]) -> Metadata:
    """Return what a TIFF holds beside its pixels; of what is damaged, only the name, in `damaged`."""
    import tifffile

    found: dict = {}
    own = []
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as opened:
            tags = opened.pages.first.tags
            for name, code in {"profile": 34675, "xmp": 700}.items():
                if isinstance(x := tags.valueof(code), bytes | tuple):
                    found[name] = bytes(x)
            x, y, unit = (tags.valueof(code) for code in (282, 283, 296))
            if unit in (2, 3) and all(isinstance(n, tuple) and len(n) == 2 and all(n) for n in (x, y)):
                found["dpi"] = tuple(n[0] / n[1] * (2.54 if unit == 3 else 1) for n in (x, y))
            if metadata.EXIF_IFD in tags:
                damaged.append("its EXIF (it is not read from TIFF)")
            for code, name in TEXTS.items():
                text = tags.valueof(code)
                if isinstance(text, str) and text and not text.startswith('{"shape"'):
                    own.append((name, code.to_bytes(2, "big") + text.encode()))
    except (*BROKEN, ArithmeticError):
        damaged.append("what its tags say beside its pixels")
    return Metadata(kind="TIFF", own=tuple(own), **found)


def upright(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Return (H, W, ...) pixels turned upright; `orientation` is the tag of TIFF and EXIF, and 1 is upright."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


# ---- Names -----------------------------------------------------------------------------------------------------------


def taken(path: Path) -> bool:
    """Return whether something has this name: a file, a folder, or a link, even one to nothing."""
    return os.path.lexists(path)


def unused(path: Path) -> Path:
    """Return `path`, or where that is taken the first of NAME-2, NAME-3, … that is not."""
    names = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], names) if not taken(name))


def longest_name(folder: Path) -> int:
    """Return how many bytes a name in `folder` may have."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows has none
        return 255


def beside(path: Path, what: str, suffix: str) -> Path:
    """Return an unused name for what belongs to `path`: its stem, cut where the name would be too long, and `what`."""
    room = longest_name(path.parent) - len(os.fsencode(f"{what}-99{suffix}"))
    stem = path.stem
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return unused(path.with_name(f"{stem}{what}{suffix}"))


def check_name(path: Path, like: Picture, size: tuple[int, ...], exactly: bool = False) -> None:
    """Raise UserError where `write` could not write a picture like `like`, of `size` = (H, W), under this name.

    exactly : whether the pixels must be written as they are.
    """
    folder = path.parent
    if len(os.fsencode(path.name)) > longest_name(folder):
        raise UserError(f"{path}: a name of {len(os.fsencode(path.name))} bytes is too long: name a shorter one")
    if not images.found(folder, "folder"):
        raise UserError(f"{folder}: no such folder to write {path.name} to")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: {path.name} cannot be written there: name another folder")
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        raise UserError(f"{path.name}: pictures are written as .png, .jpg, .webp or .tif")
    kind = KINDS[suffix]
    if kind not in {8: KINDS.values(), 16: ("TIFF", "PNG"), 32: ("TIFF",)}[like.bits]:
        raise UserError(f"{path.name}: {like.bits} bits a value are not written as {kind}: name a .tif")
    if like.alpha is not None and kind == "JPEG":
        raise UserError(f"{path.name}: JPEG has no transparency, and the picture has: name a .png")
    if exactly and kind == "JPEG":
        raise UserError(f"{path.name}: JPEG changes every pixel, also those that are to stay: name a .png")
    if max(size) > SIDES.get(kind, 2**31 - 1):
        height, width = size
        raise UserError(f"{path.name}: {kind} holds {SIDES[kind]} pixels a side, not {width}×{height}: name a .png")
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file")
    if taken(path):
        raise UserError(f"{path} exists, and no file is overwritten: name another, or remove it first")


# ---- Writing ---------------------------------------------------------------------------------------------------------


def kept(path: Path, like: Picture, size: tuple[int, ...]) -> tuple[Metadata, list[str]]:
    """Return what a file of this name and `size` = (H, W) holds beside its pixels, and what of `like` it does not."""
    kind, old, lost = KINDS[path.suffix.lower()], like.beside, list(like.damaged)
    profile, exif, xmp, dpi, own = old.profile, old.exif, old.xmp, old.dpi, old.own
    if profile:
        colours = "RGB" if len(like.pixels) == 3 or kind == "WebP" else "GRAY"
        if colours_of(profile) != colours:
            lost.append(f"its colour profile (of {colours_of(profile) or 'nothing known'}, and it is {colours})")
        elif kind == "JPEG" and len(profile) > 255 * (metadata.SEGMENT - 14):
            lost.append("its colour profile (too large for JPEG)")
        else:
            colours = ""
        profile = None if colours else profile
    if exif and (exif := metadata.upright_exif(exif, size)) is None:
        lost.append("its EXIF (damaged)")
    elif exif and kind == "TIFF":
        lost.append("its EXIF (it is not written to TIFF)")
    elif exif and kind == "JPEG" and len(exif) > metadata.SEGMENT - len(metadata.EXIF_IN_JPEG):
        lost.append(f"its EXIF (of {len(exif) // 1000} kB, and JPEG holds 65)")
        exif = None
    if xmp:
        xmp = metadata.upright_xmp(xmp, size)
        if kind == "JPEG" and len(xmp) > metadata.SEGMENT - len(metadata.XMP_IN_JPEG):
            lost.append("its XMP (too large for JPEG)")
            xmp = None
    if dpi and kind == "WebP":
        lost += ["its resolution"] if max(dpi) > 97 else []  # 72 and 96 are none
    if own and old.kind != kind:
        lost += sorted({name for name, _ in own if name})
        own = ()
    return Metadata(profile, exif, xmp, dpi, kind, own), lost


def left_out(path: Path, like: Picture, size: tuple[int, ...]) -> str:
    """Return a line on what of `like` a file of this name and `size` = (H, W) will not hold; "" where it holds all."""
    _, lost = kept(path, like, size)
    return f"{path.name} will be without {', '.join(lost)}" if lost else ""


def write(image: Tensor, path: Path, like: Picture) -> None:
    """Write (C, H, W) in [0, 1], whole or not at all, with the alpha, the bits and the metadata of `like`.

    The suffix says the format. `check_name` says beforehand what could not be written, and `left_out` what is not kept.

    Raises
    ------
    UserError : it could not be written.
    """
    image, size = image.cpu(), tuple(image.shape[-2:])
    if like.alpha is not None:
        image = torch.cat((image, at_size(like.alpha, size)))
    beside, _ = kept(path, like, size)
    data = encoded(image, like.bits, beside)
    with written_whole(path) as partial:
        partial.write_bytes(data)


def save_picture(picture: Picture, path: str | Path) -> None:
    """Write a picture to a new file, with its transparency, bit depth, colour profile, EXIF and the like.

    Parameters
    ----------
    picture : Picture
        As `open_picture` read it, or as it came back from `denoise` and the others.
    path : str or Path
        A .png, .jpg, .webp or .tif. It must not exist.

    Raises
    ------
    UserError
        The format cannot hold the picture, the name is taken, or it could not be written.
    """
    size = tuple(picture.pixels.shape[-2:])
    check_name(Path(path), picture, size)
    write(picture.pixels, Path(path), picture)


def encoded(image: Tensor, bits: int, beside: Metadata) -> bytes:
    """Return (C, H, W) in [0, 1], of which an even C holds alpha, as a file of the format `beside.kind`."""
    file, kind = io.BytesIO(), beside.kind
    if bits == 8:
        pixels = to_8bit(image)
    else:
        pixels = image.clamp(0, 1).permute(1, 2, 0).squeeze(-1).numpy()
        if bits == 16:
            pixels = (pixels * 65535).round().astype(np.uint16)
    if kind == "TIFF":
        import tifffile

        texts = [(int.from_bytes(x[:2], "big"), "s", 0, x[2:], True) for _, x in beside.own]
        more = [(700, "B", len(beside.xmp), beside.xmp, True)] if beside.xmp else []
        tifffile.imwrite(
            file,
            pixels,
            photometric="rgb" if len(image) > 2 else "minisblack",
            planarconfig="contig" if len(image) > 1 else None,
            extrasamples=["unassalpha"] if len(image) in (2, 4) else None,
            iccprofile=beside.profile,
            extratags=texts + more,
            metadata=None,
            resolution=beside.dpi,
            resolutionunit="INCH" if beside.dpi else None,
        )
        return file.getvalue()
    if kind == "PNG" and bits == 16:
        import png

        height, width = pixels.shape[:2]
        writer = png.Writer(width, height, greyscale=len(image) < 3, alpha=len(image) in (2, 4), bitdepth=16)
        writer.write_packed(file, (row.astype(">u2").tobytes() for row in pixels))
        return metadata.into_png(file.getvalue(), beside)
    picture = Image.fromarray(pixels)
    if kind == "PNG":
        picture.save(file, "png")
        return metadata.into_png(file.getvalue(), beside)
    if kind == "JPEG":
        dpi = {"dpi": tuple(min(65535, max(1, round(x))) for x in beside.dpi)} if beside.dpi else {}
        picture.save(file, "jpeg", quality=95, subsampling=0, **dpi)
        return metadata.into_jpeg(file.getvalue(), beside)
    named = {"icc_profile": beside.profile, "exif": beside.exif, "xmp": beside.xmp}
    picture.save(file, "webp", lossless=True, exact=True, **{name: x for name, x in named.items() if x})
    return file.getvalue()
