"""Which pixels are missing: masks of any kind, copies that are painted over, transparency, NaN."""

import numpy as np
import pytest
import tifffile
import torch
from conftest import PHOTO, call
from PIL import Image

from dip_repro import images
from dip_repro.photo import files, masks
from dip_repro.photo.files import Picture
from dip_repro.runtime import UserError

SIZE = PHOTO.shape[-2:]
KNOWN = torch.ones(1, *SIZE)
KNOWN[:, 10:16, 8:30] = 0
FEW = ("--iterations", 1, "--device", "cpu")


@pytest.fixture
def mask(tmp_path):
    images.save(KNOWN, tmp_path / "mask.png")
    return tmp_path / "mask.png"


def stays(out, photo=PHOTO, known=KNOWN):
    """See that the known pixels are those of the photo, and return the result."""
    filled, expected = files.read(out), photo.mul(255).round().div(255)
    assert torch.equal(filled.pixels * known, expected * known)
    return filled


@pytest.mark.parametrize("more", [(), ("--max-size", 40), ("--max-size", 30), ("--max-size", 500)])
@pytest.mark.parametrize("size", [(30, 40), (30, 30), (80, 80), (1, 1)])
def test_a_mask_of_another_size_is_told_whatever_the_options(photo, tmp_path, more, size):
    images.save(torch.ones(1, *size), tmp_path / "mask.png")
    with pytest.raises(UserError, match=f"the mask is {size[1]}×{size[0]} and the photo 40×40"):
        call("inpaint", photo, tmp_path / "mask.png", *FEW, *more)


def test_what_is_missing_may_hold_anything(tmp_path, mask):
    holed = PHOTO.clone()
    holed[:, KNOWN[0] == 0] = torch.nan
    tifffile.imwrite(tmp_path / "x.tif", holed.permute(1, 2, 0).numpy(), photometric="rgb")
    call("inpaint", tmp_path / "x.tif", mask, *FEW, "--out", tmp_path / "out.tif")
    filled = files.read(tmp_path / "out.tif").pixels
    assert torch.equal(filled * KNOWN, PHOTO * KNOWN) and filled.isfinite().all()
    call("inpaint", tmp_path / "x.tif", *FEW, "--out", tmp_path / "alone.tif")  # without a mask NaN is what is missing
    assert torch.equal(files.read(tmp_path / "alone.tif").pixels, filled)
    call("inpaint", tmp_path / "x.tif", mask, *FEW, "--max-size", 30, "--out", tmp_path / "small.tif")
    assert files.read(tmp_path / "small.tif").pixels.shape == (3, 30, 30)
    holed[:, 0, 0] = torch.nan
    tifffile.imwrite(tmp_path / "y.tif", holed.permute(1, 2, 0).numpy(), photometric="rgb")
    with pytest.raises(UserError, match="1 pixels are NaN where the mask says known"):
        call("inpaint", tmp_path / "y.tif", mask, *FEW)
    with pytest.raises(UserError, match="inpaint fills them in"):
        call("denoise", tmp_path / "y.tif", *FEW)


def with_alpha(path, pixels, opaque):
    layers = torch.cat([pixels, opaque.float()])
    Image.fromarray(images.to_8bit(layers)).save(path)


def test_transparency_of_the_photo_means_missing(tmp_path, mask):
    with_alpha(tmp_path / "x.png", PHOTO, KNOWN)
    for number, more in enumerate(([], [mask])):
        out = tmp_path / f"{number}.png"
        call("inpaint", tmp_path / "x.png", *more, *FEW, "--out", out)
        filled = stays(out)
        assert filled.alpha is None  # what was filled in is seen
    sky = KNOWN.clone()
    sky[:, :5] = 0
    with_alpha(tmp_path / "sprite.png", PHOTO, sky)
    call("inpaint", tmp_path / "sprite.png", mask, *FEW, "--out", tmp_path / "out.png")
    filled = stays(tmp_path / "out.png", known=sky)
    assert (filled.alpha[:, :5] == 0).all() and (filled.alpha[:, 5:] == 1).all()
    with pytest.raises(UserError, match="no pixel is missing"):
        call("inpaint", mask, *FEW)


def test_transparency_of_a_mask_means_missing(tmp_path, photo):
    with_alpha(tmp_path / "white.png", torch.ones(3, *SIZE), KNOWN)
    call("inpaint", photo, tmp_path / "white.png", *FEW, "--out", tmp_path / "out.png")
    stays(tmp_path / "out.png")
    with_alpha(tmp_path / "nothing.png", torch.zeros(3, *SIZE), torch.zeros(1, *SIZE))
    with pytest.raises(UserError, match="every pixel is missing"):
        call("inpaint", photo, tmp_path / "nothing.png", *FEW)


