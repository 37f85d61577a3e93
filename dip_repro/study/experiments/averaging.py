"""Notebook `averaging`: averages of iterates and of runs, and SGLD, the same fit with noise in the weights.

The noise was chosen on `chelsea`, which the results do not use, by the PSNR of the mean of the iterates.

Budget: `quick`, 9 runs of 500 iterations and 6 of 2000, 10 minutes of one core; `laptop`, 15 runs of 600 at 128 × 128,
25 minutes, and 6 of 2400, half an hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from torch import Tensor

from dip_repro.config import NetworkConfig
from dip_repro.study.runs import RESULTS, Experiment, Run, recorded
from dip_repro.study.samples import of_runs
from dip_repro.study.tasks import Sampled
from dip_repro.study.variants import Varied

WEIGHT_NOISES = (0.0, 0.001, 0.003, 0.01, 0.03)  # the candidates
WEIGHT_NOISE = {"quick": 0.003, "laptop": 0.001}  # the choice


def sampled(name: str, profile: str, image: str, weight_noise: float = 0.0, seed: int = 0, times: int = 1) -> Run:
    """Return a run of the profile's length, or of `times` as many iterations. All runs of an image share its noise.

    Iterates are averaged and sampled from half of the usual length on.
    """
    side, width, iterations = {"quick": (64, 32, 500), "laptop": (128, 64, 600)}[profile]
    settings = Varied(times * iterations, average_start=iterations // 2, weight_noise=weight_noise)
    task = Sampled(image, side, noise_seed=0, burn_in=iterations // 2 // settings.report_every)
    network = NetworkConfig.uniform(width=width, depth=3 if profile == "quick" else 4)
    return Run(f"{name}/{profile}-{image}-{weight_noise:g}-{seed}", task, network, settings, seed, "average")


def averaged(profile: str, images: Iterable[str], count: int) -> tuple[Run, ...]:
    """Return, for each image, `count` plain runs with other weights and another z each, and one run of SGLD."""
    arms = [(0.0, seed) for seed in range(count)] + [(WEIGHT_NOISE[profile], 0)]
    return tuple(sampled("averaging", profile, image, noise, seed) for image in images for noise, seed in arms)


AVERAGING_TUNING = Experiment(
    "averaging-tuning",
    "SGLD: how much noise in the weights",
    "Averaging (not in the paper); notebook `averaging`",
    {
        profile: tuple(sampled("averaging-tuning", profile, "chelsea", noise) for noise in WEIGHT_NOISES)
        for profile in ("quick", "laptop")
    },
)
AVERAGING = Experiment(
    "averaging",
    "Averages of iterates and of runs, SGLD: quality, compute, calibration",
    "Denoising, Sec. 4: the averages (SGLD is not in the paper); notebook `averaging`",
    {"quick": averaged("quick", ("astronaut",), 3), "laptop": averaged("laptop", ("astronaut", "coffee"), 4)},
)
AVERAGING_LONG = Experiment(
    "averaging-long",
    "As many iterations in one run as in four: plain, and SGLD",
    "Averaging (not in the paper); notebook `averaging`",
    {
        profile: tuple(
            sampled("averaging-long", profile, image, noise, times=4)
            for image in ("astronaut", "coffee")
            for noise in (0.0, WEIGHT_NOISE[profile], 0.01)
        )
        for profile in ("quick", "laptop")
    },
)


def noise_of(run: Run) -> float:
    """Return the σ of the noise in the weights."""
    assert isinstance(run.settings, Varied)  # as in all runs of this study
    return run.settings.weight_noise


def is_plain(run: Run) -> bool:
    """Return whether a run has no noise in the weights."""
    return not noise_of(run)


def summary(runs: Iterable[Run], histories: list[pd.DataFrame]) -> pd.DataFrame:
    """Return one row for each run: the PSNR in dB at its end and at its best, and `Samples.calibration`."""
    rows = [
        {
            "image": run.task.image,
            "weight noise": noise_of(run),
            "seed": run.seed,
            "best iterate": history.psnr.max(),
            "last iterate": history.psnr.iloc[-1],
            "average": history.psnr_average.iloc[-1],
            "mean": history.psnr_mean.iloc[-1],
            **history[["coverage", "explained", "rank"]].iloc[-1],
        }
        for run, history in zip(runs, histories, strict=True)
    ]
    return pd.DataFrame(rows).set_index(["image", "weight noise", "seed"])


def means(runs: Iterable[Run], restored: list[Tensor]) -> pd.DataFrame:
    """Return the PSNR in dB of the mean of k plain runs: one row for each k, one column for each image."""
    plain = [(run, image) for run, image in zip(runs, restored, strict=True) if is_plain(run)]
    table = {}
    for name in dict.fromkeys(run.task.image for run, _ in plain):
        mine = [(run, image) for run, image in plain if run.task.image == name]
        truth = mine[0][0].task.problem(seed=0).truth
        assert truth is not None  # as in all runs of this study
        table[name] = of_runs([image for _, image in mine], truth)
    return pd.DataFrame(table).rename_axis("runs").rename(index=lambda k: k + 1)


def measured(runs: Iterable[Run], histories: list[pd.DataFrame], of_averages: pd.DataFrame) -> dict[str, float]:
    """Return the quantities of the claims, means over the images; `of_averages` is `means` of the runs' averages.

    There are none where a run fitted nothing: its loss did not fall to half.
    """
    if any(history.loss.iloc[-1] > history.loss.iloc[0] / 2 for history in histories):
        return {}
    found = summary(runs, histories)
    noisy = found.index.get_level_values("weight noise") > 0
    plain, sgld, all_runs = found[~noisy].mean(), found[noisy].mean(), of_averages.iloc[-1].mean()
    return {
        "runs_over_one_db": all_runs - plain["average"],
        "sgld_over_average_db": sgld["mean"] - plain["average"],
        "sgld_fall_db": sgld["best iterate"] - sgld["last iterate"],
        "runs_over_sgld_db": all_runs - sgld["mean"],
        "sgld_coverage": sgld["coverage"],
        "explained_over_plain": sgld["explained"] - plain["explained"],
        "sgld_rank_correlation": sgld["rank"],
    }


def measured_long(of_averages: pd.DataFrame, folder: Path = RESULTS) -> dict[str, float]:
    """Return the quantities of the claims on long runs, from records; `of_averages` is `means` of the "laptop" runs.

    There are none without the records.
    """
    iterations = AVERAGING.runs("laptop")[0].settings.iterations
    runs = AVERAGING_LONG.runs("laptop")
    histories = recorded(runs, folder)
    if not histories:
        return {}
    found = summary(runs, histories)
    fall = (found["best iterate"] - found["last iterate"]).groupby("weight noise").mean()
    plain = {run.task.image: history for run, history in zip(runs, histories, strict=True) if is_plain(run)}
    over = [
        of_k.iloc[-1] - plain[image].set_index("iteration").psnr_average[len(of_k) * iterations]
        for image, of_k in of_averages.items()
    ]
    return {"long_fall_ratio": fall[WEIGHT_NOISE["laptop"]] / fall[0.0], "runs_over_long_db": sum(over) / len(over)}
