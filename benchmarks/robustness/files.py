"""Picture files of every kind, damaged ones, and ones that claim to be too large, given to the command line."""

from __future__ import annotations

import functools
import io
import itertools
import multiprocessing
import random
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import png
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps
from trial import RIGHT, TOLD, Row, command, fork, side_by_side

from dip_repro import images
from dip_repro.photo.files import open_picture
from dip_repro.runtime import UserError

PATIENCE = 20  # seconds for reading one small file
NAMES = {"png": "png", "jpg": "jpeg", "tif": "tiff", "webp": "webp", "gif": "gif", "bmp": "bmp"}  # Pillow's
MUTATED = 500

PHOTO = (images.resize(images.open_image("rocket"), 40) * 255).round().byte().permute(1, 2, 0).numpy()
PICTURE = Image.fromarray(PHOTO)
GREY = PICTURE.convert("L")
DEEP = np.asarray(GREY).astype(np.uint16) * 257
FLOATS = np.asarray(GREY).astype(np.float32) / 255


def read_as(file: Path, expected: np.ndarray | None, tolerance: float) -> bool:
    """Return whether `file` is read as `expected`, (H, W) or (H, W, 3) in [0, 1]; None is any."""
    pixels = open_picture(file).pixels.permute(1, 2, 0).numpy().squeeze()
    return expected is None or (
        pixels.shape == expected.squeeze().shape and np.abs(pixels - expected.squeeze()).max() <= tolerance
    )


def in_pieces(**how) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, how.pop("pixels"), **how)


def saved(picture: Image.Image, **how) -> Callable[[Path], None]:
    return lambda path: picture.save(path, **how)


def written(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data)


