from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import finished
from PIL import Image

from dip_repro import baselines, corruptions, images, metrics
from dip_repro.config import NetworkConfig, Settings
from dip_repro.operators import Decimation
from dip_repro.runtime import UserError
from dip_repro.study import no_prior, runs, tables, tasks
from dip_repro.study.experiments.super_resolution import TABLES, WithTotalVariation, decimations

CHELSEA = images.crop_to_multiple(images.open_image("chelsea"), 32)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_3_is_pillows_lanczos_away_from_the_border(factor):
    small = Decimation(factor, a=3)(CHELSEA[None])[0]
    rows, columns = small.shape[-2:]
    for ours, channel in zip(small.numpy(), CHELSEA.numpy(), strict=True):  # mode "F": Pillow does not round
        expected = np.asarray(Image.fromarray(channel).resize((columns, rows), Image.Resampling.LANCZOS))
        assert np.abs(ours - expected)[3:-3, 3:-3].max() < 1e-5
    stored = corruptions.decimated(CHELSEA, factor)
    # To 8 bits, Pillow rounds and clips twice: between columns and rows too.
    assert (small - stored)[:, 3:-3, 3:-3].square().mean().sqrt() * 255 < 0.5


@pytest.mark.parametrize("phase", [0.0, 0.5, -0.3])
def test_a_2_is_the_formula(phase):
    x, t, a = torch.rand(1, 1, 64, 48, dtype=torch.float64), 4, 2
    small = Decimation(t, a, phase).double()(x)
    row, column = 7, 6
    weights = []
    for j, n in ((row, 64), (column, 48)):
        u = (np.arange(n) - (t * j + (t - 1) / 2 + phase)) / t
        k = np.where(np.abs(u) < a, np.sinc(u) * np.sinc(u / a), 0)
        weights.append(k / k.sum())
    expected = weights[0] @ x[0, 0].numpy() @ weights[1]
    assert float(small[0, 0, row, column]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("border", ["replicate", "reflect"])
def test_constants_are_kept_and_the_gradient_is_the_adjoint(border):
    d = Decimation(4, border=border)
    torch.testing.assert_close(d(torch.full((2, 3, 32, 64), 0.3)), torch.full((2, 3, 8, 16), 0.3))
    x, y = torch.rand(2, 3, 32, 64, requires_grad=True), torch.rand(2, 3, 8, 16)
    (adjoint,) = torch.autograd.grad((d(x) * y).sum(), x)  # <dx, y> = <x, d*y>, and d* is linear
    torch.testing.assert_close((adjoint * x).sum(), (d(x) * y).sum())
    other = torch.rand_like(x)
    torch.testing.assert_close((adjoint * other).sum(), (d(other) * y).sum())


def test_a_wrong_size_is_told():
    with pytest.raises(UserError, match="30×64: each side must be a multiple of 4"):
        Decimation(4)(torch.rand(1, 3, 30, 64))
    with pytest.raises(UserError, match="must be replicate or reflect"):
        Decimation(4, border="wrap")
    with pytest.raises(UserError, match="at least 32"):
        images.crop_to_multiple(torch.rand(3, 31, 64), 32)
    with pytest.raises(UserError, match="multiple of 4"):
        corruptions.decimated(torch.rand(3, 30, 64), 4)


def test_the_crop_is_about_the_centre():
    x = torch.arange(70.0).expand(1, 66, 70)
    assert images.crop_to_multiple(x, 32).shape == (1, 64, 64) and images.crop_to_multiple(x, 32)[0, 0, 0] == 3


@pytest.mark.parametrize(
    ("set_name", "factor", "a"), [("Set5", 4, 2), ("Set14", 4, 3), ("Set5", 8, 2), ("Set14", 8, 2)]
)
def test_pillows_lanczos_made_the_authors_x0(mirror, set_name, factor, a):
    table = decimations(set_name, factor)
    assert table.index[0] == ("Pillow's LANCZOS", a, 0.0)
    assert table.spread.iloc[0] < 0.1 < 0.25 < table.spread.iloc[1]
    assert table["mean"].iloc[0] == pytest.approx(-0.5, abs=0.01)  # stored by flooring


def test_the_published_crop_is_the_tasks(mirror):
    published = pd.read_csv(tables.PUBLISHED).query("method == 'deep_prior' and table == 'sr4-set5'")
    for image, psnr_db in published[["image", "psnr_db"]].values:
        task = TABLES["sr4-set5"][image].task
        problem = task.problem(seed=0)
        output = images.crop_to_multiple(images.open_image(task.image.replace("GT", "deep_prior")), 32)
        assert float(problem.score(output, problem.truth)) == pytest.approx(psnr_db, abs=0.00501)


def test_a_problem_and_its_fit_have_the_sizes_they_should():
    run = runs.Run(
        "tiny",
        tasks.SuperResolution("astronaut", 4, side=70),
        NetworkConfig.uniform(width=4, depth=2, skip=2),
        Settings(20),
    )
    problem, fitting = runs.prepare(run, "cpu")
    assert problem.truth.shape == problem.corrupted.shape == (3, 64, 64) and problem.measurement.shape == (3, 16, 16)
    assert finished(fitting).image.shape == (3, 64, 64)
    grey = tasks.SuperResolution("camera", 8, side=64).problem(seed=0)
    assert torch.isfinite(grey.score(grey.corrupted, grey.truth))


def test_optimised_pixels_explain_x0_and_variation_smooths_them():
    pixels, settings = no_prior.PixelsConfig((64, 64), grey=1 / 20), Settings(300, sigma_p=0)
    plain = runs.Run("tiny", tasks.SuperResolution("astronaut", 4, side=64), pixels, settings)
    smooth = replace(plain, task=WithTotalVariation("astronaut", 4, side=64, variation=0.003))
    (problem, fitting), (_, smoothing) = (runs.prepare(run, "cpu") for run in (plain, smooth))
    fits = finished(fitting), finished(smoothing)
    assert (problem.operator(fits[0].image[None]) - problem.measurement).abs().max() < 0.5 / 255
    scores = [float(problem.score(fit.image, problem.truth)) for fit in fits]
    assert scores[1] > scores[0] + 1
    x = torch.zeros(1, 2, 8, 8)
    x[..., 4:] = 1  # eight steps of length √2 over 64 pixels
    y = no_prior.WithVariation(Decimation(2), 0.5)(x)
    assert y.shape == (1, 2, 17)
    assert float(y[..., -1].square().sum()) / 32 == pytest.approx(0.5 * 8 * 2**0.5 / 64, abs=1e-3)


def test_enlarging_keeps_a_constant_and_the_size():
    grey, colour = torch.full((1, 5, 7), 0.2), torch.full((3, 5, 7), 0.2)
    assert baselines.enlarge(grey, 4).shape == (1, 20, 28)
    torch.testing.assert_close(baselines.enlarge(colour, 4, "lanczos"), torch.full((3, 20, 28), 0.2))


def test_the_score_leaves_the_last_row_and_column_out_before_its_border():
    image, truth = torch.rand(2, 3, 30, 30)
    truth[:, -5:], truth[:, :, -5:], truth[:, :4], truth[:, :, :4] = 0, 0, 0, 0
    inner = metrics.psnr_luma(image[:, 4:-5, 4:-5], truth[:, 4:-5, 4:-5], border=0)
    assert float(metrics.psnr_super_resolution(image, truth)) == pytest.approx(float(inner), abs=1e-5)
