"""What the studies of impedance and of architectures read off their runs, on histories whose answers are known."""

import math

import pandas as pd
import pytest

from dip_repro.study import experiments, spectra
from dip_repro.study.experiments import architectures, front, impedance

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


def test_the_lead_of_a_network_is_the_mean_over_pictures_of_what_is_scored():
    runs = experiments.find("architectures").runs("laptop")
    gain = {"paper": 0.0, "depth-1": 1.0}
    chosen = [run for run in runs if architectures.COMPARISONS["laptop"][run].arm in gain]
    histories = []
    for run in chosen:
        cell, iteration = architectures.COMPARISONS["laptop"][run], pd.Series(range(10, 610, 10))
        psnr = 20 + gain[cell.arm] + (cell.image == "chelsea") + 0 * iteration
        histories.append(pd.DataFrame({"iteration": iteration, "psnr": psnr, "psnr_average": psnr, "loss": 0.0}))
    lead = architectures.lead(chosen, histories)
    assert {task: list(frame) for task, frame in lead.items()} == {"denoising": ["1 scale"], "inpainting": ["1 scale"]}
    assert all((frame["1 scale"].dropna() - 1).abs().max() < 1e-6 for frame in lead.values())


def test_the_front_is_what_nothing_beats():
    cost, quality = (pd.Series(values, index=list("abcde")) for values in ([1, 2, 2, 3, 4], [5, 7, 6, 7, 8]))
    assert front.on_front(cost, quality).to_dict() == {"a": True, "b": True, "c": False, "d": False, "e": True}
