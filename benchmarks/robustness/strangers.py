"""What strangers' pictures hold: metadata of any kind, pixels whose tags change their meaning, masks, places, arrays.

Pictures are read and written in this process, where nothing but a sentence may be raised, or given to the command line.
"""

from __future__ import annotations

import functools
import io
import itertools
import random
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import png
import tifffile
import torch
from files import PHOTO, PICTURE, chunk, encoded
from PIL import Image, ImageCms
from trial import RIGHT, TOLD, Row, command, side_by_side

from dip_repro import UserError, denoise, inpaint, remove_jpeg, upscale
from dip_repro.photo import files, metadata

SHORT = ("--iterations", 2, "--device", "cpu")
FEW = {"iterations": 1, "progress": False, "device": "cpu"}
GREY = PHOTO[..., 1]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TAGS = (256, 257, 270, 271, 274, 282, 296, 306, 531, 33432, 34665, 34853, 36864, 37500, 40962, 40963)
KINDS, COUNTS = range(16), (0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 31, 64, 100, 255, 256, 1000, 65535, 65536, 2**31, 2**32 - 1)
MUTATED = 600


def judged(what: str, work: Callable[[], bool]) -> str:
    """Return what became of work in this process: whether it was right, or a sentence, or what was raised."""
    try:
        return RIGHT if work() else f"{what}: finished, and the result is wrong"
    except UserError as error:
        return TOLD if "\n" not in str(error) else f"{what}: several lines: {error}"
    except BaseException as error:  # noqa: BLE001 - what a user would see as a traceback
        return f"{what}: a traceback: {type(error).__name__}: {error}"


def never_told(outcome: str, what: str) -> str:
    """Return an outcome of a sound picture, which must not be refused."""
    return f"{what}: refused" if outcome == TOLD else outcome


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def reads(path: Path, expected: np.ndarray, tolerance: float = 1e-6, turned: bool = False) -> bool:
    """Return whether a file holds these pixels, (H, W) or (H, W, C) in 0 to 255, and can be written anew."""
    picture = files.read(path)
    seen = picture.pixels.permute(1, 2, 0).numpy().squeeze()
    ways = [files.upright(expected / 255, n) for n in (range(1, 9) if turned else (1,))]
    same = any(seen.shape == way.shape and np.abs(seen - way).max() <= tolerance for way in ways)
    for suffix in (".png", ".tif", *((".jpg", ".webp") if picture.bits == 8 and picture.alpha is None else ())):
        out = path.with_name(f"{path.stem}-again{suffix}")
        out.unlink(missing_ok=True)
        files.save_picture(picture, out)
        same = same and files.read(out).pixels.shape[1:] == picture.pixels.shape[1:]
    return same


# ---- EXIF ------------------------------------------------------------------------------------------------------------


def exif_with(tag: int, kind: int, count: int) -> bytes:
    """Return EXIF of several sound tags, and one of a wrong type or count."""
    sound = {
        271: (2, 4, b"abc\0"),
        274: (3, 1, struct.pack("<HH", 1, 0)),
        282: (5, 1, struct.pack("<I", 8)),
        34665: (4, 1, struct.pack("<I", 80)),
    }
    entries = sound | {tag: (kind, count, sound.get(tag, (0, 0, struct.pack("<I", 6)))[2])}
    body = b"".join(struct.pack("<HHI", name, *rest[:2]) + rest[2] for name, rest in sorted(entries.items()))
    first = b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)
    inner = struct.pack("<HHHII", 1, 40962, 4, 1, 40) + bytes(4)
    return first.ljust(80, b"\0") + inner


def with_exif(exif: bytes) -> bytes:
    data = encoded(PICTURE, "jpeg", quality=95)
    return data[:2] + metadata.segment(0xE1, metadata.EXIF_IN_JPEG + exif) + data[2:]