def encoded(picture: Image.Image, kind: str, **how) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def odd_pictures() -> list[tuple]:
    """Return (name, what writes it, the pixels that it holds or None where a sentence is due, tolerance)."""
    rgb, grey = PHOTO / 255, np.asarray(GREY) / 255
    two = {"save_all": True, "append_images": [PICTURE.rotate(90)]}
    palette = PICTURE.quantize(16)
    in_palette = np.asarray(palette.convert("RGB")) / 255
    clear = palette.copy()
    clear.info["transparency"] = 3
    black = np.asarray(GREY.point(lambda x: 255 * (x > 99), "1"))
    nan, infinite = FLOATS.copy(), FLOATS.copy()
    nan[3, 4], infinite[3, 4] = np.nan, np.inf
    deep_rgb = PHOTO.astype(np.uint16) * 257
    shapes = [(1, 1), (1, 40), (40, 1), (2, 2), (3, 5000), (5000, 3), (33, 47)]
    plain = Image.Image.resize
    cases = [
        (f"{h}x{w}.png", saved(plain(PICTURE, (w, h))), np.asarray(plain(PICTURE, (w, h))) / 255, 0.001)
        for h, w in shapes
    ]
    cases += [
        ("grey.png", saved(GREY), grey, 0.001),
        ("16-bit.png", saved(Image.fromarray(DEEP)), grey, 0.001),
        ("16-bit-colour.png", lambda p: png.from_array(deep_rgb.reshape(40, -1), "RGB;16").save(p), rgb, 0.001),
        ("16-bit.tif", in_pieces(pixels=DEEP), grey, 0.001),
        ("16-bit-colour.tif", in_pieces(pixels=deep_rgb, photometric="rgb"), rgb, 0.001),
        ("float.tif", in_pieces(pixels=FLOATS), grey, 0.001),
        ("deflate.tif", saved(PICTURE, compression="tiff_deflate"), rgb, 0.001),
        ("lzw.tif", saved(PICTURE, compression="tiff_lzw"), rgb, 0.001),
        ("planes.tif", in_pieces(pixels=PHOTO.transpose(2, 0, 1), photometric="rgb", planarconfig=2), rgb, 0.001),
        ("white-is-zero.tif", in_pieces(pixels=255 - np.asarray(GREY), photometric="miniswhite"), grey, 0.001),
        ("16-bit-white-is-zero.tif", in_pieces(pixels=65535 - DEEP, photometric="miniswhite"), grey, 0.001),
        ("signed.tif", in_pieces(pixels=(DEEP // 2).astype(np.int16)), None, 0),
        ("32-bit.tif", in_pieces(pixels=DEEP.astype(np.uint32)), None, 0),
        ("complex.tif", in_pieces(pixels=FLOATS.astype(np.complex64)), None, 0),
        ("black-and-white.png", saved(Image.fromarray(black)), black * 1.0, 0.001),
        ("black-and-white.tif", saved(Image.fromarray(black)), black * 1.0, 0.001),
        ("palette.png", saved(palette), in_palette, 0.001),
        ("palette-transparent.png", saved(clear), in_palette, 0.001),
        ("palette.gif", saved(palette), in_palette, 0.001),
        ("palette.tif", saved(palette), in_palette, 0.001),
        ("palette.bmp", saved(palette), in_palette, 0.001),
        ("cmyk.jpg", saved(PICTURE.convert("CMYK"), quality=100, subsampling=0), rgb, 0.05),
        ("cmyk.tif", saved(PICTURE.convert("CMYK")), rgb, 0.05),
        ("lab.tif", saved(Image.new("LAB", (40, 40))), None, 0),
        ("ycbcr.tif", saved(PICTURE, compression="jpeg", quality=100), rgb, 0.1),
        ("animated.gif", saved(PICTURE, **two), None, 0),
        ("animated.webp", saved(PICTURE, **two), None, 0),
        ("animated.png", saved(PICTURE, **two), None, 0),
        ("pages.tif", saved(PICTURE, **two), None, 0),
        ("of-a-phone.jpg", saved(PICTURE, format="MPO", quality=100, subsampling=0, **two), rgb, 0.05),
        ("nan.tif", in_pieces(pixels=nan), None, 0),
        ("infinite.tif", in_pieces(pixels=infinite), None, 0),
        ("beyond-one.tif", in_pieces(pixels=FLOATS * 300), None, 0),
        ("text.png", written(b"not a picture"), None, 0),
        ("text.tif", written(b"not a picture"), None, 0),
        ("folder.png", Path.mkdir, None, 0),
        ("folder.tif", Path.mkdir, None, 0),
        ("dangling.png", lambda p: p.symlink_to("nowhere"), None, 0),
        ("a-png-called.jpg", saved(PICTURE, format="png"), rgb, 0.001),
        ("a-png-called.tif", saved(PICTURE, format="png"), rgb, 0.001),
        ("a-tiff-called.png", saved(PICTURE, format="tiff"), rgb, 0.001),
        ("note-of-100-MB.png", written(with_note()), rgb, 0.001),
    ]
    for kind in NAMES:
        data = encoded(PICTURE, NAMES[kind])
        cases += [(f"empty.{kind}", written(b""), None, 0), (f"half.{kind}", written(data[: len(data) // 2]), None, 0)]
    return cases


def with_note() -> bytes:
    """Return a PNG whose compressed comment swells to 100 MB."""
    data = encoded(PICTURE, "png")
    return data[:33] + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10**8), 9)) + data[33:]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def kinds() -> list[Row]:
    """A file of each kind as a photo; some as a mask."""
    row = Row("images", "files of 1×1 to 3×5000, 16-bit, palette, CMYK, animated, NaN, empty, cut, misnamed")
    masks = Row("images", "such files as a mask")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def denoised(file: Path, expected: np.ndarray | None, tolerance: float) -> str:
            out = folder / f"{file.name}-out.tif"

            def right() -> bool:
                return open_picture(out).pixels.shape == open_picture(file).pixels.shape and read_as(
                    file, expected, tolerance
                )

            arguments = ("denoise", file, "--out", out, "--iterations", 2, "--device", "cpu")
            return command(*arguments, right=None if expected is None else right)

        calls = []
        for file, make, expected, tolerance in odd_pictures():
            make(folder / file)
            calls.append(functools.partial(denoised, folder / file, expected, tolerance))
        row.count(*side_by_side(calls))

        PICTURE.save(folder / "photo.png")
        known = np.ones((40, 40), np.uint8)
        known[10:20, 10:20] = 0
        whole = Image.fromarray(known * 255)
        good = [
            ("mask-grey.png", saved(whole)),
            ("mask-1-bit.png", saved(whole.convert("1"))),
            ("mask-palette.gif", saved(whole.convert("P"))),
            ("mask-16-bit.png", saved(Image.fromarray(known * np.uint16(65535)))),
            ("mask-cmyk.jpg", saved(whole.convert("CMYK"), quality=100)),
            ("mask-float.tif", in_pieces(pixels=known.astype(np.float32))),
        ]
        bad = [
            ("mask-animated.gif", saved(whole, save_all=True, append_images=[whole.rotate(30)])),
            ("mask-nan.tif", in_pieces(pixels=np.where(known, np.nan, 0).astype(np.float32))),
            ("mask-empty.png", written(b"")),
            ("mask-1x1.png", saved(whole.resize((1, 1)))),
            ("mask-all.png", saved(Image.new("L", (40, 40)))),
            ("mask-none.png", saved(Image.new("L", (40, 40), 255))),
        ]

        def filled(file: Path, good: bool) -> str:
            out = folder / f"{file.name}-filled.png"

            def right() -> bool:
                pixels = np.asarray(Image.open(out))
                return bool((pixels == PHOTO)[known == 1].all() and (pixels != PHOTO)[known == 0].any())

            arguments = ("inpaint", folder / "photo.png", file, "--out", out, "--iterations", 2)
            return command(*arguments, "--device", "cpu", right=right if good else None)

        calls = []
        for file, make in good + bad:
            make(folder / file)
            calls.append(functools.partial(filled, folder / file, (file, make) in good))
        masks.count(*side_by_side(calls))
    return [row, masks]


def bombs() -> list[Row]:
    """Small files that claim to be of 50000 × 50000 pixels: refused before memory is spent."""
    row = Row("bomb", "files of some kB that claim 50000 × 50000 pixels (WebP 16383 × 16383)")
    header = struct.pack(">IIBBBBB", 50000, 50000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(10**6), 9)
    jpeg = bytearray(encoded(PICTURE, "jpeg"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 50000, 50000)
    gif = bytearray(encoded(PICTURE, "gif"))
    gif[6:10] = struct.pack("<HH", 50000, 50000)
    bmp = bytearray(encoded(PICTURE, "bmp"))
    bmp[18:26] = struct.pack("<ii", 50000, 50000)
    files = {
        "bomb.png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""),
        "deep-bomb.png": b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 50000, 50000, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b""),
        "bomb.jpg": bytes(jpeg),
        "bomb.gif": bytes(gif),
        "bomb.bmp": bytes(bmp),
        "bomb.webp": webp_bomb(),
        "bomb.tif": tiff_bomb(),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def peak(arguments: tuple, tag: str) -> tuple[str, float]:
            """Return what became of a command, and the most memory that it held, in MB."""
            note = folder / f"{tag}.peak"
            prelude = (
                "import atexit, pathlib, resource\n"
                f"atexit.register(lambda: pathlib.Path({str(note)!r}).write_text("
                "str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)))"
            )
            became = command(*arguments, prelude=prelude, fresh=True)
            return became, int(note.read_text()) / 1024

        _, usual = peak(("denoise", folder / "missing.png"), "usual")
        most = 0.0
        for file, data in files.items():
            (folder / file).write_bytes(data)
            for arguments in (("denoise", folder / file), ("inpaint", "astronaut", folder / file)):
                became, held = peak((*arguments, "--device", "cpu"), file)
                most = max(most, held - usual)
                if became == TOLD and held > usual + 100:
                    became = f"{file}: told, but after {held - usual:.0f} MB were spent"
                row.count(became)
    row.note = f"at most {most:.0f} MB more than a command whose file is missing"
    return [row]


def webp_bomb() -> bytes:
    """Return a lossless WebP of 16383 × 16383 pixels of one colour, the most that the format holds."""
    return encoded(Image.new("L", (16383, 16383)), "webp", lossless=True, quality=0, method=0)


def tiff_bomb() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, PHOTO, compression="zlib", photometric="rgb")
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        for tag in ("ImageWidth", "ImageLength"):
            entry = tiff.pages[0].tags[tag]
            data[entry.valueoffset : entry.valueoffset + 4] = struct.pack("<HH", 50000, 0)
    return bytes(data)


def mutate(data: bytes, how: str, draw: random.Random) -> bytes:
    """Return `data` with one kind of damage."""
    data = bytearray(data)
    if how == "flips":
        for _ in range(draw.randint(1, 20)):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif how == "cut":
        del data[draw.randrange(len(data)) :]
    elif how == "inserted":
        at = draw.randrange(len(data))
        data[at:at] = draw.randbytes(draw.randint(1, 50))
    else:
        size = draw.randint(1, len(data) // 4)
        one, other = draw.randrange(len(data) - size), draw.randrange(len(data) - size)
        data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]
    return bytes(data)


def seeds() -> dict[str, list[bytes]]:
    """Return whole files of each format, from pictures that scikit-image holds."""
    colour = [Image.fromarray((images.resize(images.open_image(n), 48) * 255).byte().permute(1, 2, 0).numpy()) for n in
              ("astronaut", "coffee")]  # fmt: skip
    pictures, exif, profile = [*colour, GREY], Image.Exif(), ImageCms.createProfile("sRGB")
    exif[0x0112], exif[0x010F] = 6, "a camera"
    kept = {"exif": exif, "icc_profile": ImageCms.ImageCmsProfile(profile).tobytes()}
    files = {kind: [encoded(picture, NAMES[kind]) for picture in pictures] for kind in NAMES}
    for kind in ("png", "jpg", "webp"):
        files[kind].append(encoded(colour[0], NAMES[kind], **kept))
    files["png"] += [encoded(colour[0].quantize(64), "png"), encoded(Image.fromarray(DEEP), "png")]
    files["tif"] += [encoded(colour[1], "tiff", compression="tiff_deflate"), encoded(Image.fromarray(DEEP), "tiff")]
    files["webp"] += [encoded(colour[1], "webp", lossless=True)]
    return files


def mutated() -> list[tuple[str, str, bytes, bytes]]:
    """Return (file name, what was done, the damaged bytes, the whole file's), the same at every call."""
    whole, made = seeds(), []
    for number, (how, kind) in zip(
        range(MUTATED), itertools.cycle(itertools.product(("flips", "cut", "inserted", "swapped"), NAMES))
    ):
        draw = random.Random(number)
        seed = draw.choice(whole[kind])
        made.append((f"{number:03d}-{how}.{kind}", how, mutate(seed, how, draw), seed))
    return made


def by_another(file: Path) -> np.ndarray | None:
    """Return what another reader makes of the file, (H, W, 1 or 3) in [0, 1], None where it refuses.

    PNG by pypng, which shares no code with Pillow; TIFF by Pillow, where the package uses tifffile; the rest by Pillow.
    """
    try:
        if file.suffix == ".png":
            width, height, rows, info = png.Reader(filename=str(file)).asDirect()
            pixels = np.vstack(list(rows)).reshape(height, width, info["planes"]) / (2 ** info["bitdepth"] - 1)
        else:
            with Image.open(file) as opened:
                opened = ImageOps.exif_transpose(opened)
                if opened.mode not in ("L", "RGB", "RGBA", "I;16"):
                    opened = opened.convert("RGBA" if "transparency" in opened.info else "RGB")
                pixels = np.asarray(opened)
            pixels = pixels / (255 if pixels.dtype == np.uint8 else 65535)
    except Exception:  # noqa: BLE001 - whatever it is: it refuses
        return None
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels[..., : 1 if pixels.shape[-1] < 3 else 3]


def judged(file: Path, how: str, whole: bytes) -> str:
    """Return what reading the damaged file gives, as a photo and as a mask."""
    try:
        image = open_picture(file).pixels
        known = images.as_mask(image)
    except UserError as error:
        return TOLD if "\n" not in str(error) and file.name in str(error) else f"{file.name}: {error}"
    if not (image.isfinite().all() and known.shape == (1, *image.shape[-2:])):
        return f"{file.name}: the pixels are not an image"
    original = file.with_name(f"whole-{file.name}")
    original.write_bytes(whole)
    if how == "cut" or file.suffix == ".png":  # PNG has checksums
        same = torch.equal(image, open_picture(original).pixels)
        return RIGHT if same else f"{file.name}: taken, and not the picture that it was before it was {how}"
    other = by_another(file)
    if other is None:
        return f"{file.name}: taken, and another reader refuses it"
    same = other.shape == tuple(image.permute(1, 2, 0).shape)
    same = same and np.abs(other - image.permute(1, 2, 0).numpy()).max() < 1e-3
    return RIGHT if same else f"{file.name}: taken, and another reader makes another picture of it"


def watched(file: Path, how: str, whole: bytes) -> str:
    """Judge a file in a process of its own, so that a hang or a crash of a decoder is seen."""
    here, there = multiprocessing.Pipe(duplex=False)

    def work() -> None:
        try:
            there.send(judged(file, how, whole))
        except BaseException as error:  # noqa: BLE001 - what a user would see as a traceback
            there.send(f"{file.name}: a traceback: {type(error).__name__}: {error}")

    process = fork.Process(target=work)
    process.start()
    there.close()
    if not here.poll(PATIENCE):
        process.kill()
        return f"{file.name}: hung for {PATIENCE} s"
    try:
        return here.recv()
    except EOFError:
        return f"{file.name}: the process died"
    finally:
        process.join()


def mutations() -> list[Row]:
    """Damaged files: each read by itself, some by the whole command line."""
    rows = {
        how: Row("mutations", f"{what}: reading as a photo and as a mask")
        for how, what in {
            "flips": "1 to 20 bits flipped",
            "cut": "cut at a random byte",
            "inserted": "1 to 50 random bytes inserted",
            "swapped": "two blocks exchanged",
        }.items()
    }
    whole = Row("mutations", "of these, through `dip-repro denoise`")
    calls = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (file, how, data, seed) in enumerate(mutated()):
            (folder / file).write_bytes(data)
            became = watched(folder / file, how, seed)
            rows[how].count(became)
            if number % 17 == 0:  # of every format and every damage
                calls.append(functools.partial(as_read, folder / file, became))
        whole.count(*side_by_side(calls))
    return [*rows.values(), whole]


def as_read(file: Path, became: str) -> str:
    """Denoise a damaged file, and return what became of it: it must be what reading it by itself gave."""
    out = file.with_name(f"{file.name}-out.tif")
    arguments = ("denoise", file, "--out", out, "--iterations", 2, "--device", "cpu")
    return command(*arguments, right=None if became == TOLD else lambda: out.exists(), fresh=True)
