"""What a file holds beside its pixels never stops them from being read; it is kept, or a line says what is not."""

import io
import itertools
import random
import struct
import zlib

import numpy as np
import png
import pytest
import tifffile
import torch
from conftest import call
from PIL import Image, ImageCms

from dip_repro.photo import files, metadata
from dip_repro.photo.metadata import chunk

Y, X = np.mgrid[:20, :30]
RGB = np.stack([40 + 5 * X, 60 + 8 * Y, 200 - 6 * X], -1).astype(np.uint8)
GREY = RGB[..., 1]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(pixels, kind="png", **how) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **how)
    return file.getvalue()


def put(data: bytes, *more: bytes) -> bytes:
    """Return a PNG with chunks put in before its pixels."""
    at = data.index(b"IDAT") - 4
    return data[:at] + b"".join(more) + data[at:]


def with_exif(exif: bytes, pixels=RGB) -> bytes:
    data = encoded(pixels, "jpeg", quality=95)
    return data[:2] + metadata.segment(0xE1, b"Exif\0\0" + exif) + data[2:]


def exif(*entries: tuple, order="<") -> bytes:
    """Return EXIF of one directory, from (tag, type, count, the four bytes of the value)."""
    directory = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries)
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(entries)) + directory + bytes(4)


def same(path, pixels, tolerance=1e-6) -> files.Picture:
    """Read a file, see that its pixels are these, (H, W) or (H, W, C) in 0 to 255, and return it."""
    picture = files.read(path)
    expected = torch.from_numpy(np.atleast_3d(pixels).transpose(2, 0, 1) / 255).float()
    torch.testing.assert_close(picture.pixels, expected, rtol=0, atol=tolerance)
    return picture


# ---- Pixels that a mode or a tag means otherwise ---------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_transparent_grey_value_is_transparent_in_any_depth(tmp_path, bits, interlaced):
    grey = (GREY.astype(int) * (2**bits - 1) // 255).astype(np.uint16)
    marked = int(grey[3, 4])
    writer = png.Writer(30, 20, greyscale=True, bitdepth=bits, transparent=marked, interlace=interlaced)
    with (tmp_path / "x.png").open("wb") as file:
        writer.write_array(file, grey.ravel().tolist()) if interlaced else writer.write(file, grey.tolist())
    picture = same(tmp_path / "x.png", grey.astype(float) * 255 / (2**bits - 1), 1 / 255 if bits < 8 else 1e-6)
    assert picture.bits == max(8, bits)
    assert torch.equal(picture.alpha[0] == 0, torch.from_numpy(grey == marked))
    out = tmp_path / "y.png"
    files.save_picture(picture, out)
    again = files.read(out)
    assert again.bits == picture.bits and torch.equal(again.pixels, picture.pixels)
    assert torch.equal(again.alpha, picture.alpha)


def test_a_transparent_colour_is_transparent_in_16_bits(tmp_path):
    deep = RGB.astype(np.uint16) * 257
    writer = png.Writer(30, 20, greyscale=False, bitdepth=16, transparent=tuple(deep[0, 0].tolist()))
    with (tmp_path / "x.png").open("wb") as file:
        writer.write(file, deep.reshape(20, -1).tolist())
    assert same(tmp_path / "x.png", RGB).alpha[0, 0, 0] == 0


def test_premultiplied_colours_are_read_as_they_are_seen(tmp_path):
    alpha = np.full((20, 30, 1), 64, np.uint8)
    alpha[:4] = 0
    premultiplied = np.concatenate([(RGB * (alpha / 255)).round().astype(np.uint8), alpha], -1)
    how = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    tifffile.imwrite(tmp_path / "x.tif", premultiplied, **how)
    tifffile.imwrite(tmp_path / "deep.tif", premultiplied.astype(np.uint16) * 257, **how)
    for name in ("x.tif", "deep.tif"):
        picture = files.read(tmp_path / name)
        seen = torch.from_numpy(RGB[4:].transpose(2, 0, 1) / 255).float()
        assert (picture.pixels[:, 4:] - seen).abs().max() < 2.5 / 255  # of 64 values
        assert (picture.pixels[:, :4] == 0).all()
        files.save_picture(picture, tmp_path / f"out-{name}")
        again = files.read(tmp_path / f"out-{name}")
        assert torch.equal(again.pixels, picture.pixels) and torch.equal(again.alpha, picture.alpha)


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "zstd", "tiff_adobe_deflate", "packbits", "lzma", None])
@pytest.mark.parametrize("pixels", [RGB, GREY], ids=["RGB", "grey"])
def test_every_compression_of_8_bits_is_read(tmp_path, compression, pixels):
    how = {"quality": 100} if compression == "jpeg" else {}
    (tmp_path / "x.tif").write_bytes(encoded(pixels, "tiff", compression=compression, **how))
    same(tmp_path / "x.tif", pixels, 0.02 if compression == "jpeg" else 1e-6)