def exif() -> list[Row]:
    """Every tag of `TAGS` with every type and count: none may be refused."""
    row = Row("exif", "a JPEG, one EXIF tag of which has a wrong type or count: read, and written in four formats")
    whole = Row("exif", "of these, through `dip-repro denoise --out x.jpg`")
    expected, calls = pixels_of(with_exif(b"")), []
    with tempfile.TemporaryDirectory() as name:
        for number, what in enumerate(itertools.product(TAGS, KINDS, COUNTS)):
            path = Path(name) / ("x.jpg" if number % 160 else f"{number}.jpg")
            path.write_bytes(with_exif(exif_with(*what)))
            upright = what[0] != 274  # another type may make it an orientation
            row.count(
                never_told(judged(str(what), lambda p=path, u=upright: reads(p, expected, turned=not u)), str(what))
            )
            if not number % 160:
                calls.append(functools.partial(denoised, path, path.with_name(f"{number}-out.jpg")))
        whole.count(*side_by_side(calls))
    return [row, whole]


def denoised(path: Path, out: Path, **how) -> str:
    return command(
        "denoise", path, "--out", out, *SHORT, right=lambda: files.read(out).pixels.shape[1:] == (40, 40), **how
    )


# ---- Other metadata --------------------------------------------------------------------------------------------------


def rich(kind: str) -> bytes:
    """Return a file of the format with all the metadata that it has."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="1"/></x:xmpmeta>' * 3
    exif = exif_with(271, 2, 4)
    if kind == "jpg":
        data = encoded(PICTURE, "jpeg", quality=95, dpi=(300, 300), icc_profile=SRGB, comment=b"a garden")
        more = metadata.segment(0xE1, b"Exif\0\0" + exif) + metadata.segment(0xE1, metadata.XMP_IN_JPEG + xmp)
        return data[:2] + more + metadata.segment(0xED, b"Photoshop 3.0\x008BIM" + bytes(40)) + data[2:]
    if kind == "webp":
        return encoded(PICTURE, "webp", lossless=True, icc_profile=SRGB, exif=exif, xmp=xmp)
    if kind == "tif":
        file = io.BytesIO()
        how = {"resolution": (300, 300), "resolutionunit": "INCH", "iccprofile": SRGB, "description": "a garden"}
        tifffile.imwrite(file, PHOTO, photometric="rgb", extratags=[(700, "B", len(xmp), xmp, True)], **how)
        return file.getvalue()
    more = chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"iCCP", b"x\0\0" + zlib.compress(SRGB))
    more += (
        chunk(b"eXIf", exif) + chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1)) + chunk(b"tEXt", b"Title\0Garden")
    )
    more += chunk(b"iTXt", metadata.XMP_IN_PNG + b"\0\0\0\0" + xmp) + chunk(b"tIME", bytes(7))
    data = encoded(PICTURE, "png")
    return data[:33] + more + data[33:]


def parts_beside(kind: str, data: bytes) -> list[tuple[int, int]]:
    """Return where a file's metadata are, each as (begin, end) of its content."""
    if kind == "png":
        found, at = [], 8
        for name, whole in metadata.chunks(data):
            if name and name[0] & 0x20:
                found.append((at + 8, at + len(whole) - 4))
            at += len(whole)
        return found
    if kind == "jpg":
        found, at = [], 2
        for marker, whole in metadata.segments(data):
            if 0xE1 <= marker <= 0xED or marker == 0xFE:
                found.append((at + 4, at + len(whole)))
            at += len(whole)
        return found
    if kind == "webp":
        found, at = [], 12
        while at + 8 <= len(data):
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            if data[at : at + 4] in (b"ICCP", b"EXIF", b"XMP "):
                found.append((at + 8, at + 8 + size))
            at += 8 + size + size % 2
        return found
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        tags = [tag for tag in opened.pages.first.tags if tag.code not in metadata.OF_PIXELS]
    return [(tag.offset + 2, tag.offset + 12) for tag in tags]


