import pytest
import torch

from dip_repro import baselines, corruptions, images, metrics
from dip_repro.operators import Mask
from dip_repro.runtime import UserError


def test_noise_has_its_standard_deviation_and_stream():
    grey = torch.full((3, 200, 200), 0.5)
    noisy = corruptions.gaussian_noise(grey, 25, seed=1, stored="real")
    assert abs((noisy - grey).std() * 255 - 25) < 0.2
    stored = corruptions.gaussian_noise(grey, 25, seed=1)
    assert torch.equal(stored * 255, (stored * 255).round()) and (stored - noisy).abs().max() < 0.51 / 255
    assert not torch.equal(stored, corruptions.gaussian_noise(grey, 25, seed=2))
    with pytest.raises(UserError, match="cannot be negative"):
        corruptions.gaussian_noise(grey, -1, seed=0)


def test_jpeg_is_pillows_and_loses_more_at_lower_quality():
    image = images.resize(images.open_image("coffee"), 50)
    losses = [float(metrics.psnr(corruptions.jpeg(image, quality), image)) for quality in (5, 20, 95)]
    assert losses[0] + 2 < losses[1] < losses[2] - 2
    flat = torch.full((1, 16, 24), 128 / 255)
    assert torch.equal(corruptions.jpeg(flat, 10), flat)
    with pytest.raises(UserError, match="between 1 and 95"):
        corruptions.jpeg(image, 0)


@pytest.mark.parametrize("name", baselines.DENOISERS)
@pytest.mark.parametrize("image", ["coffee", "camera"])
def test_the_baselines_denoise_and_keep_a_flat_image(name, image):
    denoise, truth = baselines.DENOISERS[name], images.resize(images.open_image(image), 64)
    noisy = corruptions.gaussian_noise(truth, 25, seed=0)
    denoised = denoise(noisy, 25)
    assert denoised.shape == noisy.shape and denoised.dtype == torch.float32
    assert metrics.psnr(denoised, truth) > metrics.psnr(noisy, truth) + 2
    flat = torch.full((len(truth), 24, 24), 0.5)
    torch.testing.assert_close(denoise(flat, 25), flat, atol=1e-3, rtol=0)


def test_missing_pixels_are_bernoulli():
    mask = corruptions.missing_pixels((300, 300), 0.8, seed=0)
    assert mask.shape == (1, 300, 300) and set(mask.unique().tolist()) == {0, 1}
    assert abs(mask.mean() - 0.2) < 0.006
    with pytest.raises(UserError, match="less than 1"):
        corruptions.missing_pixels((3, 3), 1.0, seed=0)


def test_text_covers_some_pixels():
    mask = corruptions.text_mask((120, 160), "deep image prior", height=12)
    assert mask.shape == (1, 120, 160) and 0.5 < mask.mean() < 0.95


def test_the_mask_as_an_operator():
    mask = torch.tensor([[[1.0, 0, 0, 1]]])
    x = torch.rand(2, 3, 1, 4)
    assert torch.equal(Mask(mask)(x), x * mask)
    known = Mask(mask, normalise="known")(x)
    torch.testing.assert_close(known.square().mean(), (x * mask).square().sum() / 12)
    # It is its own adjoint: <Ax, y> = <x, Ay>.
    y = torch.rand(2, 3, 1, 4)
    torch.testing.assert_close((Mask(mask)(x) * y).sum(), (x * Mask(mask)(y)).sum())


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [(torch.zeros(1, 4, 4), "every pixel as missing"), (torch.full((1, 4, 4), 0.5), "threshold")],
)
def test_a_wrong_mask_is_told(mask, sentence):
    with pytest.raises(UserError, match=sentence):
        Mask(mask)


def test_a_mask_of_another_size_is_told():
    with pytest.raises(UserError, match="4×4 and the image 5×5"):
        Mask(torch.ones(1, 4, 4))(torch.rand(1, 3, 5, 5))


def test_interpolation_keeps_the_known_and_a_linear_ramp():
    ramp = torch.linspace(0, 1, 40).expand(2, 30, 40).contiguous()
    mask = corruptions.missing_pixels((30, 40), 0.5, seed=0)
    mask[0, [0, 0, -1, -1], [0, -1, 0, -1]] = 1
    linear = baselines.interpolate_missing(ramp * mask, mask)
    torch.testing.assert_close(linear, ramp, atol=1e-5, rtol=0)
    nearest = baselines.interpolate_missing(ramp * mask, mask, "nearest")
    assert torch.equal(nearest * mask, ramp * mask) and not torch.allclose(nearest, ramp, atol=1e-3)


def test_a_hole_and_its_biharmonic_filling():
    mask = corruptions.hole_mask((30, 41), 1 / 3)
    assert mask[0, 10:20, 14:27].sum() == 0 and mask.sum() == 30 * 41 - 10 * 13
    ramp = torch.linspace(0, 1, 41).expand(3, 30, 41).contiguous()
    torch.testing.assert_close(baselines.biharmonic(ramp * mask, mask), ramp, atol=1e-3, rtol=0)
    with pytest.raises(UserError, match="between 0 and 1"):
        corruptions.hole_mask((8, 8), 1.0)