@pytest.mark.parametrize("compression", ["tiff_lzw", "zstd", None])
def test_16_bit_grey_of_any_compression_is_read(tmp_path, compression):
    (tmp_path / "x.tif").write_bytes(encoded(GREY.astype(np.uint16) * 257, "tiff", compression=compression))
    assert same(tmp_path / "x.tif", GREY).bits == 16


@pytest.mark.parametrize(
    ("pixels", "code", "name"),
    [(RGB.astype(np.uint16) * 257, 5, "LZW"), (RGB, 34712, "JPEG2000"), (RGB, 34887, "LERC"), (RGB, 50002, "JPEGXL")],
)
def test_a_compression_whose_decoder_is_missing_is_named(tmp_path, pixels, code, name):
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb")
    data = bytearray((tmp_path / "x.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "x.tif") as opened:
        at = opened.pages.first.tags[259].valueoffset
    data[at : at + 2] = struct.pack("<H", code)
    (tmp_path / "x.tif").write_bytes(data)
    with pytest.raises(files.UserError, match=f"compressed by {name}: pip install imagecodecs"):
        files.read(tmp_path / "x.tif")


def test_damage_is_no_missing_decoder(tmp_path):
    lzw = encoded(RGB, "tiff", compression="tiff_lzw")
    (tmp_path / "cut.tif").write_bytes(lzw[:8] + bytes(600) + lzw[608:])
    with pytest.raises(files.UserError, match="damaged"):
        files.read(tmp_path / "cut.tif")


def test_fax_planes_white_is_zero_palettes_and_cmyk_are_read(tmp_path):
    two = GREY > 128
    Image.fromarray(two).save(tmp_path / "fax.tif", compression="group4")
    same(tmp_path / "fax.tif", two * 255)
    for bits in (8, 16):
        planes = RGB.transpose(2, 0, 1).astype(f"u{bits // 8}") * (1 if bits == 8 else 257)
        tifffile.imwrite(tmp_path / f"planes{bits}.tif", planes, photometric="rgb", planarconfig="separate")
        same(tmp_path / f"planes{bits}.tif", RGB)
        white = ~(GREY.astype(f"u{bits // 8}") * (1 if bits == 8 else 257))
        tifffile.imwrite(tmp_path / f"white{bits}.tif", white, photometric="miniswhite")
        same(tmp_path / f"white{bits}.tif", GREY)
        path = tmp_path / f"lzw{bits}.tif"
        Image.fromarray(white).save(path, compression="tiff_lzw")
        with tifffile.TiffFile(path, mode="r+") as opened:
            opened.pages.first.tags[262].overwrite(0)
        same(path, GREY)
    palette = Image.fromarray(RGB).quantize(16)
    palette.save(tmp_path / "palette.tif")
    same(tmp_path / "palette.tif", np.asarray(palette.convert("RGB")))
    cmyk = Image.new("CMYK", (30, 20), (0, 255, 255, 0))
    cmyk.save(tmp_path / "cmyk.tif")
    assert files.read(tmp_path / "cmyk.tif").pixels.mean((1, 2)).tolist() == pytest.approx([1, 0, 0], abs=0.1)


# ---- What is beside the pixels, faulty -------------------------------------------------------------------------------

RANDOM = random.Random(0)
FAULTY = {
    "garbage": RANDOM.randbytes(300),
    "empty": b"",
    "no directory": b"II*\0\xff\xff\xff\x7f",
    "endless": b"II*\0\x08\0\0\0\xff\xff" + bytes(50),
    "text for a number": exif((274, 2, 2, b"6\0\0\0"), (256, 2, 4, b"abc\0")),
    "a rational for text": exif((271, 5, 1, struct.pack("<I", 9))),
    "a directory beyond": exif((34665, 4, 1, struct.pack("<I", 10**6))),
    "a directory within itself": exif((34665, 4, 1, struct.pack("<I", 8))),
    "many": exif((274, 3, 10**9, bytes(4))),
    "orientation 77": exif((274, 3, 1, struct.pack("<HH", 77, 0))),
    "a type of no kind": exif((274, 99, 1, struct.pack("<HH", 6, 0))),
}


@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_faulty_exif_does_not_stop_the_pixels(tmp_path, name, kind):
    path = tmp_path / f"x.{kind}"
    if kind == "jpg":
        path.write_bytes(with_exif(FAULTY[name]))
        expected = np.asarray(Image.open(io.BytesIO(encoded(RGB, "jpeg", quality=95))))
    else:
        expected = RGB
        exif = {"exif": FAULTY[name]} if kind == "webp" and FAULTY[name] else {}
        data = encoded(RGB, kind, lossless=True, **exif)
        path.write_bytes(put(data, chunk(b"eXIf", FAULTY[name])) if kind == "png" else data)
    picture = same(path, expected)
    for out in ("png", "jpg", "webp", "tif"):
        files.save_picture(picture, tmp_path / f"out.{out}")
        assert files.read(tmp_path / f"out.{out}").pixels.shape == (3, 20, 30)


ENTRIES = [(271, 2, 4, b"abc\0"), (274, 3, 1, b"\1\0\0\0"), (282, 5, 1, b"\x08\0\0\0"), (34665, 4, 1, b"\x08\0\0\0")]


@pytest.mark.parametrize(("kind", "count"), random.Random(1).sample(list(itertools.product(range(16), range(5))), 12))
def test_a_tag_of_a_wrong_type_or_count_does_not_stop_the_pixels(tmp_path, kind, count):
    """Some of those that benchmarks/robustness tries whole."""
    expected = np.asarray(Image.open(io.BytesIO(encoded(RGB, "jpeg", quality=95))))
    for number, wrong in enumerate(ENTRIES):
        entries = [
            (tag, kind, count, value) if tag == wrong[0] else (tag, *rest)
            for tag, *rest in ENTRIES
            for value in [rest[2]]
        ]
        (tmp_path / "x.jpg").write_bytes(with_exif(exif(*entries)))
        files.save_picture(same(tmp_path / "x.jpg", expected), tmp_path / f"{number}.png")


def test_long_and_broken_chunks_do_not_stop_the_pixels(tmp_path):
    text = zlib.compress(b"long " * 400_000)
    profile = SRGB + bytes(2 * 10**6)
    broken = chunk(b"iCCP", b"x\0\0" + b"no zlib")
    wrong = bytearray(chunk(b"gAMA", struct.pack(">I", 45455)))
    wrong[-1] ^= 1  # its checksum
    for name, more in {
        "text": (chunk(b"zTXt", b"Comment\0\0" + text), chunk(b"iTXt", b"Comment\0\1\0\0\0" + text)),
        "profile": (chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)),),
        "broken": (broken, bytes(wrong), chunk(b"pHYs", b"short"), chunk(b"iTXt", b"XML:com.adobe.xmp\0")),
        "unknown": (chunk(b"abCd", b"?"), chunk(b"tEXt", b"")),
    }.items():
        (tmp_path / f"{name}.png").write_bytes(put(encoded(RGB), *more))
        picture = same(tmp_path / f"{name}.png", RGB)
        for out in ("png", "jpg"):
            files.save_picture(picture, tmp_path / f"{name}-out.{out}")
            files.read(tmp_path / f"{name}-out.{out}")
        if name == "profile":
            assert files.read(tmp_path / "profile-out.png").beside.profile == profile
        if name == "broken":
            said = files.left_out(tmp_path / "new.png", picture, (20, 30))
            assert "its colour profile" in said and "gAMA" in said and "its resolution" in said and "its XMP" in said