def damaged(kind: str, number: int) -> bytes:
    """Return a file of the format, one part of whose metadata is damaged; PNG's checksum is that of the damage."""
    data, draw = bytearray(rich(kind)), random.Random(f"{kind}{number}")
    begin, end = draw.choice(parts_beside(kind, data))
    for _ in range(draw.choice([1, 3, 20])):
        data[draw.randrange(begin, end)] = draw.choice([0, 255, draw.randrange(256)])
    if draw.random() < 0.3:
        data[begin:end] = draw.randbytes(end - begin)
    if kind == "png":
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[begin - 4 : end]))
    return bytes(data)


def long_ones() -> Iterator[tuple[str, bytes]]:
    """Yield files of sound pixels whose metadata are long, or none at all."""
    text = zlib.compress(b"long " * 400_000)
    data = encoded(PICTURE, "png")
    profile = SRGB + bytes(3 * 10**6)
    for name, more in {
        "zTXt": chunk(b"zTXt", b"Comment\0\0" + text),
        "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + text),
        "tEXt": chunk(b"tEXt", b"Comment\0" + b"long " * 400_000),
        "XMP": chunk(b"iTXt", metadata.XMP_IN_PNG + b"\1\0\0\0" + text),
        "profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)),
        "no-zlib": chunk(b"iCCP", b"x\0\0nothing"),
        "no-name": chunk(b"iCCP", b""),
        "exif": chunk(b"eXIf", b"II*\0" + bytes(10**6)),
        "gamma": chunk(b"gAMA", b"1"),
        "many": b"".join(chunk(b"tEXt", b"a\0b") for _ in range(20_000)),
    }.items():
        yield f"{name}.png", data[:33] + more + data[33:]
    jpeg = encoded(PICTURE, "jpeg", quality=95)
    for name, body in {
        "profile": b"ICC_PROFILE\0\1\2half",
        "exif": b"Exif\0\0",
        "xmp": metadata.XMP_IN_JPEG,
        "zero": b"",
        "mpf": b"MPF\0II*\0garbage",
        "flashpix": b"FPXR\0" + bytes(50),
    }.items():
        yield f"{name}.jpg", jpeg[:2] + metadata.segment(0xE2 if name in ("profile", "mpf") else 0xE1, body) + jpeg[2:]
        yield f"{name}-60k.jpg", jpeg[:2] + 30 * metadata.segment(0xE1, (body + bytes(60000))[:65000]) + jpeg[2:]
    cmyk = encoded(PICTURE.convert("CMYK"), "jpeg", quality=95, icc_profile=b"no profile" * 30)
    yield "cmyk.jpg", cmyk


def kept() -> list[Row]:
    rows = [
        Row("metadata", "PNG, JPEG, WebP and TIFF whose metadata alone are damaged at random: the pixels are read"),
        Row("metadata", "texts, profiles and EXIF of 1.5 to 3 MB, of nothing, or cut: the pixels are read"),
    ]
    with tempfile.TemporaryDirectory() as name:
        for number, kind in zip(range(MUTATED), itertools.cycle(("png", "jpg", "webp", "tif"))):
            path = Path(name) / f"x.{kind}"
            path.write_bytes(damaged(kind, number))
            expected = pixels_of(rich("jpg")) if kind == "jpg" else PHOTO
            what = f"{kind} {number}"
            rows[0].count(never_told(judged(what, lambda p=path, e=expected: reads(p, e, turned=True)), what))
        for what, data in long_ones():
            (Path(name) / what).write_bytes(data)
            loose = 0.1 if what == "cmyk.jpg" else 1e-6
            expected = (
                pixels_of(encoded(PICTURE, "jpeg", quality=95)) if what.endswith("jpg") and loose < 0.1 else PHOTO
            )
            path = Path(name) / what
            rows[1].count(never_told(judged(what, lambda p=path, e=expected, t=loose: reads(p, e, t)), what))
    return rows


# ---- Pixels whose tags change their meaning --------------------------------------------------------------------------


