"""Quality against time: the search for the settings that we recommend. Declared before its runs.

Successive halving (Jamieson and Talwalkar, 2016) by family of tasks. The network is narrow, 32 filters, since a step of
it takes a fifth of the paper's.

- Round 1, "front": each arm changes one thing. Two pictures of 128 × 128, one of them a texture.
- Round 2, "front-again", declared when round 1 is known: the three best arms, and one with every change that gained
  0.1 dB or more in round 1 (of one part, the best), beside the paper's setting. Four pictures, two seeds, full counts;
  and the mean of the two seeds' images, which costs two runs.

An arm is worth the highest mean over pictures of its curve of averages (`worth`); the iteration of that maximum is a
part of the setting, one for all pictures. Rule: of the arms that cost at most a third of the paper's seconds there, the
best is recommended; where others are within 0.05 dB of it, the cheapest of these.

Round 2 of denoising departs from this rule. Round 1 showed that one count does not serve two pictures: the average of
"brick" is best at 700 iterations, and that of "coffee" still rises at 1200. With one count for both, U(0, 1) gains
nothing, while the best of each picture gains 0.6 dB. `denoise` has no fixed count. So round 2 judges what a rule keeps
that does not see the truth: the average where the pixels that are held out, a fiftieth, fit best (`HELD` of notebook
13). And it tries U(0, 1) again.

Expected: denoising with 32 filters is as good as the paper's or better, restoration and super-resolution want 64; a
falling learning rate gains some tenths without noise; σ_p matters in denoising alone.

Round 2 of restoration departs too, to save time: every change that gained made the fit faster, and none excludes
another. So it tries the best change alone, U(0, 1), and all that gained together, with 32 and with 64 filters. The
paper's setting is that of the third freeze, at the learning rate of the arms. All do 1500 iterations, and are judged by
one count for all pictures, as the rule says (`at_one_count`).

In super-resolution U(0, 1) alone gained as much as 0.1 dB, so no other change is to be combined with it. Of 16 filters,
which were as good as 32 and 64, round 2 asks whether they keep that gain; this arm takes the place of the third best of
round 1, the rate of 0.003. All do the paper's 2000 iterations, and are judged by one count.

Expected of round 2 in denoising: 4 scales with U(0, 1) is best, 0.5 dB over the paper's, at a fifth of its seconds. In
restoration: all changes with 32 filters are level with the paper's setting at a quarter of its seconds. In
super-resolution: 16 filters with U(0, 1) are 0.2 dB over the paper's at an eighth of its seconds.

Budget of round 1: 84 runs, 0.06 s a step on one core, two hours. Of round 2 in denoising: 52 runs, two hours; in
restoration: 28 runs, two hours; in super-resolution: 28 runs, an hour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dip_repro.networks import NetworkConfig
from dip_repro.presets import FIVE_DB, PAPER, SETS, denoising, preset
from dip_repro.study import records
from dip_repro.study.comparisons import Cell, crossed, interval, tidy
from dip_repro.study.experiments import inpainting
from dip_repro.study.experiments.ambiguities import slug
from dip_repro.study.experiments.architectures import on_front
from dip_repro.study.experiments.stopping import HELD, histories_of
from dip_repro.study.runs import RESULTS, Experiment, Run, finished
from dip_repro.study.tasks import Damage, Denoising, Inpainting, Restoration, SuperResolution
from dip_repro.study.variants import Varied

SIDE, HELD_OUT = 128, 0.02
CHANNELS = {"coffee": 3, "brick": 1}  # of the pictures of round 1
NARROW = "32 filters"


@dataclass(frozen=True)
class Family:
    """Tasks that share their settings. task : of an image; every seed sees the same damage."""

    task: Callable[[str], Denoising | Restoration | SuperResolution]
    settings: Varied
    padding: str = "reflect"


FAMILIES = {
    "denoising": Family(lambda image: Denoising(image, SIDE, noise_seed=0), Varied(1200)),
    "restoration": Family(
        lambda image: Restoration(image, SIDE, mask_seed=0),
        Varied(1500, rollback_ratio=FIVE_DB, report_every=50),
        "zeros",
    ),
    "super-resolution": Family(lambda image: SuperResolution(image, 4, SIDE), Varied(1200)),
}
# What each arm changes of the shape of the network, of its readings, and of the settings.
ARMS: dict[str, dict] = {
    NARROW: {},
    "16 filters": {"shape": {"width": 16}},
    "64 filters": {"shape": {"width": 64}},
    "4 scales": {"shape": {"depth": 4}},
    "6 scales": {"shape": {"depth": 6}},
    "no skips": {"shape": {"skip": 0}},
    "skips of 16": {"shape": {"skip": 16}},
    "scale from U(0, 1)": {"readings": {"norm_scale": "uniform"}},
    "rate 0.003": {"settings": {"learning_rate": 0.003}},
    "rate 0.02": {"settings": {"learning_rate": 0.02}},
    "falling rate": {"settings": {"schedule": "cosine"}},
    "σ_p = 0": {"settings": {"sigma_p": 0.0}},
    "σ_p = 1/15": {"settings": {"sigma_p": 1 / 15}},
    "average of 500": {"settings": {"average_weight": 0.998}},
}
MORE_ARMS: dict[str, dict] = {  # of round 3
    "3 scales": {"shape": {"depth": 3}},
    "σ_p = 1/60": {"settings": {"sigma_p": 1 / 60}},
    "σ_p = 1/120": {"settings": {"sigma_p": 1 / 120}},
}


def searched(name: str, title: str, runs: Iterable[Run]) -> Experiment:
    """Return a part of the search as an experiment."""
    return Experiment(name, title, "The setting that we recommend (not in the paper)", {"laptop": tuple(runs)})


def spelled(arm: str) -> str:
    """Return the name of an arm as names of files have it: ASCII, so σ_p is spelled."""
    return slug(arm.replace("σ_p", "sigma_p"))


def changed(arms: tuple[str, ...], settings: Varied, **readings) -> tuple[NetworkConfig, Varied]:
    """Return the network and the settings with what each of the arms changes."""
    shape = {"width": 32, "depth": 5}
    for changes in ((ARMS | MORE_ARMS)[arm] for arm in arms):
        shape |= changes.get("shape", {})
        readings |= changes.get("readings", {})
        settings = replace(settings, **changes.get("settings", {}))
    return NetworkConfig.uniform(**shape, **readings), settings


def run(cell: Cell) -> Run:
    """Return the run of an arm."""
    family = FAMILIES[cell.task]
    readings = {"out_channels": CHANNELS[cell.image], "padding": family.padding}
    return Run(
        f"front/{cell.task}/{spelled(cell.arm)}/{cell.image}-{cell.seed}",
        family.task(cell.image),
        *changed((cell.arm,), family.settings, **readings),
        cell.seed,
        "average",
    )


ROUND_1 = crossed(run, FAMILIES, ARMS, CHANNELS, (0,))
FRONT = searched(
    "front",
    "Quality against time: one change each of a narrow network",
    ROUND_1,
)


PAPERS = "the paper's"
LEVEL = 0.05  # dB: less is no difference
BESIDE = ["gain", "low", "high", "faster", "faster low", "faster high"]
NOISY = {"coffee": (3, 25), "brick": (1, 25), "astronaut": (3, 50), "chelsea": (3, 15)}  # channels, σ in grey levels


# What gained in round 1 of restoration; of the two widths, 64 gained 1.5 dB at twice the time of 32.
GAINED = ("4 scales", "skips of 16", "rate 0.02", "scale from U(0, 1)")
# The arms of round 2 by what of round 1 each takes; the paper's network in each task, and the iterations.
ARMS_AGAIN: dict[str, dict[str, tuple[str, ...]]] = {
    "denoising": {
        NARROW: (),
        "4 scales": ("4 scales",),
        "6 scales": ("6 scales",),
        "rate 0.02": ("rate 0.02",),
        "4 scales, rate 0.02": ("4 scales", "rate 0.02"),
        "scale from U(0, 1)": ("scale from U(0, 1)",),
        "4 scales, scale from U(0, 1)": ("4 scales", "scale from U(0, 1)"),
    },
    "restoration": {
        "scale from U(0, 1)": ("scale from U(0, 1)",),
        "32 filters, all that gained": GAINED,
        "64 filters, all that gained": ("64 filters", *GAINED),
    },
    "super-resolution": {
        "scale from U(0, 1)": ("scale from U(0, 1)",),
        "16 filters": ("16 filters",),
        "16 filters, scale from U(0, 1)": ("16 filters", "scale from U(0, 1)"),
    },
}
COUNTS = {"denoising": 1600, "restoration": 1500, "super-resolution": 2000}


def again(cell: Cell) -> Run:
    """Return a run of round 2; in denoising it logs the loss on the pixels that are held out."""
    family, (channels, sigma) = FAMILIES[cell.task], NOISY[cell.image]
    noisy = cell.task == "denoising"
    task = Damage(cell.image, SIDE, "gaussian", sigma, HELD_OUT) if noisy else family.task(cell.image)
    settings = replace(family.settings, iterations=COUNTS[cell.task])
    if cell.arm == PAPERS:
        network = PAPER[cell.task].network
    else:
        network, settings = changed(ARMS_AGAIN[cell.task][cell.arm], settings, padding=family.padding)
    network = replace(network, out_channels=channels)
    name = f"front-again/{cell.task}/{spelled(cell.arm)}/{cell.image}-{cell.seed}"
    return Run(name, task, network, settings, cell.seed, "average")


# The paper's network once, since a step of it takes five times as long.
ROUND_2: dict[Run, Cell] = {}
for name in ARMS_AGAIN:
    ROUND_2 |= crossed(again, [name], ARMS_AGAIN[name], NOISY, (0, 1))
    ROUND_2 |= crossed(again, [name], [PAPERS], NOISY, (0,))
AGAIN = searched(
    "front-again",
    "Quality against time: the best arms again, beside the paper's setting",
    ROUND_2,
)


def kept(cells: Mapping[Run, Cell], folder: Path = RESULTS) -> pd.DataFrame:
    """Return what the rule of held-out pixels keeps of each finished run: a row each.

    psnr : of what is kept, in dB. best : of all iterates and averages. stopped : the iteration. seconds : until then.
    """
    rows = {}
    for run, history in histories_of(cells, folder).items():
        at, stopped = HELD.replayed(history)
        rows[run] = {
            "psnr": history.psnr_average[at],
            "best": history[["psnr", "psnr_average"]].max().max(),
            "stopped": stopped,
            "seconds": history.seconds[stopped],
        }
    return tidy(cells, rows, ["psnr", "best", "stopped", "seconds"])


def at_one_count(cells: Mapping[Run, Cell], folder: Path = RESULTS) -> pd.DataFrame:
    """Return what each finished run has at the iteration that is best for its arm: a row each.

    psnr : of the average, in dB. best : of the curve. stopped : the iteration. seconds : until then, at the speed of
    the fastest tenth of the run, since other work may share the machine.
    """
    found = histories_of(cells, folder)
    every = tidy(cells, {run: history.psnr_average.to_dict() for run, history in found.items()})
    at = every.groupby("arm").mean().idxmax(axis=1) if found else {}
    rows = {}
    for run, history in found.items():
        stopped, psnr = at[cells[run].arm], history.psnr_average
        rows[run] = {
            "psnr": psnr[stopped],
            "best": psnr.max(),
            "stopped": stopped,
            "seconds": stopped * a_step(history),
        }
    return tidy(cells, rows, ["psnr", "best", "stopped", "seconds"])


def a_step(history: pd.DataFrame) -> float:
    """Return the seconds an iteration at the speed of the fastest tenth, since other work may share the machine."""
    return (history.seconds.diff() / history.index.to_series().diff()).quantile(0.1)


def beside_the_papers(task: str = "denoising", folder: Path = RESULTS) -> pd.DataFrame:
    """Return the arms of round 2, the best first: what is kept, in dB, and the seconds until then, means over pictures.

    gain : over the paper's setting. faster : so many times. Each has its 95 % interval over pictures, low and high.
    "seconds front" : whether no other arm is better and cheaper. Then the PSNR of each picture. An arm counts when all
    of its runs are finished.
    """
    cells = of_task(ROUND_2, task)
    every = whole_arms(cells, (kept if task == "denoising" else at_one_count)(cells, folder))
    of_picture = every.groupby(["arm", "image"], sort=False)[["psnr", "seconds"]].mean()
    psnr, seconds = (of_picture[what].unstack("image") for what in ("psnr", "seconds"))
    if PAPERS not in psnr.index:
        return pd.DataFrame(columns=["psnr", "seconds", *BESIDE, "seconds front"])
    rows = {
        arm: interval(psnr.loc[arm] - psnr.loc[PAPERS]) + interval(seconds.loc[PAPERS] / seconds.loc[arm])
        for arm in psnr.index.drop(PAPERS)
    }
    table = pd.DataFrame({"psnr": psnr.mean(axis=1), "seconds": seconds.mean(axis=1)})
    table = table.join(pd.DataFrame.from_dict(rows, orient="index", columns=BESIDE))
    table["seconds front"] = on_front(table.seconds, table.psnr)
    return table.join(psnr).sort_values("psnr", ascending=False)


def of_task(cells: Mapping[Run, Cell], task: str) -> dict[Run, Cell]:
    """Return the cells of one task."""
    return {run: cell for run, cell in cells.items() if cell.task == task}


def whole_arms(cells: Mapping[Run, Cell], every: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the arms whose runs are all finished."""
    declared, arms = Counter(cell.arm for cell in cells.values()), every.index.get_level_values("arm")
    return every[arms.map(arms.value_counts()) == arms.map(declared)]


