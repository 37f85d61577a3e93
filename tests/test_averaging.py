"""Noise in the weights, and what is made of the iterates: their mean, their spread, and whether it is the error."""

import dataclasses

import pandas as pd
import pytest
import torch

from dip_repro.config import NetworkConfig
from dip_repro.fitting import Fit
from dip_repro.metrics import psnr
from dip_repro.networks import Hourglass, noise_input
from dip_repro.operators import Identity
from dip_repro.runtime import UserError
from dip_repro.study import experiments, samples
from dip_repro.study.experiments import averaging
from dip_repro.study.runs import fitted
from dip_repro.study.samples import Samples
from dip_repro.study.tasks import Sampled
from dip_repro.study.variants import Varied, strategies

TRUTH = torch.rand(3, 24, 20, generator=torch.Generator().manual_seed(0))
NETWORK = NetworkConfig.uniform(width=8, depth=2, skip=2, in_channels=4)
NOISY_WEIGHTS = Varied(iterations=30, weight_noise=0.01, report_every=5)


def start(settings=NOISY_WEIGHTS, **named) -> Fit:
    changes = strategies(settings, named.get("seed", 0), torch.device("cpu"))
    return Fit(TRUTH, Identity(), Hourglass(NETWORK), noise_input(4, (24, 20), seed=0), settings, **named | changes)


def test_weights_get_normal_noise_of_that_size_and_no_other_stream_moves():
    plain, noisy = (
        start(Varied(1, learning_rate=0, report_every=1, weight_noise=noise), seed=3) for noise in (0.0, 0.1)
    )
    images = [next(iter(run)).image for run in (plain, noisy)]
    assert torch.equal(*images)  # the first iterate is from before the noise, of the same perturbed z
    pairs = zip(noisy.network.parameters(), plain.network.parameters(), strict=True)
    added = torch.cat([(a - b).detach().flatten() for a, b in pairs])
    assert added.std() == pytest.approx(0.1, rel=0.05) and abs(added.mean()) < 0.01
    with pytest.raises(UserError, match="weight_noise"):
        Varied(1, weight_noise=-1)


def test_mean_and_spread_are_those_of_the_images_after_the_burn_in():
    images, samples = torch.rand(9, 3, 8, 8), Samples(burn_in=4)
    for i, image in enumerate(images):
        samples.see(image)
        if i < 5:
            assert torch.equal(samples.mean, image) and (samples.std == 0).all() and samples.count == 1
    assert samples.count == 5
    torch.testing.assert_close(samples.mean, images[4:].mean(0))
    torch.testing.assert_close(samples.std, images[4:].std(0))


def drawn(sigma, bias=0.0, count=400) -> Samples:
    """Samples whose mean has a normal error of `sigma`, (C, H, W), plus `bias`: calibrated where that is 0."""
    draw, samples = torch.Generator().manual_seed(1), Samples()
    centre = TRUTH + bias + sigma * torch.randn(TRUTH.shape, generator=draw)
    for _ in range(count):
        samples.see(centre + sigma * torch.randn(TRUTH.shape, generator=draw))
    return samples


def test_a_calibrated_spread_is_found_so_and_a_bias_is_not_explained():
    sigma = torch.linspace(0.01, 0.1, 20).expand(3, 24, 20)
    calibrated, biased = drawn(sigma), drawn(sigma, bias=0.2)
    found = calibrated.calibration(TRUTH)
    assert found["coverage"] == pytest.approx(0.954, abs=0.02) and found["explained"] == pytest.approx(1, abs=0.15)
    assert found["rank"] > 0.4 and found["samples"] == 400
    diagram = calibrated.reliability(TRUTH)
    assert (diagram.predicted.diff()[1:] > 0).all() and (diagram.error / diagram.predicted).between(0.7, 1.4).all()
    assert biased.calibration(TRUTH)["explained"] < 0.1 and biased.calibration(TRUTH)["coverage"] < 0.3