def test_a_broken_profile_of_cmyk_is_left_out_with_a_line(tmp_path):
    (tmp_path / "x.jpg").write_bytes(encoded(RGB, "jpeg"))
    Image.new("CMYK", (30, 20), (0, 255, 255, 0)).save(tmp_path / "x.jpg", icc_profile=b"no profile" * 20)
    picture = files.read(tmp_path / "x.jpg")
    assert picture.pixels.mean((1, 2)).tolist() == pytest.approx([1, 0, 0], abs=0.1)
    assert "converted without it" in files.left_out(tmp_path / "y.png", picture, (20, 30))


def test_faulty_tags_do_not_stop_a_tiff(tmp_path):
    for compression in ("tiff_lzw", None):
        data = encoded(RGB, "tiff", compression=compression, dpi=(300, 300), icc_profile=SRGB, description="a garden")
        (tmp_path / "x.tif").write_bytes(data)
        with tifffile.TiffFile(tmp_path / "x.tif") as opened:
            beside = [tag for tag in opened.pages.first.tags if tag.code not in metadata.OF_PIXELS]
        assert len(beside) > 4
        for tag, (at, what) in itertools.product(
            beside, {2: b"\2\0", 3: b"\x77\x07", 4: b"\xff\xff", 8: b"\xff\xff\xff\xff"}.items()
        ):
            changed = bytearray(data)
            changed[tag.offset + at : tag.offset + at + len(what)] = what
            (tmp_path / "x.tif").write_bytes(changed)
            same(tmp_path / "x.tif", RGB)