@pytest.mark.parametrize("black", ["black", "Black", "BLACK", "#000000", "#000", "rgb(0,0,0)", " black "])
def test_a_colour_is_one_however_it_is_written(black):
    soft = torch.full((1, 6, 6), 0.3)  # nearer to black than to white
    assert torch.equal(images.as_mask(soft, black), images.as_mask(soft)) and not images.as_mask(soft, black).any()
    white = {"black": "white", "#000000": "#ffffff", "#000": "#FFF", "rgb(0,0,0)": "rgb(255,255,255)"}
    assert torch.equal(images.as_mask(1 - soft, white.get(black, "White")), images.as_mask(soft))
    for wrong in ("", "no colour", "#12", "rgb()"):
        with pytest.raises(UserError, match="not a colour"):
            images.as_mask(soft, wrong)


def test_a_painted_copy_for_a_mask_asks_for_its_colour(tmp_path, photo):
    painted = PHOTO.clone()
    painted[:, 10:16, 8:30] = torch.tensor([1.0, 0, 0])[:, None, None]
    images.save(painted, tmp_path / "painted.png")
    with pytest.raises(UserError, match=r"painted\.png is not in black and white.*--missing red"):
        call("inpaint", photo, tmp_path / "painted.png", *FEW)
    assert "12.0% of the pixels" in call("inpaint", photo, tmp_path / "painted.png", *FEW, "--missing", "RED").output
    painted[:, :25] = torch.tensor([1.0, 0, 0])[:, None, None]
    images.save(painted, tmp_path / "more.png")
    with pytest.raises(UserError, match=r"red in more\.png marks \d+% of the pixels"):
        call("inpaint", photo, tmp_path / "more.png", *FEW, "--missing", "red")


def test_a_sound_mask_is_not_asked_about():
    """Soft edges, JPEG's noise, a mask that leaves one pixel in ten, and one as large as the photo is white."""
    page = Picture(torch.ones(1, 60, 60))
    soft = torch.nn.functional.avg_pool2d(
        (torch.rand(1, 60, 60, generator=torch.Generator().manual_seed(0)) > 0.02).float(), 3, 1, 1
    )
    sparse = (torch.rand(1, 60, 60, generator=torch.Generator().manual_seed(0)) > 0.9).float()
    noisy = (sparse + 0.03 * torch.randn(1, 60, 60)).clamp(0, 1)
    for mask in (soft, sparse, noisy, page.pixels):
        known = masks.known_by(Picture(mask), page, "black", "mask.png")
        assert torch.equal(known, (mask >= 0.5).float())
    holed = Picture(PHOTO * KNOWN)  # the hole is black in the photo too
    assert torch.equal(masks.known_by(Picture(KNOWN), holed, "#000", "mask.png"), KNOWN)


def test_nothing_of_a_hole_runs_into_what_is_known_when_a_photo_is_scaled_down():
    flat = Picture(torch.full((3, 90, 90), 0.4))
    known = torch.ones(1, 90, 90)
    known[:, 40:50, 20:60] = 0
    holed = Picture(torch.where(known > 0, flat.pixels, 0))
    for side in (89, 60, 45, 31, 13):
        small, left = masks.no_larger_than(holed, known, side)
        assert small.pixels.shape == (3, side, side) and 0.8 < left.mean() < 1
        assert (small.pixels[:, left[0] > 0] - 0.4).abs().max() < 1e-4
    assert masks.no_larger_than(holed, known, 90) == (holed, known)
    known[:] = 1
    known[:, 3, 3] = 0
    assert masks.no_larger_than(holed, known, 9)[1].sum() == 80


def test_a_jpeg_for_what_is_to_stay_is_refused_and_png_webp_and_tiff_keep_it(photo, tmp_path, mask):
    for kind in ("jpg", "jpeg", "JPG"):
        with pytest.raises(UserError, match="JPEG changes every pixel"):
            call("inpaint", photo, mask, *FEW, "--out", tmp_path / f"x.{kind}")
    for kind in ("png", "webp", "tif"):
        call("inpaint", photo, mask, *FEW, "--out", tmp_path / f"x.{kind}")
        stays(tmp_path / f"x.{kind}")
    palette = Image.fromarray(images.to_8bit(PHOTO)).quantize(16)
    palette.save(tmp_path / "palette.png")
    call("inpaint", tmp_path / "palette.png", mask, *FEW)
    expected = torch.from_numpy(np.asarray(palette.convert("RGB")) / 255).float().permute(2, 0, 1)
    stays(tmp_path / "palette-restored.png", expected)
