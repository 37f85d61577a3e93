"""A photo's file: what is read is what was written, and what a restoration does not change survives."""

import struct

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from PIL.Image import Exif

from dip_repro import images
from dip_repro.photo import files
from dip_repro.photo.metadata import Metadata
from dip_repro.runtime import UserError

GRADIENT = np.linspace(0, 255, 20 * 30).reshape(20, 30)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = PROFILE[:16] + b"GRAY" + PROFILE[20:]  # as far as its header says


def test_8bit_files_come_back_as_written(tmp_path):
    for channels in (1, 3):
        image = torch.randint(0, 256, (channels, 7, 9)) / 255
        images.save(image, tmp_path / "x.png")
        assert torch.equal(files.read(tmp_path / "x.png").pixels, image)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 3), ("LA", 1), ("P", 3), ("1", 1)])
def test_modes(tmp_path, mode, channels):
    Image.fromarray(GRADIENT.astype(np.uint8)).convert(mode).save(tmp_path / "x.png")
    assert files.read(tmp_path / "x.png").pixels.shape == (channels, 20, 30)


def test_16_bits_keep_their_precision(tmp_path):
    deep = (GRADIENT * 257).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "x.png")
    tifffile.imwrite(tmp_path / "x.tif", np.stack([deep] * 3, -1))
    for name in ("x.png", "x.tif"):
        image = files.read(tmp_path / name).pixels
        torch.testing.assert_close(image[0], torch.from_numpy(deep / 65535).float())


def write_text(path):
    path.write_text("not a picture")


def write_extra(path):
    tifffile.imwrite(path, np.zeros((8, 8, 4), np.uint8), photometric="rgb", extrasamples=["unspecified"])


def write_two(path):
    Image.new("L", (8, 8)).save(path, save_all=True, append_images=[Image.new("L", (8, 8), 255)])