# ---- What is beside the pixels, sound --------------------------------------------------------------------------------

GAMMA, PRIMARIES = struct.pack(">I", 100000), struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6" exif:PixelXDimension="30"/></x:xmpmeta>'


def test_what_the_values_of_a_png_mean_is_kept(tmp_path):
    more = chunk(b"gAMA", GAMMA), chunk(b"cHRM", PRIMARIES), chunk(b"cICP", bytes([9, 16, 0, 1]))
    (tmp_path / "x.png").write_bytes(put(encoded(RGB, dpi=(300, 300)), *more, chunk(b"tEXt", b"Title\0Garden")))
    picture = same(tmp_path / "x.png", RGB)
    files.save_picture(picture, tmp_path / "y.png")
    written = (tmp_path / "y.png").read_bytes()
    assert all(part in written for part in more) and b"Title\0Garden" in written
    assert Image.open(tmp_path / "y.png").info["dpi"] == pytest.approx((300, 300), abs=0.02)
    said = files.left_out(tmp_path / "y.jpg", picture, (20, 30))
    assert said == "y.jpg will be without cICP, gamma, primaries, text"
    (tmp_path / "z.png").write_bytes(put(encoded(RGB), chunk(b"sRGB", b"\0"), chunk(b"gAMA", metadata.SRGB[b"gAMA"])))
    assert not files.left_out(
        tmp_path / "y.jpg", files.read(tmp_path / "z.png"), (20, 30)
    )  # sRGB is what JPEG is taken for


@pytest.mark.parametrize("kind", ["png", "jpg", "tif"])
@pytest.mark.parametrize("source", ["png", "jpg", "tif"])
def test_resolution_and_xmp_are_kept(tmp_path, kind, source):
    xmp = XMP.replace(b'"6"', b'"1"').replace(b'"30"', b'"60"')
    if source == "tif":
        how = {"resolution": (300, 300), "resolutionunit": "INCH", "extratags": [(700, "B", len(XMP), XMP, True)]}
        tifffile.imwrite(tmp_path / "x.tif", RGB, photometric="rgb", **how)
    else:
        data = encoded(RGB, {"png": "png", "jpg": "jpeg"}[source], dpi=(300, 300))
        inserted = metadata.segment(0xE1, metadata.XMP_IN_JPEG + XMP)
        more = chunk(b"iTXt", metadata.XMP_IN_PNG + b"\0\0\0\0" + XMP)
        (tmp_path / f"x.{source}").write_bytes(put(data, more) if source == "png" else data[:2] + inserted + data[2:])
    picture = files.read(tmp_path / f"x.{source}")
    assert picture.beside.xmp == XMP and picture.beside.dpi == pytest.approx((300, 300), abs=0.02)
    larger = picture.resized((40, 60))
    files.save_picture(larger, tmp_path / f"out.{kind}")
    again = files.read(tmp_path / f"out.{kind}").beside
    assert again.xmp == xmp and again.dpi == pytest.approx((300, 300), abs=0.02)
    assert not files.left_out(tmp_path / f"new.{kind}", larger, (40, 60))


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_says_the_new_size_and_keeps_the_rest(tmp_path, order):
    def number(value):
        return struct.pack(f"{order}I", value)

    inner = struct.pack(f"{order}H", 2)
    for tag, value in ((40962, 30), (40963, 20)):
        inner += struct.pack(f"{order}HHI", tag, 4, 1) + number(value)
    first = exif(
        (271, 2, 4, b"abc\0"), (274, 3, 1, struct.pack(f"{order}HH", 6, 0)), (34665, 4, 1, number(50)), order=order
    )
    first = first[:46] + number(50 + len(inner) + 4) + inner + bytes(4) + struct.pack(f"{order}H", 0) + bytes(4)
    (tmp_path / "x.jpg").write_bytes(with_exif(first))
    picture = files.read(tmp_path / "x.jpg")
    assert picture.pixels.shape == (3, 30, 20)  # turned
    larger = picture.resized((60, 40))
    for kind in ("png", "jpg", "webp"):
        files.save_picture(larger, tmp_path / f"out.{kind}")
        with Image.open(tmp_path / f"out.{kind}") as written:
            found = written.getexif()
            assert found[271] == "abc" and found[274] == 1
            assert dict(found.get_ifd(34665)) == {40962: 40, 40963: 60}
            assert not found.get_ifd(1)  # the thumbnail of the old picture
        assert files.read(tmp_path / f"out.{kind}").beside.exif[:8] == first[:8]


