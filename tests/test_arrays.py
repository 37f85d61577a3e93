"""Arrays in, arrays out: what comes back is of the type, range and shape of what was given."""

import contextlib
import doctest
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
from conftest import PHOTO
from PIL import Image

import dip_repro
from dip_repro import UserError, denoise, inpaint, open_picture, remove_jpeg, save_picture, upscale, watch
from dip_repro.photo import arrays, restore

RGB = (PHOTO.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
FEW = {"iterations": 2, "progress": False, "device": "cpu"}


def test_the_examples_are_what_happens():
    assert doctest.testmod(arrays).failed == 0


def test_the_package_is_imported_without_pytorch():
    code = "import sys, dip_repro, dip_repro.cli; assert not {'torch', 'numpy', 'skimage'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert all(getattr(dip_repro, name) for name in dip_repro.__all__)


DTYPES = {"uint8": 255, "uint16": 65535, ">u2": 65535, "float16": 1, "float32": 1, "float64": 1}


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("function", [denoise, remove_jpeg])
def test_type_range_and_shape_come_back(kind, function):
    image = (RGB / 255 * DTYPES[kind]).astype(kind)
    before = image.copy()
    expected = function(RGB / 255, **FEW)
    for shaped, axis in (
        (image, "auto"),
        (image, -1),
        (image, 2),
        (image.transpose(2, 0, 1), 0),
        (image[::-1], "auto"),
    ):
        restored = function(shaped, channel_axis=axis, **FEW)
        assert restored.dtype == image.dtype and restored.shape == shaped.shape
        if axis != "auto":
            upright = np.moveaxis(restored, axis, -1)
            tolerance = (
                2e-3 if kind in ("uint8", "float16") else 2e-4
            )  # the fits differ by what rounding the photo does
            assert (
                np.abs(upright / DTYPES[kind] - expected).max() < 0.02
                and np.median(np.abs(upright / DTYPES[kind] - expected)) < tolerance
            )
    assert np.array_equal(image, before)
    for grey in (image[..., 0], image[..., :1]):
        assert function(grey, **FEW).shape == grey.shape
    assert function(image[..., 0], channel_axis=None, **FEW).dtype == image.dtype


def test_values_beyond_one_keep_their_range():
    counts = 4000 * (RGB[..., 0] / 255) - 1000
    restored = denoise(counts, **FEW)
    low, high = counts.min(), counts.max()
    assert low <= restored.min() < restored.max() <= high and restored.dtype == counts.dtype
    expected = denoise((counts - low) / (high - low), **FEW)
    np.testing.assert_allclose(restored, expected * (high - low) + low, rtol=1e-4)


def test_transparency_is_left_as_it_is_and_enlarged():
    alpha = np.full((40, 40, 1), 255, np.uint8)
    alpha[:10] = 0
    for image in (np.concatenate([RGB, alpha], -1), np.concatenate([RGB[..., :1], alpha], -1)):
        assert np.array_equal(denoise(image, **FEW)[..., -1:], alpha)
        larger = upscale(image, 2, **FEW)
        assert (
            larger.shape == (80, 80, image.shape[-1])
            and (larger[:18, :, -1] == 0).all()
            and (larger[22:, :, -1] == 255).all()
        )


MODES = {
    "L": "L",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "LA": "LA",
    "P": "RGB",
    "1": "L",
    "CMYK": "RGB",
    "F": "F",
    "I;16": "I;16",
}


@pytest.mark.parametrize("mode", MODES)
def test_pil_images_come_back_as_such(mode):
    if mode in ("F", "I;16"):
        given = Image.fromarray(RGB[..., 0].astype(np.float32) if mode == "F" else RGB[..., 0].astype(np.uint16) * 257)
    else:
        given = Image.fromarray(RGB).convert(mode)
    given.info["icc_profile"] = b"a profile"
    restored = denoise(given, **FEW)
    assert restored.mode == MODES[mode] and restored.size == given.size and restored.info["icc_profile"] == b"a profile"
    assert upscale(given, 2, **FEW).size == (80, 80)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_tensors_come_back_as_such(kind):
    given = torch.from_numpy(RGB).permute(2, 0, 1)
    given = given if kind == torch.uint8 else (given / 255).to(kind).requires_grad_()
    restored = denoise(given, **FEW)
    assert restored.dtype == kind and restored.shape == given.shape and not restored.requires_grad
    assert denoise(given.permute(1, 2, 0), channel_axis=-1, **FEW).shape == (40, 40, 3)
    assert denoise(given[0], **FEW).shape == (40, 40)


def test_a_picture_comes_back_with_its_file_s_properties(tmp_path):
    deep = RGB.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "x.tif", deep, photometric="rgb", resolution=(300, 300), resolutionunit="INCH")
    restored = denoise(open_picture(tmp_path / "x.tif"), **FEW)
    save_picture(restored, tmp_path / "y.tif")
    again = open_picture(str(tmp_path / "y.tif"))
    assert again.bits == 16 and again.beside.dpi == (300, 300) and again.pixels.shape == (3, 40, 40)
    assert np.abs(again.pixels.permute(1, 2, 0).numpy() * 65535 - denoise(deep, **FEW)).max() <= 1
    with pytest.raises(UserError, match="no file is overwritten"):
        save_picture(restored, tmp_path / "y.tif")