def test_ranks_are_correlated_not_values():
    seen, x = Samples(), torch.linspace(0.1, 2, 50).view(1, 5, 10)
    for sign in (-1, 1):
        seen.see(0.5 + sign * x)  # the mean is 0.5, the spread rises with x
    assert seen.calibration(0.5 - x.exp())["rank"] == pytest.approx(1)
    assert seen.calibration(0.5 - (-x).exp())["rank"] == pytest.approx(-1)


def test_the_mean_of_more_runs_with_independent_errors_gains_what_theory_says():
    draw = torch.Generator().manual_seed(2)
    truth = torch.full((3, 64, 64), 0.5)
    runs = [truth + 0.05 * torch.randn(truth.shape, generator=draw) for _ in range(4)]
    scores = samples.of_runs(runs, truth)
    assert len(scores) == 4 and scores[0] == pytest.approx(sum(float(psnr(x, truth)) for x in runs) / 4)
    assert scores[3] - scores[0] == pytest.approx(6.02, abs=0.2)


def test_a_sampled_run_logs_its_mean_and_changes_nothing():
    run = averaging.sampled("averaging", "quick", "astronaut")
    settings = dataclasses.replace(run.settings, iterations=40)
    task = Sampled("astronaut", 32, noise_seed=0, burn_in=2)
    problem, result = fitted(dataclasses.replace(run, task=task, network=NETWORK, settings=settings))
    last = result.history.iloc[-1]
    assert list(result.history.samples) == [1, 1, 1, 2] and problem.samples.count == 2
    assert last.psnr_mean == pytest.approx(float(psnr(problem.samples.mean, problem.truth)))
    plain = dataclasses.replace(run, task=dataclasses.replace(task, burn_in=0), network=NETWORK, settings=settings)
    assert torch.equal(fitted(plain)[1].image, result.image)
    assert not result.history.isna().any().any()


def test_the_noise_in_the_weights_was_chosen_on_another_image():
    tuning, reported = experiments.find("averaging-tuning"), experiments.find("averaging")
    images = [{run.task.image for runs in e.profiles.values() for run in runs} for e in (tuning, reported)]
    assert not images[0] & images[1]


def history(psnr: list[float], mean: float, loss=(0.04, 0.01)) -> pd.DataFrame:
    last = {"psnr_mean": mean, "psnr_average": 25.0, "coverage": 0.8, "explained": 0.5, "rank": 0.2}
    return pd.DataFrame({"iteration": [250, 500], "psnr": psnr, "loss": loss} | last)


def test_the_quantities_of_the_claims_and_none_where_nothing_was_fitted():
    runs = experiments.find("averaging").runs("quick")
    histories = [history([24, 23], 25)] * 3 + [history([24.5, 24.25], 26)]
    averages = pd.DataFrame({"astronaut": [25.0, 26.0, 26.5]}, index=[1, 2, 3])
    found = averaging.measured(runs, histories, averages)
    assert found["runs_over_one_db"] == pytest.approx(1.5) and found["sgld_over_average_db"] == pytest.approx(1)
    assert found["sgld_fall_db"] == pytest.approx(0.25) and found["runs_over_sgld_db"] == pytest.approx(0.5)
    assert (
        found["sgld_coverage"] == 0.8 and found["explained_over_plain"] == 0 and found["sgld_rank_correlation"] == 0.2
    )
    assert averaging.measured(runs, [*histories[:3], history([9, 9], 9, loss=(0.04, 0.03))], averages) == {}


def test_only_plain_runs_are_averaged_image_by_image():
    runs = [run for run in experiments.find("averaging").runs("laptop") if run.seed < 2]
    truths = [run.task.problem(0).truth for run in runs]
    errors = [0.2 if run.settings.weight_noise else (-1) ** run.seed * 0.1 for run in runs]
    table = averaging.means(runs, [truth + error for truth, error in zip(truths, errors, strict=True)])
    assert list(table) == ["astronaut", "coffee"] and list(table.index) == [1, 2]
    assert (table.loc[2] > table.loc[1] + 10).all()
