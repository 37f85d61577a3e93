"""Spectra against signals whose spectra are known, and the targets whose spectra are compared."""

import pytest
import torch

from dip_repro import images
from dip_repro.runtime import UserError
from dip_repro.study import spectra
from dip_repro.study.tasks import Target

SIDE = 64


def cosine(cycles: int) -> torch.Tensor:
    """A pattern of `cycles` periods over a row of SIDE pixels, (1, SIDE, SIDE)."""
    return 0.5 + 0.25 * torch.cos(2 * torch.pi * cycles * torch.arange(SIDE) / SIDE).expand(1, SIDE, SIDE)


def field(exponent: float, side: int = 256) -> torch.Tensor:
    """Gaussian noise whose power falls as f^exponent, (1, side, side)."""
    noise = torch.fft.fft2(torch.randn(side, side, generator=torch.Generator().manual_seed(0)))
    radius = spectra.radii(side, side)
    radius[0, 0] = torch.inf
    return torch.fft.ifft2(noise * radius ** (exponent / 2)).real[None]


@pytest.mark.parametrize("cycles", [4, 10, 25])
def test_the_power_of_a_cosine_is_at_its_frequency(cycles):
    spectrum, radius = spectra.power(cosine(cycles)), spectra.radii(SIDE, SIDE)
    assert radius.flatten()[spectrum.argmax()] == pytest.approx(cycles / SIDE)
    near = 2 / SIDE  # the width of the window
    assert spectra.share(cosine(cycles), cycles / SIDE - near, cycles / SIDE + near) > 0.99


def test_white_noise_is_flat_at_its_variance():
    noise = 3 * torch.randn(3, 256, 256, generator=torch.Generator().manual_seed(1))
    _, rings = spectra.radial_power(noise)
    assert rings[-5:].numpy() == pytest.approx(9, rel=0.05)
    assert spectra.slope(noise) == pytest.approx(0, abs=0.15)


@pytest.mark.parametrize("exponent", [-1, -2, -3])
def test_the_slope_of_a_power_law_is_its_exponent(exponent):
    assert spectra.slope(field(exponent)) == pytest.approx(exponent, abs=0.25)


def test_a_band_is_unexplained_until_its_own_frequency_is_drawn():
    target = cosine(4) + cosine(25) - 0.5
    errors = [float(spectra.band_error(cosine(4), target, *spectra.BANDS[band])) for band in ("1/16", "1/2")]
    assert errors == pytest.approx([0, 1], abs=1e-5)


def test_the_bands_share_out_all_of_the_error():
    target, image = (torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(n)) for n in range(2))
    total = sum(spectra.band_error(image, target, *edges) * energy(target, *edges) for edges in spectra.BANDS.values())
    error = image - target
    error = error - error.mean((1, 2), keepdim=True)
    assert float(total) == pytest.approx(float(error.square().sum()), rel=1e-4)


def energy(image: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """The squared pixels that an image has in a band: against nothing drawn, the error is all of it."""
    radius = spectra.radii(*image.shape[-2:])
    inside = torch.fft.fft2(image) * ((radius > low) & (radius <= high))
    return torch.fft.ifft2(inside).real.square().sum()


def test_random_phases_keep_the_spectrum_and_change_the_picture():
    image = images.resize(images.open_image("astronaut"), SIDE)
    turned = spectra.random_phases(image, seed=0)
    assert turned.min() >= -1e-6 and turned.max() <= 1 + 1e-6
    before, after = (torch.fft.fft2(x).abs()[:, 1:, 1:] for x in (image, turned))
    ratio = (after / before).flatten()
    assert ratio.quantile(0.95) - ratio.quantile(0.05) < 1e-2 * ratio.median()  # one contrast for all frequencies
    correlation = torch.corrcoef(torch.stack([image.flatten(), turned.flatten()]))[0, 1]
    assert correlation.abs() < 0.5 and torch.equal(turned, spectra.random_phases(image, seed=0))


def test_targets_keep_what_they_say():
    kinds = ("natural", "noisy", "shuffled", "phases", "noise")
    natural, noisy, shuffled, phases, noise = (Target("coffee", 32, kind).target(seed=3) for kind in kinds)
    assert torch.equal(natural.flatten(1).sort().values, shuffled.flatten(1).sort().values)
    pairs = {tuple(pixel) for pixel in natural.flatten(1).T.tolist()}
    assert {tuple(pixel) for pixel in shuffled.flatten(1).T.tolist()} == pairs  # colours stay together
    assert not torch.equal(natural, shuffled)
    assert 15 < 255 * (noisy - natural).std() < 26
    assert natural.mean((1, 2)) == pytest.approx(phases.mean((1, 2)).numpy(), abs=1e-5)
    assert noise.mean() == pytest.approx(0.5, abs=0.03) and noise.var() == pytest.approx(1 / 12, abs=0.01)
    with pytest.raises(UserError, match="shuffled"):
        Target("coffee", 32, "scrambled").problem(0)


def test_a_target_is_watched_by_band_and_has_no_truth():
    problem = Target("coffee", 32).problem(0)
    watched = problem.observer(torch.device("cpu"))(problem.measurement, torch.zeros_like(problem.measurement))
    assert problem.truth is None
    for band in spectra.BANDS:
        assert watched[band] == 0 and watched[f"{band}_average"] == pytest.approx(1)