def chosen(table: pd.DataFrame) -> pd.Series | None:
    """Return the row of `beside_the_papers` that the rule recommends; None before there is one."""
    if table.empty:
        return None
    cheap = table[table.seconds <= table.seconds[PAPERS] / 3]
    level = cheap[cheap.psnr >= cheap.psnr.max() - LEVEL]
    return None if level.empty else level.loc[level.seconds.idxmin()]


def curves(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the PSNR in dB of the averages: a row for each family, arm and image, a column for each iteration."""
    found = finished(ROUND_1, folder)
    return tidy(ROUND_1, {run: records.scored_curve(record).to_dict() for run, record in found.items()})


def worth(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what each arm is worth in each family, of those with every picture done.

    psnr : in dB, the highest mean over pictures. at : its iteration. gain : over `NARROW`.
    """
    every = curves(folder)
    if every.empty:
        return pd.DataFrame(
            columns=["psnr", "at", "gain"], index=pd.MultiIndex.from_arrays([[], []], names=["task", "arm"])
        )
    of_arm = every.groupby(["task", "arm"], sort=False)
    means = of_arm.mean()[of_arm.size() == len(CHANNELS)]
    table = pd.DataFrame({"psnr": means.max(axis=1), "at": means.idxmax(axis=1)})
    return table.assign(gain=table.psnr - table.psnr.xs(NARROW, level="arm").reindex(table.index, level="task"))


# Before the choice of restoration is used elsewhere, two questions on larger pictures, one fit each.
# How many iterations at 256 × 256? The least multiple of 500 whose mean over these two pictures is within 0.1 dB of the
# best of the curves: so many has each of the two fits of "ours" in the table of restoration.
# Does it serve text too? Where the missing pixels come back as well as with the paper's network after 6000 iterations
# (`inpainting.TEXT`), it is what `inpaint` takes. Budget: 50 minutes of one core.
def larger(what: str, task: Restoration | Inpainting, iterations: int, channels: int) -> Run:
    """Return a run of the preset of restoration on a larger picture."""
    how = preset("restoration", channels=channels).of(iterations)
    return Run(f"front-larger/{what}", task, how.network, how.settings, scored="average")


LARGER_RESTORED = {
    image: larger(f"restoration/{image}", Restoration(image, 256, mask_seed=0), 4000, channels=1)
    for image in ("camera", "grass")
}
LARGER_TEXT = larger("text/astronaut", inpainting.WRITING, 3000, channels=3)
LARGER = searched(
    "front-larger",
    "Quality against time: the setting that restoration chose, on larger pictures and on text",
    (*LARGER_RESTORED.values(), LARGER_TEXT),
)


def by_count(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the averages of the two larger pictures and their mean, in dB, by iteration; empty until both are done."""
    found = histories_of(LARGER_RESTORED.values(), folder)
    if len(found) < len(LARGER_RESTORED):
        return pd.DataFrame(columns=[*LARGER_RESTORED, "mean"])
    averages = pd.DataFrame({run.name.split("/")[-1]: history.psnr_average for run, history in found.items()})
    return averages.assign(mean=averages.mean(axis=1))


def enough(table: pd.DataFrame) -> int:
    """Return the least multiple of 500 iterations whose mean, of `by_count`, is within 0.1 dB of the best."""
    near = table.index[(table["mean"] >= table["mean"].max() - 0.1) & (table.index % 500 == 0)]
    return int(near.min())


# Round 3 of denoising, "front-512", declared after six images of the table of σ = 25 had been run. In colour at 512²
# the averages still rose at the last of 1600 iterations: F16 to 30.5 dB, and the authors have 33.7. By iteration the
# paper's network is no faster there (20.8 dB at iteration 150, ours 20.4). So what makes a fit of 512 × 512 faster?
# One change each of the recommended setting, on a photo and a texture, 500 iterations. An arm is worth the PSNR of its
# average after the seconds that the recommended setting takes for them. The best two and the recommended setting are
# then to go on, to a third of the paper's seconds. Expected: the rate of 0.02 and the skips of 16 gain 1 dB each, and
# both together 1.5 dB. Budget: two hours of one core in bfloat16.
PRESETS = ("4 scales", "scale from U(0, 1)")  # what the preset of denoising changes
CHANGES_512 = {
    "recommended": (),
    "rate 0.02": ("rate 0.02",),
    "skips of 16": ("skips of 16",),
    "rate 0.02, skips of 16": ("rate 0.02", "skips of 16"),
    "3 scales": ("3 scales",),
    "σ_p = 1/60": ("σ_p = 1/60",),
    "64 filters": ("64 filters",),
}


def at_512(cell: Cell) -> Run:
    """Return a run of round 3."""
    network, settings = changed((*PRESETS, *CHANGES_512[cell.arm]), Varied(500))
    network = replace(network, out_channels=NOISY[cell.image][0])
    name = f"front-512/{spelled(cell.arm)}/{cell.image}"
    return Run(name, Denoising(cell.image, 512, noise_seed=0), network, settings, scored="average")


ROUND_3 = crossed(at_512, ["denoising"], CHANGES_512, ["astronaut", "brick"], (0,))
LARGE = searched(
    "front-512",
    "Quality against time: what makes the denoising of 512 × 512 faster",
    ROUND_3,
)


def in_equal_time(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what the arms of round 3 have after the seconds of the recommended setting's last iteration, best first.

    The PSNR of the average in dB, a column for each picture, and their mean; NaN where a run is not finished. An arm
    that is faster is judged at its own last iteration.
    """
    found = {ROUND_3[run]: history for run, history in histories_of(ROUND_3, folder).items()}
    rows: dict[str, dict[str, float]] = {}
    for cell, history in found.items():
        reference = found.get(cell._replace(arm="recommended"))
        if reference is not None:
            most = reference.index[-1] * a_step(reference) / a_step(history)
            rows.setdefault(cell.arm, {})[cell.image] = history.psnr_average[history.index <= most].iloc[-1]
    table = pd.DataFrame.from_dict(rows, orient="index", dtype=float)
    return table.assign(mean=table.mean(axis=1, skipna=False)).sort_values("mean", ascending=False)


# Round 4 of denoising, "front-perturbation", declared after round 3, in which σ_p = 1/60 was 3.3 dB above the
# recommended setting on both pictures after 500 iterations. Does it keep as much of the picture in the end? Two
# sizes: round 2's pictures of 128 × 128, two seeds each, and those of round 3 at 512 × 512 with up to 3000
# iterations, which take less than a third of the paper's seconds. The rule of held-out pixels chooses what is kept,
# as in round 2. Rule: the preset takes the σ_p with the best mean of both sizes, each the mean over its pictures.
# Expected: 1/60 gains 1 dB at 512 × 512, and loses 0.2 dB at 128 × 128; 1/120 loses 1 dB there. Budget: three hours
# of one core in bfloat16.
SIGMAS = ("σ_p = 1/30", "σ_p = 1/60", "σ_p = 1/120")
# Round 5 of denoising, declared after round 4: 1/60 lost 0.95 dB at 128 × 128, and at 512 × 512 it was level (−0.08 dB)
# in three fifths of the iterations. Where does this change? One more size, the four pictures once, with at most the
# iterations that `denoise` does. Rule: from the smallest size on at which 1/60 is at most 0.1 dB below 1/30, `denoise`
# takes it. Expected: 0.4 dB below at 256 × 256, so that it is 512 × 512. Budget: 45 minutes of one core in bfloat16.
SIZES = {  # pictures, seeds, iterations
    "128": (NOISY, (0, 1), 1600),
    "512": (["astronaut", "brick"], (0,), 3000),
    "256": (NOISY, (0,), 2000),
}
BOTH = ("128", "512")  # the sizes of round 4


def perturbed(cell: Cell) -> Run:
    """Return a run of round 4; the first σ_p is the paper's, so that at 128 × 128 its runs are those of round 2."""
    if cell.arm == SIGMAS[0] and cell.task == "128":
        return again(Cell("denoising", ", ".join(PRESETS), cell.image, cell.seed))
    changes = PRESETS if cell.arm == SIGMAS[0] else (*PRESETS, cell.arm)
    network, settings = changed(changes, Varied(SIZES[cell.task][2]))
    channels, sigma = NOISY[cell.image]
    name = f"front-perturbation/{cell.task}/{spelled(cell.arm)}/{cell.image}-{cell.seed}"
    task = Damage(cell.image, int(cell.task), "gaussian", sigma, HELD_OUT)
    return Run(name, task, replace(network, out_channels=channels), settings, cell.seed, "average")


ROUND_4: dict[Run, Cell] = {}
for size in BOTH:
    ROUND_4 |= crossed(perturbed, [size], SIGMAS, *SIZES[size][:2])
ROUND_5 = crossed(perturbed, ["256"], SIGMAS[:2], *SIZES["256"][:2])
PERTURBATION = searched(
    "front-perturbation",
    "Quality against time: how much z is perturbed, at three sizes",
    (run for run in ROUND_4 | ROUND_5 if run not in ROUND_2),
)


def by_perturbation(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what is kept with each σ_p of round 4, in dB, the best first: at each size, and the mean of both.

    A size counts when all of its runs with that σ_p are finished.
    """
    found: dict[str, pd.Series] = {}
    for size in BOTH:
        cells = of_task(ROUND_4, size)
        found[f"{size} × {size}"] = whole_arms(cells, kept(cells, folder)).psnr.groupby("arm").mean()
    table = pd.DataFrame(found, dtype=float)
    return table.assign(mean=table.mean(axis=1, skipna=False)).sort_values("mean", ascending=False)


# Six photos that no preset was chosen with, σ = 25; both presets are stopped by the same rule. (It is chosen among
# others on the set "stopping-unseen", which has these photos at 128 × 128.) One photo also at 512 × 512.
# Target: the recommended preset takes at most 5 minutes on two cores, 25 at 512 × 512, and is no worse in the mean.
# The first photo, "portrait", was run with at most 3000 iterations: no rule ended it, 8.6 minutes, 30.01 dB. So the
# most was set to 2000, for the time alone; there its curve had 29.86 dB.
# Budget: with the recommended preset 45 minutes of one core, with the paper's two hours and a half.
PHOTOGRAPHS = ("portrait", "ascent", "motorcycle", "immunohistochemistry", "hubble_deep_field", "aero")


def photo(cell: Cell) -> Run:
    """Return the run of a photo with a preset, as `dip-repro denoise` does it."""
    channels = 1 if cell.image in ("ascent", "aero") else 3
    size = 512 if cell.task == "large" else 256
    how = preset(denoising((size, size)), cell.arm, channels)
    name = f"photos/{cell.arm}/{cell.image}-{size}"
    return Run(name, Denoising(cell.image, size), how.network, how.settings, cell.seed, "average", "held-out")


ROUND_PHOTOS = crossed(photo, ["small"], SETS, PHOTOGRAPHS, (0,)) | crossed(
    photo, ["large"], ["recommended"], ["ascent"], (0,)
)
PHOTOS = searched(
    "photos",
    "Photos that no preset was chosen with: the recommended preset beside the paper's",
    ROUND_PHOTOS,
)


def photos(folder: Path = RESULTS) -> pd.DataFrame:
    """Return a row for each finished run of a photo: PSNR in dB of the noisy and the restored photo, and what it took.

    stopped : the iteration. minutes : of the fit.
    """
    rows = {}
    for run, record in finished(ROUND_PHOTOS, folder).items():
        scores, took = record["scores"], record["run"]
        rows[run] = {
            "noisy": scores["corrupted"],
            "restored": scores["average"],
            "stopped": took["iterations"],
            "minutes": took["seconds"] / 60,
        }
    return tidy(ROUND_PHOTOS, rows, ["noisy", "restored", "stopped", "minutes"])


def photos_beside_the_papers(folder: Path = RESULTS) -> pd.DataFrame:
    """Return a row for each photo of 256 × 256: what the recommended setting gains over the paper's. NaN: not measured.

    noisy, paper, recommended, gain : in dB. stopped, minutes : of the recommended setting. faster : how many times.
    """
    every = photos(folder)

    def of(arm: str) -> pd.DataFrame:
        rows = every.query("task == 'small' and arm == @arm").droplevel(["task", "arm", "seed"])
        return rows.reindex(list(PHOTOGRAPHS)).astype(float)

    paper, ours = of("paper"), of("recommended")
    return pd.DataFrame(
        {
            "noisy": ours.noisy,
            "paper": paper.restored,
            "recommended": ours.restored,
            "gain": ours.restored - paper.restored,
            "stopped": ours.stopped,
            "minutes": ours.minutes,
            "faster": paper.minutes / ours.minutes,
        }
    )


def measured(folder: Path = RESULTS) -> dict:
    """Return the quantities of the claims of notebook 19 on the photos; those whose photos are finished."""
    every, both, found = photos(folder), photos_beside_the_papers(folder), {}
    if both.gain.notna().all():
        found["photos_gain_db"] = interval(both.gain)[1:]
        found["longest_share_of_time"] = (1 / both.faster).max()
    if both.minutes.notna().all():
        found["longest_minutes"] = both.minutes.max()
    if "large" in every.index.get_level_values("task"):
        found["large_minutes"] = every.minutes.xs("large", level="task").max()
    return found