def spoil(path, **how):
    """Write a picture whose last stretch of pixels is not what its checksum says."""
    if path.suffix == ".tif":
        tifffile.imwrite(path, GRADIENT.astype(np.uint8), **how)
    else:
        Image.fromarray(GRADIENT.astype(np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[-24 if path.suffix == ".png" else -8] ^= 1
    path.write_bytes(data)


def write_huge(path):
    """Write a small file that claims 50000 × 50000 pixels."""
    if path.suffix == ".tif":
        tifffile.imwrite(path, GRADIENT.astype(np.uint8))
        with tifffile.TiffFile(path, mode="r+") as tiff:
            for tag in ("ImageWidth", "ImageLength"):
                tiff.pages[0].tags[tag].overwrite(50000)
        return
    Image.fromarray(GRADIENT.astype(np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[18:26] = struct.pack("<ii", 50000, 50000)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("missing.png", lambda path: None, "no file of this name"),
        ("empty.png", lambda path: path.touch(), "it is empty"),
        ("text.png", write_text, "not a PNG, JPEG, WebP or TIFF"),
        ("text.tif", write_text, "not a PNG, JPEG, WebP or TIFF"),
        ("nan.tif", lambda path: tifffile.imwrite(path, np.full((8, 8), np.nan, np.float32)), "NaN"),
        ("large.tif", lambda path: tifffile.imwrite(path, np.full((8, 8), 300, np.float32)), "scale them"),
        ("stack.tif", lambda path: tifffile.imwrite(path, np.zeros((2, 8, 8, 8), np.uint8)), "by itself"),
        ("folder.png", lambda path: path.mkdir(), "a folder, not a picture"),
        ("animated.gif", write_two, "holds 2 pictures"),
        ("lab.tif", lambda path: Image.new("LAB", (8, 8)).save(path), "save it as grey or RGB"),
        ("infrared.tif", write_extra, "does not say what it means"),
        ("signed.tif", lambda path: tifffile.imwrite(path, np.ones((8, 8), np.int16)), "save it as grey or RGB"),
        ("deflate.tif", lambda path: spoil(path, compression="zlib"), "not a PNG, JPEG, WebP or TIFF"),
        ("spoilt.png", lambda path: spoil(path), "not a PNG, JPEG, WebP or TIFF"),
        ("huge.bmp", lambda path: write_huge(path), "claims more than"),
        ("huge.tif", lambda path: write_huge(path), "claims more than"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, name, make, sentence):
    make(tmp_path / name)
    with pytest.raises(UserError, match=sentence) as caught:
        files.open_picture(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("kind", "bits"), [("png", 8), ("png", 16), ("tif", 8), ("tif", 16), ("tif", 32)])
def test_alpha_bits_and_profile_survive(tmp_path, channels, kind, bits):
    values = torch.rand(channels, 9, 7, generator=torch.Generator().manual_seed(0))
    if bits < 32:
        values = (values * (2**bits - 1)).round() / (2**bits - 1)
    colours = 1 if channels < 3 else 3
    profile = PROFILE if colours == 3 else GREY_PROFILE
    like = files.Picture(values[:colours], values[colours:] if channels in (2, 4) else None, bits, Metadata(profile))
    path = tmp_path / f"x.{kind}"
    files.check_name(path, like, (9, 7))
    files.write(like.pixels, path, like)
    again = files.read(path)
    torch.testing.assert_close(again.pixels, like.pixels, rtol=0, atol=1e-6)
    assert again.bits == bits and again.beside.profile == profile
    assert (again.alpha is None) == (like.alpha is None)
    if like.alpha is not None:
        torch.testing.assert_close(again.alpha, like.alpha, rtol=0, atol=1e-6)
    files.write(like.resized((18, 14)).pixels, path, like)
    assert files.read(path).pixels.shape == (colours, 18, 14)  # the alpha is enlarged with it


def test_exif_survives_and_its_orientation_is_applied(tmp_path):
    exif = Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    Image.fromarray(GRADIENT.astype(np.uint8)).save(tmp_path / "x.jpg", exif=exif, quality=95)
    read = files.read(tmp_path / "x.jpg")
    assert read.pixels.shape == (1, 30, 20)
    for name in ("y.png", "y.jpg", "y.webp"):
        files.write(read.pixels, tmp_path / name, read)
        with Image.open(tmp_path / name) as written:
            assert written.size == (20, 30)
            assert written.getexif().get(0x010F) == "a camera" and written.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_is_turned_as_pillow_turns(tmp_path, orientation):
    pixels = GRADIENT.astype(np.uint8)
    exif = Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    tifffile.imwrite(tmp_path / "x.tif", pixels, extratags=[(274, "H", 1, orientation, True)])
    assert torch.equal(files.read(tmp_path / "x.png").pixels, files.read(tmp_path / "x.tif").pixels)


def test_names_that_cannot_hold_a_picture_are_refused(tmp_path, monkeypatch):
    opaque = files.Picture(torch.rand(3, 4, 4))
    options = {"alpha": torch.rand(1, 4, 4)}, {"bits": 16}, {"bits": 32}
    clear, deep, floats = (files.Picture(opaque.pixels, **x) for x in options)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "there.png").touch()
    (tmp_path / "link-to-nothing.png").symlink_to("nothing.png")
    for like, name, sentence in (
        (opaque, "x.gif", "written as .png"),
        (opaque, "no/x.png", "no such folder"),
        (clear, "x.jpg", "no transparency"),
        (deep, "x.webp", "name a .tif"),
        (floats, "x.png", "name a .tif"),
        (opaque, "folder", "written as .png"),
        (opaque, "folder.png", "is a folder"),
        (opaque, "x" * 300 + ".png", "too long"),
        (opaque, "there.png", "no file is overwritten"),
        (opaque, "link-to-nothing.png", "no file is overwritten"),
        (opaque, "no/../there.png", "no such folder"),
        (opaque, "folder/../there.png", "no file is overwritten"),
    ):
        with pytest.raises(UserError, match=sentence):
            files.check_name(tmp_path / name, like, (4, 4))
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(UserError, match="cannot be written there"):
        files.check_name(tmp_path / "x.png", opaque, (4, 4))


def test_a_new_name_is_one_that_nothing_has(tmp_path):
    assert files.unused(tmp_path / "x.png") == tmp_path / "x.png"
    (tmp_path / "x.png").touch()
    (tmp_path / "x-2.png").symlink_to("nothing.png")
    assert files.unused(tmp_path / "x.png") == tmp_path / "x-3.png"


def test_a_file_comes_before_an_image_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert files.open_picture("camera").pixels.shape == (1, 512, 512)
    images.save(torch.rand(3, 4, 5), tmp_path / "camera")
    assert files.open_picture("camera").pixels.shape == (3, 4, 5)


def test_a_larger_picture_is_scaled_down_and_a_smaller_one_left():
    picture = files.Picture(torch.rand(3, 20, 40), torch.rand(1, 20, 40))
    small = picture.no_larger_than(10)
    assert small.pixels.shape == (3, 5, 10) and small.alpha.shape == (1, 5, 10)
    assert picture.no_larger_than(40) is picture and picture.no_larger_than(None) is picture