MISSING = np.zeros((40, 40), bool)
MISSING[10:16, 8:30] = True


@pytest.mark.parametrize("kind", ["bool", "0/1", "0/255", "float", "PIL", "tensor", "(H, W, 1)"])
def test_masks_of_every_kind_mean_the_same(kind):
    def of(mask):
        return {
            "bool": mask,
            "0/1": mask.astype(int),
            "0/255": mask.astype(np.uint8) * 255,
            "float": mask.astype(np.float32),
            "PIL": Image.fromarray(mask),
            "tensor": torch.from_numpy(mask),
            "(H, W, 1)": mask[..., None],
        }[kind]

    filled = inpaint(RGB, of(~MISSING), **FEW)
    assert np.array_equal(filled[~MISSING], RGB[~MISSING]) and not np.array_equal(filled, RGB)
    assert np.array_equal(filled, inpaint(RGB, missing=of(MISSING), **FEW))


def test_nan_masked_and_transparent_pixels_are_missing():
    filled = inpaint(RGB, missing=MISSING, **FEW)
    nan = np.where(MISSING[..., None], np.nan, RGB / 255)
    layers = np.where(MISSING[..., None], 0, np.dstack([RGB, np.full((40, 40), 255, np.uint8)]))
    for image in (nan, np.ma.array(RGB, mask=np.dstack([MISSING] * 3)), layers.astype(np.uint8)):
        again = inpaint(image, **FEW)
        assert again.shape == image.shape and np.isfinite(again).all()
        scale = 255 if again.dtype == float else 1
        assert np.abs(again[..., :3] * scale - filled).max() < 1
    assert (again[..., 3] == 255).all()
    layers[:3, :, 3] = 0  # the sky, beside a mask
    sky = inpaint(layers.astype(np.uint8), missing=MISSING, **FEW)
    assert (
        (sky[:3, :, 3] == 0).all()
        and (sky[3:, :, 3] == 255).all()
        and np.array_equal(sky[3:][~MISSING[3:], :3], RGB[3:][~MISSING[3:]])
    )
    assert np.abs(inpaint(nan, missing=MISSING, **FEW) * 255 - filled).max() < 1


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("nothing", [np.nan, np.inf, -9999.0, 0.0])
def test_known_values_come_back_bit_for_bit_whatever_the_missing_ones_hold(kind, nothing):
    image = (RGB / 255 * 3 - 1).astype(kind)
    image[MISSING] = nothing
    for given, axis in ((image, -1), (image[..., 0], None), (image.transpose(2, 0, 1), 0)):
        filled = inpaint(given, missing=MISSING, channel_axis=axis, **FEW)
        there = (slice(None), ~MISSING) if axis == 0 else ~MISSING
        assert np.array_equal(filled[there], given[there]) and filled.dtype == given.dtype
        assert np.isfinite(filled).all() and -1.01 < filled.min() < filled.max() < 2.01
    tensor = torch.from_numpy(image.astype(np.dtype(kind).newbyteorder("=")).transpose(2, 0, 1).copy())
    assert torch.equal(inpaint(tensor, ~MISSING, **FEW)[:, ~MISSING], tensor[:, ~MISSING])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: denoise(RGB.tolist()), "a list is no picture"),
        (lambda: denoise(RGB.astype(int)), "an array of int64: give uint8"),
        (lambda: denoise(RGB[None]), r"shape \(1, 40, 40, 3\)"),
        (lambda: denoise(RGB[:0]), r"shape \(0, 40, 3\)"),
        (lambda: denoise(RGB.transpose(2, 0, 1)), "40 channels along axis -1"),
        (lambda: denoise(RGB, channel_axis=5), "channel_axis = 5"),
        (lambda: denoise(RGB, channel_axis=None), r"give \(H, W\)"),
        (lambda: denoise(np.full((9, 9), np.nan)), "NaN"),
        (lambda: denoise(np.ma.array(RGB, mask=RGB > 9)), "inpaint fills in what is masked"),
        (lambda: denoise(Image.new("HSV", (9, 9))), "of mode HSV"),
        (lambda: denoise(RGB, setting="best"), "recommended, paper"),
        (lambda: denoise(RGB, device="mps"), "sees none"),
        (lambda: denoise(RGB, iterations=0), "at least 1"),
        (lambda: upscale(RGB, 1), "a whole number, 2 or more"),
        (lambda: upscale(RGB, 2.5), "a whole number, 2 or more"),
        (lambda: inpaint(RGB), "no pixel is missing"),
        (lambda: inpaint(RGB, MISSING * 7), "known holds other values"),
        (lambda: inpaint(RGB, missing=MISSING[:9]), r"missing is of shape \(9, 40\)"),
        (lambda: inpaint(RGB, MISSING, missing=MISSING), "both"),
        (lambda: inpaint(RGB, np.zeros((40, 40))), "every pixel is missing"),
        (lambda: denoise(RGB, runs=0), "0 runs: give a whole number"),
        (lambda: denoise(RGB, runs=1.5), "1.5 runs: give a whole number"),
        (lambda: watch(denoise, RGB, runs=1).spread, "ask for 2 or more"),
        (lambda: next(watch(print, RGB)), "print cannot be watched"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(call, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_fit_can_be_watched_and_left():
    seen = list(watch(denoise, RGB, iterations=25, device="cpu"))
    assert [iteration for iteration, _ in seen] == [10, 20, 25]
    assert np.array_equal(seen[-1][1], denoise(RGB, iterations=25, device="cpu", progress=False))
    _, filled = next(watch(inpaint, RGB, missing=MISSING, iterations=25, device="cpu"))
    assert np.array_equal(filled[~MISSING], RGB[~MISSING])


@pytest.mark.parametrize("kind", ["uint16", "counts", "grey", "axis 0", "PIL", "tensor", "RGBA"])
def test_the_spread_is_in_the_values_of_the_image(kind):
    deep, alpha = RGB.astype(np.uint16) * 257, np.full((40, 40, 1), 255, np.uint8)
    given, options = {
        "uint16": (deep, {}),
        "counts": (RGB / 255 * 5000 - 1000, {}),
        "grey": (RGB[..., 0], {}),
        "axis 0": (RGB.transpose(2, 0, 1), {"channel_axis": 0}),
        "PIL": (Image.fromarray(RGB), {}),
        "tensor": (torch.from_numpy(RGB).permute(2, 0, 1), {}),
        "RGBA": (np.dstack([RGB, alpha]), {}),
    }[kind]
    few = {"iterations": 2, "device": "cpu"} | options
    watched = watch(denoise, given, runs=2, **few)
    *_, (_, image) = watched
    assert np.array_equal(np.asarray(image), np.asarray(denoise(given, runs=2, progress=False, **few)))
    spread = watched.spread
    assert spread.shape == ((40, 40) if kind == "grey" else (40, 40, 3)) and spread.dtype == np.float32
    one, two = (np.asarray(denoise(given, runs=1, seed=seed, progress=False, **few)).astype(float) for seed in (0, 1))
    expected = np.abs(one - two) / np.sqrt(2)
    expected = expected.transpose(1, 2, 0) if kind in ("axis 0", "tensor") else expected
    expected = expected[..., :3] if kind == "RGBA" else expected
    step = 0.01 if kind == "counts" else 1  # of the rounding
    assert np.abs(spread - expected).max() <= step and spread.max() > 3 * step


def test_the_seed_and_the_device_are_what_was_asked_for():
    first = denoise(RGB, seed=0, **FEW)
    assert np.array_equal(first, denoise(RGB, **FEW)) and not np.array_equal(first, denoise(RGB, seed=1, **FEW))
    for device in (None, torch.device("cpu"), "auto"):
        assert denoise(RGB, iterations=2, progress=False, device=device).shape == RGB.shape


@pytest.mark.parametrize("host", ["no_grad", "inference_mode", "float64", "bfloat16", "meta"])
def test_the_program_around_it_does_not_matter_and_stays_as_it_was(host):
    first, mode = denoise(RGB, **FEW), contextlib.nullcontext()
    if host in ("no_grad", "inference_mode"):
        mode = getattr(torch, host)()
    torch.set_default_dtype(getattr(torch, host, torch.float32) if "float" in host else torch.float32)
    torch.set_default_device("meta" if host == "meta" else None)
    try:
        default, random = torch.get_default_dtype(), torch.get_rng_state()
        with mode:
            assert np.array_equal(first, denoise(RGB, **FEW))
            assert np.array_equal(first, list(watch(denoise, RGB, iterations=2, device="cpu"))[-1][1])
            filled = inpaint(RGB, missing=MISSING, **FEW)
        assert np.array_equal(filled[~MISSING], RGB[~MISSING])
        assert torch.get_default_dtype() == default and torch.equal(torch.get_rng_state(), random)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


@pytest.mark.parametrize("part", [2, 16, 256])
@pytest.mark.parametrize("above", [0.0, 0.3])
def test_a_photo_of_a_small_range_is_stretched_for_the_fit_and_brought_back(part, above):
    narrow = PHOTO / part * 0.9 + above
    narrow[:, 3, 3] = 1  # a bright pixel, which the range leaves out, stays as it is
    run = restore.dejpeg(narrow, restore.recommended("jpeg").of(3), device="cpu")
    seen = run.fit.x0[0]
    assert 0 <= seen.quantile(0.002) < 0.1 and 0.9 < seen.quantile(0.998) <= 1
    restored = run.done(progress=False)
    assert (restored[:, 3, 3] == 1).all() and restored.min() >= 0
    assert (restored - narrow).abs().mean() < 1 / part
    inside = ~run.stretch.outside(narrow)
    torch.testing.assert_close(run.stretch.back(run.stretch.stretched(narrow))[inside], narrow[inside])


def test_a_photo_of_the_whole_range_is_fitted_as_it_is():
    run = restore.denoise(PHOTO, device="cpu")
    assert run.stretch == (0, 1) and torch.equal(run.fit.x0[0], run.fit.operator(PHOTO))
    flat = torch.full((3, 40, 40), 0.25)
    assert restore.denoise(flat, device="cpu").stretch == (0, 1)


@pytest.mark.slow
def test_a_dark_photo_comes_out_as_well_as_a_bright_one():
    noisy = (PHOTO + 0.1 * torch.randn(PHOTO.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)

    def psnr(part):
        restored = restore.denoise(noisy / part, device="cpu").done(progress=False)
        return float(-10 * torch.log10((restored * part - PHOTO).square().mean()))

    bright, dark, noise = psnr(1), psnr(256), float(-10 * torch.log10((noisy - PHOTO).square().mean()))
    assert dark > bright - 2 and dark > noise + 3
