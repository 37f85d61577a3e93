"""What the studies of impedance and of architectures read off their runs, on histories whose answers are known."""

import math

import pandas as pd
import pytest
import torch

from dip_repro.study import experiments, spectra
from dip_repro.study.experiments import architectures, impedance
from dip_repro.study.tasks import Inpainting

LENGTH = 400


def falling(variance: float, times: dict[str, int], loss: float) -> pd.DataFrame:
    """Return a history in which half of each band is explained at `times`, and the variance at "tenth"."""
    iteration = pd.Series(range(10, LENGTH + 1, 10))
    reached = {band: (iteration < times[band]) * 1.0 for band in spectra.BANDS}
    fitted = (iteration < times["tenth"]) * variance + loss
    return pd.DataFrame({"iteration": iteration, "loss": fitted, **reached})


def invented(late: dict[str, float]):
    """Return one image's runs, and histories in which each kind takes `late` times as long as the picture does."""
    runs = [run for run in experiments.find("impedance").runs("quick") if run.task.image == "coffee"]
    times = {band: 10 * 2**i for i, band in enumerate(spectra.BANDS)} | {"tenth": 100}
    histories = []
    for run in runs:
        target = run.task.target(run.seed)
        variance = float((target - target.mean((1, 2), keepdim=True)).square().mean())
        slowed = {name: late[run.task.kind] * time for name, time in times.items()}
        histories.append(falling(variance, slowed, 0.01 * variance * late[run.task.kind]))
    return tuple(runs), histories


def test_how_much_longer_each_target_takes_is_read_off_its_history():
    runs, histories = invented({"natural": 1, "noisy": 2, "shuffled": 3, "phases": 1.5, "noise": 2})
    speeds = impedance.speeds(runs, histories)
    assert speeds.tenth.droplevel(["image", "seed"]).to_dict() == pytest.approx(
        {"natural": 100, "noisy": 200, "shuffled": 300, "phases": 150, "noise": 200}
    )
    found = impedance.resistance(speeds, LENGTH)
    assert found["least_shuffled_over_natural"] == (3, 3) and found["largest_phases_over_natural"] == 1.5
    assert found["least_high_over_low_natural"] == 16 and found["least_high_over_low_noise"] == 16
    natural, noisy = (runs[impedance.KINDS.index(kind)].task.target(0) for kind in ("natural", "noisy"))
    assert found["least_noisy_over_natural_loss"] > 2 * (noisy.var() / natural.var()) * 0.9
    assert [len(group) for group in impedance.by_kind(runs, histories).values()] == [1] * len(impedance.KINDS)


def test_what_is_not_reached_within_the_run_is_an_interval_and_without_a_fit_nothing():
    runs, histories = invented({"natural": 1, "noisy": 1, "shuffled": 9, "phases": 1, "noise": 1})
    assert impedance.resistance(impedance.speeds(runs, histories), LENGTH)["least_shuffled_over_natural"] == (
        4,
        math.inf,
    )
    runs, histories = invented(dict.fromkeys(impedance.KINDS, 100))
    found = impedance.resistance(impedance.speeds(runs, histories), LENGTH)
    assert math.isnan(found["largest_phases_over_natural"]) and math.isnan(found["least_shuffled_over_natural"][1])


def test_networks_are_scored_where_it_counts_and_only_where_they_fitted():
    runs = experiments.find("architectures").runs("quick")
    last = runs[0].settings.iterations
    history = pd.DataFrame({"iteration": [10, last], "loss": [0.1, 0.01], "seconds": [1.0, last / 10]})
    restored = []
    for run in runs:
        problem = run.task.problem(run.seed)
        # Wrong by a tenth where it counts, and by more where a mask knows the pixels.
        hidden = problem.operator.mask == 0 if isinstance(run.task, Inpainting) else torch.tensor(True)
        restored.append(torch.where(hidden, (problem.truth - 0.1).abs(), 1 - problem.truth))
    tables = architectures.worth(runs, [history] * len(runs), restored)
    for table in tables.values():
        assert (table.psnr - 20).abs().max() < 0.5 and (table["seconds a step"] == 0.1).all()
    shortfalls = architectures.proportions(tables)
    assert abs(shortfalls["shortfall_denoising_db"]) < 1e-6
    still = history.assign(loss=0.1)
    assert all(table.psnr.isna().all() for table in architectures.worth(runs, [still] * len(runs), restored).values())


def test_the_front_is_what_nothing_beats():
    cost, quality = (pd.Series(values, index=list("abcde")) for values in ([1, 2, 2, 3, 4], [5, 7, 6, 7, 8]))
    assert architectures.on_front(cost, quality).to_dict() == {"a": True, "b": True, "c": False, "d": False, "e": True}