def test_a_profile_of_other_colours_is_left_out(tmp_path):
    grey = SRGB[:16] + b"GRAY" + SRGB[20:]
    (tmp_path / "x.png").write_bytes(
        put(encoded(GREY), chunk(b"iCCP", b"x\0\0" + zlib.compress(grey)), chunk(b"tRNS", b"\0\x50"))
    )
    picture = files.read(tmp_path / "x.png")
    files.save_picture(picture, tmp_path / "y.png")
    with Image.open(tmp_path / "y.png") as written:  # as grey as it was
        assert written.mode == "LA" and written.info["icc_profile"] == grey
    coloured = files.replace(picture, pixels=picture.pixels.expand(3, -1, -1))
    files.save_picture(coloured, tmp_path / "z.png")
    assert "icc_profile" not in Image.open(tmp_path / "z.png").info
    assert "its colour profile (of GRAY, and it is RGB)" in files.left_out(tmp_path / "new.png", coloured, (20, 30))


def test_what_a_format_does_not_hold_is_said_before_anything_is_computed(tmp_path):
    Image.fromarray(np.tile(RGB[:3], (1, 140, 1))).save(tmp_path / "wide.png")
    for name, sentence in {"x.webp": "WebP holds 16383 pixels a side, not 16800×12", "x.jpg": ""}.items():
        if sentence:
            with pytest.raises(files.UserError, match=sentence):
                call("upscale", tmp_path / "wide.png", "--by", 4, "--iterations", 1, "--out", tmp_path / name)
    with pytest.raises(files.UserError, match="JPEG holds 65500"):
        files.check_name(tmp_path / "x.jpg", files.Picture(torch.zeros(1, 1, 1)), (1, 65501))
    long = exif((270, 2, 70000, struct.pack("<I", 26))) + b"d" * 70000
    (tmp_path / "long.png").write_bytes(put(encoded(RGB), chunk(b"eXIf", long)))
    output = call("denoise", tmp_path / "long.png", "--iterations", 1, "--out", tmp_path / "long.jpg").output
    assert "long.jpg will be without its EXIF (of 70 kB, and JPEG holds 65)" in output
    assert len(files.read(tmp_path / "long.jpg").pixels) == 3


def test_names_as_long_as_names_can_be(tmp_path):
    for name in ("写" * 76 + ".png", "x" * 251 + ".png"):
        (tmp_path / name).write_bytes(encoded(RGB))
        call("denoise", tmp_path / name, "--iterations", 1)
        (written,) = tmp_path.glob("*-restored.png")
        assert files.read(written).pixels.shape == (3, 20, 30) and written.name[:50] == name[:50]
        written.unlink()
        call("denoise", tmp_path / name, "--iterations", 1, "--out", tmp_path / ("y" * 251 + ".png"))
        (tmp_path / ("y" * 251 + ".png")).unlink()
