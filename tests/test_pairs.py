"""Flash/no-flash and image enhancement: the tasks, and what they are compared with, against independent facts."""

from dataclasses import replace

import pytest
import torch

from dip_repro import baselines, images
from dip_repro.runtime import UserError
from dip_repro.study import experiments, pairs, runs
from dip_repro.study.tasks import Enhancement, Flash

SCENE = images.resize(images.open_image("coffee"), 64)


def test_z_is_the_flash_picture_and_x0_the_other():
    run = experiments.find("flash").runs("quick")[0]
    run = replace(run, task=replace(run.task, side=32))
    problem, fitting = runs.prepare(run, "cpu")
    flash, no_flash, truth = run.task.pair(run.seed)
    assert torch.equal(fitting.z, flash[None]) and torch.equal(fitting.x0[0], no_flash)
    assert torch.equal(problem.truth, truth) and run.settings.sigma_p == 0


def test_plain_denoising_differs_in_z_alone():
    guided, plain = (Flash("coffee", side=32, z=z).problem(0) for z in ("flash", "noise"))
    assert torch.equal(guided.measurement, plain.measurement) and plain.z is None


def test_a_pair_of_files_has_no_truth(mirror):
    problem = experiments.find("flash").runs("paper")[0].task.problem(0)
    assert problem.truth is None and problem.z.shape[1:] == problem.measurement.shape


def test_a_pair_that_makes_no_sense_is_told():
    for wrong in ({}, {"image": "coffee", "flash": "coffee", "no_flash": "coffee"}, {"flash": "coffee"}):
        with pytest.raises(UserError, match="two files"):
            Flash(**wrong)
    with pytest.raises(UserError, match="flash, noise"):
        Flash("coffee", z="lamp")
    with pytest.raises(UserError, match="give them one size"):
        Flash(flash="coffee", no_flash="astronaut").problem(0)
    with pytest.raises(UserError, match="colour"):
        Flash("camera").problem(0)


def test_the_flash_is_bright_and_cool_the_lamp_dim_and_warm():
    flash, lamp = (image.mean((1, 2)) for image in pairs.flash_pair(torch.ones(3, 64, 64)))
    assert flash.mean() > 1.5 * lamp.mean() and flash[2] > flash[0] and lamp[0] > lamp[2]


def test_the_guided_filter_keeps_constants_and_affine_functions_of_its_guide():
    flat = torch.full_like(SCENE, 0.3)
    assert torch.allclose(pairs.guided_filter(flat, SCENE, 4, 1e-2), flat, atol=1e-6)
    affine = 0.2 + 0.5 * SCENE
    assert torch.allclose(pairs.guided_filter(affine, SCENE, 4, 1e-9), affine, atol=1e-3)


@pytest.mark.parametrize("smooth", [pairs.gaussian_blur, baselines.total_variation])
def test_a_layer_of_the_residual_asked_for(smooth):
    layer = pairs.of_residual(smooth, SCENE, 1e-3)
    assert float((layer - SCENE).square().mean()) == pytest.approx(1e-3, rel=0.05)
    kept = pairs.gradients_kept(layer, SCENE)
    assert 0 < kept["texture"] < kept["edges"] < 1


def test_gradients_kept_of_the_photo_itself_and_of_nothing():
    assert pairs.gradients_kept(SCENE, SCENE) == pytest.approx({"edges": 1, "texture": 1})
    assert pairs.gradients_kept(torch.zeros_like(SCENE), SCENE) == {"edges": 0, "texture": 0}


def test_boosting_by_one_changes_nothing_and_more_doubles_the_detail():
    base = pairs.gaussian_blur(SCENE, 1) * 0.5 + 0.2
    photo = base + 0.01
    assert torch.allclose(Enhancement("coffee", boost=1).enhanced(photo, base), photo)
    assert torch.allclose(Enhancement("coffee", boost=2).enhanced(photo, base), base + 0.02)