def png_of(values: np.ndarray, bits: int, **how) -> bytes:
    file, grey = io.BytesIO(), values.ndim == 2
    writer = png.Writer(values.shape[1], values.shape[0], greyscale=grey, bitdepth=bits, **how)
    writer.write_array(file, values.ravel().tolist())
    return file.getvalue()


def tiff_of(pixels: np.ndarray, **how) -> bytes:
    tifffile.imwrite(file := io.BytesIO(), pixels, **how)
    return file.getvalue()


def with_tag(data: bytes, tag: int, value: int) -> bytes:
    """Return a TIFF one tag of which has another value."""
    changed = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        at = opened.pages.first.tags[tag].valueoffset
    changed[at : at + 2] = struct.pack("<H", value)
    return bytes(changed)


def meant() -> Iterator[tuple[str, bytes, np.ndarray | None, float]]:
    """Yield (name, file, the pixels as they are seen in 0 to 255 or None where a sentence is due, tolerance)."""
    for bits in (1, 2, 4, 8, 16):
        for interlace, transparent in itertools.product((False, True), (None, 0, 1)):
            grey = (GREY.astype(int) * (2**bits - 1) // 255).astype(int)
            data = png_of(grey, bits, interlace=interlace, transparent=transparent)
            yield (
                f"grey-{bits}-{interlace}-{transparent}.png",
                data,
                grey * 255 / (2**bits - 1),
                0.5 / 255 if bits < 8 else 1e-6,
            )
    for bits, interlace in itertools.product((8, 16), (False, True)):
        values = PHOTO.astype(int) * (1 if bits == 8 else 257)
        data = png_of(values, bits, interlace=interlace, transparent=tuple(values[0, 0].tolist()))
        yield f"colour-{bits}-{interlace}.png", data, PHOTO, 1e-6
    alpha = np.full((40, 40, 1), 128, np.uint8)
    for depth, (kind, extra) in itertools.product(
        (1, 257), (("assocalpha", True), ("unassalpha", True), ("unspecified", False))
    ):
        for colours, how in ((PHOTO, {"photometric": "rgb"}), (GREY[..., None], {"photometric": "minisblack"})):
            shown = (colours * (128 / 255)).round() if kind == "assocalpha" else colours
            layers = np.concatenate([shown.astype(np.uint8), alpha], -1).astype(f"u{1 if depth == 1 else 2}") * depth
            data = tiff_of(layers, extrasamples=[kind], planarconfig="contig", **how)
            yield f"{kind}-{depth}-{colours.shape[-1]}.tif", data, colours.squeeze() if extra else None, 1.2 / 128
    for name, compression in itertools.product(
        ("RGB", "L", "RGBA"), ("tiff_lzw", "jpeg", "zstd", "packbits", "lzma", "tiff_adobe_deflate", None)
    ):
        if (name, compression) == ("RGBA", "jpeg"):
            continue
        picture = PICTURE.convert(name)
        seen = np.asarray(picture)[..., :3] if name != "L" else np.asarray(picture)
        how = {"quality": 100} if compression == "jpeg" else {}
        yield (
            f"{name}-{compression}.tif",
            encoded(picture, "tiff", compression=compression, **how),
            seen,
            0.1 if how else 1e-6,
        )
    deep = GREY.astype(np.uint16) * 257
    for compression in ("tiff_lzw", "zstd", None):
        data = encoded(Image.fromarray(deep), "tiff", compression=compression)
        yield f"deep-{compression}.tif", data, GREY, 1e-6
        yield f"deep-white-{compression}.tif", with_tag(data, 262, 0), 255 - GREY, 1e-6
        grey = encoded(Image.fromarray(GREY), "tiff", compression=compression)
        yield f"white-{compression}.tif", with_tag(grey, 262, 0), 255 - GREY, 1e-6
    two = Image.fromarray(GREY > 99)
    for compression in ("group3", "group4", "tiff_ccitt", None):
        yield f"fax-{compression}.tif", encoded(two, "tiff", compression=compression), np.asarray(two) * 255.0, 1e-6
    for depth, compression in itertools.product((1, 257), (None, "zlib")):
        values = PHOTO.astype(f"u{1 if depth == 1 else 2}") * depth
        planes = tiff_of(values.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", compression=compression)
        yield f"planes-{depth}-{compression}.tif", planes, PHOTO, 1e-6
        tiled = tiff_of(values, photometric="rgb", tile=(16, 16), compression=compression)
        yield f"tiles-{depth}-{compression}.tif", tiled, PHOTO, 1e-6
    lzw = with_tag(tiff_of(PHOTO.astype(np.uint16) * 257, photometric="rgb"), 259, 5)
    yield "deep-colour-lzw.tif", lzw, None, 0
    yield "big.tif", tiff_of(PHOTO, photometric="rgb", bigtiff=True), PHOTO, 1e-6
    yield "big-endian.tif", tiff_of(deep, byteorder=">"), GREY, 1e-6
    yield "palette.tif", encoded(PICTURE.quantize(16), "tiff"), np.asarray(PICTURE.quantize(16).convert("RGB")), 1e-6
    for kind in ("jpeg", "tiff"):
        yield (
            f"cmyk.{kind[:3]}",
            encoded(PICTURE.convert("CMYK"), kind, **({"quality": 100} if kind == "jpeg" else {})),
            PHOTO,
            0.1,
        )
    yield "lab.tif", encoded(Image.new("LAB", (40, 40)), "tiff"), None, 0
    yield (
        "infrared.tif",
        tiff_of(np.zeros((40, 40, 5), np.uint8), photometric="rgb", extrasamples=["unspecified"] * 2),
        None,
        0,
    )


def meanings() -> list[Row]:
    row = Row(
        "meanings",
        "PNG and TIFF whose depth, transparency, compression, planes or colour type change what the values mean",
    )
    whole = Row("meanings", "of these, through `dip-repro denoise`")
    calls = []
    with tempfile.TemporaryDirectory() as name:
        for number, (what, data, expected, tolerance) in enumerate(meant()):
            path = Path(name) / what
            path.write_bytes(data)
            if expected is None:
                became = judged(what, lambda p=path: bool(files.read(p)) and False)
            else:
                became = never_told(judged(what, lambda p=path, e=expected, t=tolerance: reads(p, e, t)), what)
            row.count(became)
            if number % 5 == 0 and became in (RIGHT, TOLD):
                out = path.with_name(f"{what}-out.tif")
                right = None if became == TOLD else lambda o=out: files.read(o).pixels.shape[1:] == (40, 40)
                calls.append(functools.partial(command, "denoise", path, "--out", out, *SHORT, right=right))
        whole.count(*side_by_side(calls))
    return [row, whole]


# ---- Masks -----------------------------------------------------------------------------------------------------------


def masks() -> list[Row]:
    row = Row(
        "masks",
        "`dip-repro inpaint` with masks of every size, colour and transparency, NaN, painted copies, `--max-size`",
    )
    hole = np.ones((40, 40), bool)
    hole[10:16, 8:30] = False
    wide = np.ones((40, 40), bool)  # of what is painted, the pixels beside count as missing too
    wide[9:17, 7:31] = False
    painted = PHOTO.copy()
    painted[~hole] = (255, 0, 0)
    flood = PHOTO.copy()
    flood[:, :25] = (255, 0, 0)
    opaque = np.where(hole, 255, 0).astype(np.uint8)
    white, shown = np.full((40, 40, 3), 255, np.uint8), np.dstack([PHOTO, opaque])
    floats = PHOTO.astype(np.float32) / 255
    floats[~hole] = np.nan
    broken = floats.copy()
    broken[0, 0] = np.nan
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def put(file: str, pixels: np.ndarray) -> Path:
            if file.endswith(".tif"):
                tifffile.imwrite(folder / file, pixels, photometric="rgb")
            else:
                Image.fromarray(pixels).save(folder / file)
            return folder / file

        photo, mask = put("photo.png", PHOTO), put("mask.png", opaque)
        calls: list[Callable[[], str]] = []

        def tried(ok: bool, photo: Path, *more, known: np.ndarray = hole) -> None:
            out = folder / f"out-{len(calls)}.{'tif' if photo.suffix == '.tif' else 'png'}"

            def right() -> bool:
                seen = files.read(out).pixels.permute(1, 2, 0).numpy()
                if seen.shape != PHOTO.shape:
                    return max(seen.shape[:2]) < 40 and bool(np.isfinite(seen).all())
                return bool(np.isfinite(seen).all()) and np.abs(seen - PHOTO / 255)[known].max() < 1e-6

            arguments = ("inpaint", photo, *more, "--out", out, *SHORT)
            calls.append(functools.partial(command, *arguments, right=right if ok else None))

        for limit in ((), ("--max-size", 40), ("--max-size", 30), ("--max-size", 99)):
            tried(True, photo, mask, *limit)
            for height, width in ((30, 40), (40, 30), (30, 30), (80, 80), (1, 1)):
                other = put(f"{height}x{width}.png", np.zeros((height, width), np.uint8))
                tried(False, photo, other, *limit)
            tried(True, put("nan.tif", floats), mask, *limit)
            tried(True, put("nan.tif", floats), *limit)
            tried(False, put("broken.tif", broken), mask, *limit)
            tried(True, put("clear.png", shown), mask, *limit)
            tried(True, put("clear.png", shown), *limit)
            tried(True, photo, put("clear-mask.png", np.dstack([white, opaque])), *limit)
            tried(False, photo, *limit)
        for colour in ("black", "Black", "BLACK", "#000000", "#000", "rgb(0,0,0)", "hsl(0,0%,0%)"):
            tried(True, photo, mask, "--missing", colour)
        for colour in ("white", "White", "#FFFFFF", "#fff"):
            tried(True, photo, put("white.png", 255 - opaque), "--missing", colour)
        for colour in ("red", "RED", "#ff0000", "#F00"):
            tried(True, photo, put("painted.png", painted), "--missing", colour, known=wide)
            tried(False, photo, put("flood.png", flood), "--missing", colour)
        for wrong in ("", "rot", "#12", "12", "rgb(1)"):
            tried(False, photo, mask, "--missing", wrong)
        tried(False, photo, put("painted.png", painted))
        tried(False, photo, photo)
        tried(False, photo, put("nothing.png", white))
        tried(False, photo, put("everything.png", 0 * white))
        for kind in ("jpg", "jpeg"):
            arguments = ("inpaint", photo, mask, "--out", folder / f"x.{kind}", *SHORT)
            calls.append(functools.partial(command, *arguments))
        row.count(*side_by_side(calls))
    return [row]


# ---- Devices, encodings, places --------------------------------------------------------------------------------------

DEVICES = ("cuda", "cuda:7", "mps", "xpu", "vulkan", "meta", "xla", "hpu", "mtia", "ipu", "lazy", "abacus", "")
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-8", "utf-16")
NAMES = ("photo.png", "写真.png", "фото é.png", "a b'\"$(c).png")


def places() -> list[Row]:
    devices = Row("places", "devices that are not there, in each command and in the API")
    encodings = Row("places", "names of every script in terminals of every encoding, a full and a closed stdout")
    names = Row(
        "places",
        "names of up to 255 bytes, folders that may not be entered, folders and pipes in the place of files, limits",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        photo, mask = folder / "photo.png", folder / "mask.png"
        PICTURE.save(photo)
        known = np.full((40, 40), 255, np.uint8)
        known[9:15] = 0
        Image.fromarray(known).save(mask)
        calls: list[Callable[[], str]] = []
        for device in DEVICES:
            for what in (("denoise", photo), ("dejpeg", photo), ("upscale", photo), ("inpaint", photo, mask)):
                calls.append(functools.partial(command, *what, "--iterations", 2, "--device", device))
            calls.append(functools.partial(command, "study", "doctor", "--side", 32, "--device", device))
            devices.count(
                judged(device, lambda d=device: denoise(PHOTO, iterations=1, progress=False, device=d) is None)
            )
        devices.count(*side_by_side(calls))
        for device in (None, "cpu", torch.device("cpu")):
            right = judged(str(device), lambda d=device: denoise(PHOTO, **FEW | {"device": d}).shape == PHOTO.shape)
            devices.count(never_told(right, str(device)))

        calls = []
        for encoding, file in itertools.product(ENCODINGS, NAMES):
            at = folder / encoding / file
            at.parent.mkdir(exist_ok=True)
            PICTURE.save(at)
            out = at.with_name(f"{at.stem}-restored.png")
            right = lambda o=out: files.read(o).pixels.shape == (3, 40, 40)  # noqa: E731
            calls.append(
                functools.partial(command, "denoise", at, *SHORT, right=right, fresh=True, PYTHONIOENCODING=encoding)
            )
        encodings.count(*side_by_side(calls))
        for number, stream in enumerate(("open('/dev/full', 'w')", "None")):
            out = folder / f"stream-{number}.png"
            prelude = f"import sys; sys.stdout = {stream}"
            became = denoised(photo, out, prelude=prelude, fresh=True)
            encodings.count(became)

        (folder / "closed").mkdir()
        PICTURE.save(folder / "closed" / "photo.png")
        (folder / "closed").chmod(0o000)
        (folder / "unreadable.png").write_bytes(photo.read_bytes())
        (folder / "unreadable.png").chmod(0o000)
        (folder / "folder.png").mkdir()
        long = "y" * 251
        for ok, arguments in (
            (False, ("denoise", folder / "closed" / "photo.png")),
            (False, ("denoise", folder / "unreadable.png")),
            (False, ("denoise", photo, "--out", folder / "closed" / "x.png")),
            (False, ("inpaint", photo, folder / "closed" / "mask.png")),
            (False, ("denoise", folder / "folder.png")),
            (False, ("denoise", photo, "--out", folder / "folder.png")),
            (False, ("denoise", photo, "--out", folder)),
            (False, ("denoise", photo, "--out", photo / "x.png")),
            (False, ("denoise", photo / "x.png")),
            (False, ("denoise", folder / (long + "zz.png"))),
            (False, ("denoise", photo, "--out", folder / (long + "zz.png"))),
            (False, ("denoise", folder / ("d/" * 3000) / "x.png")),
            (False, ("denoise", "/dev/null")),
            (False, ("denoise", "/dev/zero")),
            (False, ("denoise", "-")),
            (False, ("denoise", "")),
            (False, ("denoise", "http://nowhere.invalid/photo.png")),
            (False, ("study", "table", "--records", folder / "nowhere")),
            (False, ("study", "table", "restoration-50", "--records", folder / "nowhere")),
            (False, ("study", "collect", folder / "nowhere", "--out", folder / "records")),
            (False, ("study", "verify", folder / "nowhere.json")),
            (True, ("denoise", photo, "--out", folder / (long + ".png"))),
            (True, ("denoise", photo, "--out", folder / ("写" * 83 + ".png"))),
        ):
            more = SHORT if arguments[0] != "study" else ()
            names.count(command(*arguments, *more, right=(lambda: True) if ok else None, bound=True))
        for file in ("写" * 76 + ".png", "x" * 240 + ".png", "x" * 251 + ".png"):
            PICTURE.save(folder / file)
            names.count(command("denoise", folder / file, *SHORT, right=lambda: True))
            names.count(command("inpaint", folder / file, mask, *SHORT, right=lambda: True))
        wide, tall = folder / "wide.png", folder / "tall.png"
        Image.fromarray(np.tile(PHOTO[:5], (1, 120, 1))).save(wide)
        Image.fromarray(np.tile(PHOTO[:, :5], (120, 1, 1))).save(tall)
        for path, suffix in itertools.product((wide, tall), ("webp", "gif", "bmp", "png.txt", "")):
            names.count(command("upscale", path, "--by", 4, "--out", folder / f"{path.stem}.{suffix}", *SHORT))
        (folder / "closed").chmod(0o755)
    return [devices, encodings, names]


# ---- Arrays ----------------------------------------------------------------------------------------------------------


def arrays() -> list[Row]:
    row = Row("arrays", "arrays, PIL images and tensors of every type, range and axis: what comes back is of the same")
    wrong = Row("arrays", "what is no picture")
    hole = np.zeros((40, 40), bool)
    hole[9:15] = True
    calls = {
        denoise: denoise,
        remove_jpeg: remove_jpeg,
        upscale: lambda image, **how: upscale(image, 2, **how),
        inpaint: lambda image, **how: inpaint(image, missing=hole, **how),
    }
    scales = {"uint8": 255, "uint16": 65535, ">u2": 65535, "float16": 1, "float32": 1, "float64": 255}
    alpha = np.dstack([PHOTO, np.full((40, 40), 200, np.uint8)])
    for (function, call), kind in itertools.product(calls.items(), scales):
        image = (PHOTO / 255 * scales[kind]).astype(kind)
        deep = (alpha / 255 * scales[kind]).astype(kind)
        by = 2 if function is upscale else 1
        for given, axis in (
            *(
                (image, "auto"),
                (image, -1),
                (image.transpose(2, 0, 1), 0),
                (image.transpose(0, 2, 1), 1),
                (image[::-1, ::-1], -1),
            ),
            *((image[..., 0], "auto"), (image[..., 0], None), (image[..., :1], -1), (deep, -1), (deep[..., 2:], -1)),
            (np.asfortranarray(image), -1),
        ):
            what = f"{function.__name__} {kind} {given.shape} {axis}"

            def right(call=call, given=given, axis=axis, by=by, function=function, most=scales[kind]) -> bool:
                made = call(given, channel_axis=axis, **FEW)
                channels = {None: -1, "auto": 2}.get(axis, axis)
                sides = [n * (1 if i == channels % 3 and given.ndim == 3 else by) for i, n in enumerate(given.shape)]
                same = made.dtype == given.dtype and list(made.shape) == sides and bool(np.isfinite(made).all())
                if function is inpaint and given.ndim == 2:
                    same = same and np.allclose(
                        made[~hole], given[~hole], atol=1e-2 * float(given.max()) * (given.dtype == np.float16) + 1e-6
                    )
                return same and made.min() >= 0 and made.max() <= most * 1.001

            row.count(never_told(judged(what, right), what))
        tensor = None if kind in (">u2",) else torch.from_numpy(image.transpose(2, 0, 1).copy())
        if tensor is not None:
            made = judged(kind, lambda c=call, t=tensor: (o := c(t, **FEW)).dtype == t.dtype and o.ndim == t.ndim)
            row.count(never_told(made, kind))
    for mode in ("L", "RGB", "RGBA", "LA", "P", "1", "CMYK", "YCbCr"):
        picture = PICTURE.convert(mode)
        row.count(never_told(judged(mode, lambda p=picture: denoise(p, **FEW).size == p.size), mode))
    for bad in (
        *(
            PHOTO.tolist(),
            None,
            "photo.png",
            3,
            PHOTO[None],
            PHOTO[:0],
            PHOTO.astype(int),
            PHOTO > 9,
            PHOTO.astype(complex),
        ),
        *(np.full((9, 9), np.nan), np.full((9, 9), np.inf), np.zeros((9, 9, 7), np.uint8), np.zeros(9), np.array(3.0)),
        *(
            np.zeros((1, 1), np.uint8),
            np.array([["a"]]),
            torch.zeros(2, 3, 40, 40),
            Image.new("HSV", (9, 9)),
            Image.new("LAB", (9, 9)),
        ),
    ):
        wrong.count(judged(f"{type(bad).__name__}", lambda b=bad: denoise(b, **FEW) is None))
    return [row, wrong]
