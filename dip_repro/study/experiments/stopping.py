"""Notebook `stopping`: which stopping rule comes nearest to the best moment, which only the truth tells.

Each fit runs longer than is good for it, and logs the signals of all rules; the rules are then replayed on its record.
The rule of held-out pixels needs a fit of its own, without these pixels. The parameters of each rule have the smallest
mean gap on the set "stopping-tuning" (`tuned`). They were fixed before the set "stopping" was run, which shares neither
images nor levels with the first. The gap is the best PSNR of the iterates and averages of a run, less the PSNR of what
the rule keeps.

Budget: `quick`, 54 fits of 600 iterations, 13 minutes of one core; `laptop`, 108 fits of 2000 iterations at 96 × 96,
3 hours of one core. A third set, "stopping-unseen", decides which rule `dip-repro denoise` takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import pandas as pd

from dip_repro import stopping
from dip_repro.config import NetworkConfig, Settings
from dip_repro.presets import recommended
from dip_repro.study import records
from dip_repro.study.runs import RESULTS, Experiment, Run, finished
from dip_repro.study.tasks import Damage, Denoising

# By kind of damage (`Damage` has the units), from weak to strong.
TUNING_LEVELS = {
    "gaussian": (20, 35),
    "poisson": (60, 20),
    "impulse": (0.03, 0.07),
    "speckle": (0.2, 0.35),
    "jpeg": (25, 15),
    "missing": (0.4, 0.6),
}
LEVELS = {
    "gaussian": (15, 25, 50),
    "poisson": (100, 40, 10),
    "impulse": (0.02, 0.05, 0.1),
    "speckle": (0.15, 0.25, 0.5),
    "jpeg": (30, 20, 10),
    "missing": (0.3, 0.5, 0.7),
}
LABELS = {
    "gaussian": "Gaussian noise",
    "poisson": "Poisson noise",
    "impulse": "impulse noise",
    "speckle": "speckle",
    "jpeg": "JPEG",
    "missing": "missing pixels",
    "mixed": "mixed noise",
}
# Bundled images, with their channels.
TUNING_IMAGES = {"chelsea": 3, "coins": 1, "retina": 3, "gravel": 1}
IMAGES = {"astronaut": 3, "camera": 1, "coffee": 3, "rocket": 3, "moon": 1, "brick": 1}
HELD_OUT = 0.1  # of the known pixels


def fits(name: str, side: int, iterations: int, images: dict[str, int], cases: list[tuple], twins: set) -> tuple:
    """Return a run for each of `cases`, (kind, level, image); then the twins, with held-out pixels, of some images."""
    whole = tuple(
        Run(
            f"{name}-{kind}-{level:g}-{image}",
            Damage(image, side, kind, level),
            NetworkConfig.uniform(width=32, depth=4, out_channels=images[image]),
            Settings(iterations),
            scored="average",
        )
        for kind, level, image in cases
    )
    return whole + tuple(twin(run) for run in whole if run.task.image in twins)


def twin(run: Run) -> Run:
    """Return the same run with a fraction of the known pixels held out."""
    assert isinstance(run.task, Damage)  # as in all runs of this study
    return replace(run, name=f"{run.name}-held-out", task=replace(run.task, held_out=HELD_OUT))


def rotated(levels: dict[str, tuple], images: list[str]) -> list[tuple]:
    """Return a case for each image and kind; the levels are shared out over the images, so that each occurs."""
    kinds = list(enumerate(levels.items()))
    return [(kind, steps[(i + j) % len(steps)], image) for i, image in enumerate(images) for j, (kind, steps) in kinds]


def study(
    name: str, title: str, levels: dict[str, tuple], images: dict[str, int], twins: int, laptop_twins: int
) -> Experiment:
    """Return an experiment: `quick` has one image for each level, `laptop` two; so many of them have twins."""
    every, few = list(images), list(images)[: len(levels["gaussian"])]
    return Experiment(
        name,
        title,
        "When to stop (not in the paper); notebook `stopping`",
        {
            "quick": fits(f"{name}/quick", 64, 600, images, rotated(levels, few), set(few[:twins])),
            "laptop": fits(f"{name}/laptop", 96, 2000, images, rotated(levels, every), set(every[:laptop_twins])),
        },
    )


TUNING = study("stopping-tuning", "Stopping rules: their parameters chosen", TUNING_LEVELS, TUNING_IMAGES, 1, 2)
STOPPING = study("stopping", "Stopping rules: how near they come to the best moment", LEVELS, IMAGES, 3, 6)

# Pictures and damages that no rule was tuned or tried on, with the recommended network. Declared before its runs, for
# the rule that `denoise` takes: held-out pixels did best on the set above, and most of their gap is what the held-out
# tenth itself costs (0.3 dB at the median), so here it is a fiftieth.
# Budget: 48 fits of 2000 steps of 0.055 s on one core, an hour and a half.
UNSEEN_IMAGES = {
    "aero": 1,  # the first four are textures, or mostly so
    "grass": 1,
    "immunohistochemistry": 3,
    "hubble_deep_field": 3,
    "portrait": 3,
    "ascent": 1,
    "motorcycle": 3,
    "cell": 1,
}
UNSEEN_DAMAGES = (("gaussian", 15), ("poisson", 40), ("gaussian", 25), ("jpeg", 15), ("gaussian", 50), ("mixed", 60))
SHARES = (0, 0.02)  # held out


def unseen(image: str, kind: str, level: float, share: float) -> Run:
    """Return a fit to an unseen picture, with a fraction of the pixels held out."""
    held = f"-held-{100 * share:.0f}" if share else ""
    return Run(
        f"stopping-unseen/{kind}-{level:g}-{image}{held}",
        Damage(image, 128, kind, level, share),
        recommended("denoising", UNSEEN_IMAGES[image]).network,
        Settings(2000),
        scored="average",
    )


# Each picture has every second damage, so that each damage has four pictures, two of them textures.
UNSEEN = Experiment(
    "stopping-unseen",
    "Stopping rules on pictures and damages that none of them has seen",
    "When to stop (not in the paper); notebook `stopping`",
    {
        "laptop": tuple(
            unseen(image, *damage, share)
            for i, image in enumerate(UNSEEN_IMAGES)
            for damage in UNSEEN_DAMAGES[i % 2 :: 2]
            for share in SHARES
        )
    },
)

DENOISE = recommended("denoising")
# One picture of 256 × 256: left running, and stopped by the rule that `dip-repro denoise` takes. A quarter of an hour.
SHOWN = Experiment(
    "stopping-shown",
    "A fit left running, and the same fit stopped by the recommended rule",
    "When to stop (not in the paper); notebook `stopping`",
    {
        "laptop": tuple(
            Run(
                f"stopping-shown/laptop-{what}",
                Denoising("coffee", 256, sigma_8bit=50),
                DENOISE.network,
                Settings(3000),
                scored="average",
                stop=stop,
            )
            for what, stop in (("left-running", ""), ("stopped", "held-out"))
        )
    },
)


@dataclass(frozen=True)
class Candidate:
    """A rule as data: the signal logged under that name, when to stop, and which image to keep."""

    signal: str
    criterion: stopping.Criterion
    keep: str

    def replayed(self, history: pd.DataFrame) -> tuple[int, int]:
        """Return which iteration of a history, as `by_iteration` has it, the rule keeps, and where it stops."""
        return stopping.replay(list(history[self.signal].items()), self.criterion)


Watched = Candidate | tuple[Candidate, ...]  # of several the latest decides
PATIENCE = (50, 100, 200, 400)
KEEP = ("image", "average")
CANDIDATES = {
    "fixed count": [Candidate("nothing", stopping.Count(n), k) for n, k in product(range(50, 2001, 50), KEEP)],
    "moving variance": [
        Candidate(f"variance_{window}", stopping.Lowest(p), k)
        for window, p, k in product(stopping.WINDOWS, PATIENCE, KEEP)
    ],
    "exponential variance": [
        Candidate(f"variance_{weight:g}", stopping.Lowest(p), k)
        for weight, p, k in product(stopping.WEIGHTS, PATIENCE, KEEP)
    ],
    "held-out pixels": [Candidate(f"held_{k}", stopping.Lowest(p), k) for p, k in product(PATIENCE, KEEP)],
    "discrepancy": [
        Candidate(f"discrepancy_{k}", stopping.Below(level), k)
        for level, k in product((0.7, 0.8, 0.9, 1.0, 1.1, 1.2), KEEP)
    ],
}


# The best candidate of each rule on the tuning set, the best rule first: what `tuned` said before "stopping" was run.
CHOSEN = {
    "quick": {
        "moving variance": Candidate("variance_20", stopping.Lowest(50), "average"),
        "held-out pixels": Candidate("held_average", stopping.Lowest(50), "average"),
        "fixed count": Candidate("nothing", stopping.Count(400), "average"),
        "exponential variance": Candidate("variance_0.05", stopping.Lowest(100), "average"),
        "discrepancy": Candidate("discrepancy_average", stopping.Below(0.9), "average"),
    },
    "laptop": {
        "moving variance": Candidate("variance_20", stopping.Lowest(200), "average"),
        "held-out pixels": Candidate("held_average", stopping.Lowest(50), "average"),
        "exponential variance": Candidate("variance_0.1", stopping.Lowest(200), "average"),
        "fixed count": Candidate("nothing", stopping.Count(550), "average"),
        "discrepancy": Candidate("discrepancy_average", stopping.Below(1.0), "average"),
    },
}
# The rules that are judged on the unseen set. `denoise` takes the one with the smallest 90th percentile of the gap; of
# rules within 0.05 dB of it, the one with the smallest median.
FIXED, VARIANCE, VARIANCE_LONGER, HELD, HELD_LONGER = (
    Candidate("nothing", stopping.Count(800), "average"),
    Candidate("variance_20", stopping.Lowest(50), "average"),
    Candidate("variance_20", stopping.Lowest(200), "average"),
    Candidate("held_average", stopping.Lowest(100), "average"),
    Candidate("held_average", stopping.Lowest(200), "average"),
)
JUDGED: dict[str, list[Watched]] = {
    "800 iterations": [FIXED],
    "moving variance, patience 50": [VARIANCE],
    "moving variance, patience 200": [VARIANCE_LONGER],
    "held-out pixels, patience 100": [HELD],
    "held-out pixels, patience 200": [HELD_LONGER],
    "held-out pixels and moving variance": [(HELD, VARIANCE_LONGER)],
}
TAKEN = "held-out pixels and moving variance"  # what `stopping.recommended` is
OUTCOME = ["rule", "candidate", "kind", "level", "image", "kept", "stopped", "saved", "best", "gap"]


def judged(profile: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return the `outcomes` of the chosen rules on the set that was not used for tuning."""
    return outcomes(STOPPING.runs(profile), {name: [chosen] for name, chosen in CHOSEN[profile].items()}, folder)


def measured(found: pd.DataFrame, winner: str) -> dict[str, float]:
    """Return the quantities of the claims of notebook `stopping` on the best rule, in dB; none without outcomes."""
    if not len(found):
        return {}
    gap, of_count = (found.gap[found.rule == rule] for rule in (winner, "fixed count"))
    return {
        "median_gap_db": gap.median(),
        "gap_of_90_percent_db": gap.quantile(0.9),
        "count_less_rule_db": of_count.quantile(0.9) - gap.quantile(0.9),
    }


def unseen_outcomes(folder: Path = RESULTS) -> pd.DataFrame:
    """Return the `outcomes` of the `JUDGED` rules on the unseen set."""
    return outcomes(UNSEEN.runs("laptop"), JUDGED, folder).drop(columns="candidate")


def by_rule(found: pd.DataFrame) -> pd.DataFrame:
    """Return, of `unseen_outcomes`, the gap of each rule in dB over all cases, and where it stops in the median."""
    of_rule = found.groupby("rule", sort=False)
    gap = of_rule.gap
    return pd.DataFrame(
        {
            "cases": gap.size(),
            "median gap (dB)": gap.median(),
            "90 % within (dB)": gap.quantile(0.9),
            "largest (dB)": gap.max(),
            "stops at": of_rule.stopped.median(),
        }
    )


def winner(table: pd.DataFrame) -> str:
    """Return the rule declared to be taken of `by_rule`: near the smallest 90th percentile, the smallest median."""
    far = table["90 % within (dB)"]
    return str(table["median gap (dB)"][far <= far.min() + 0.05].idxmin())


def measured_unseen(found: pd.DataFrame) -> dict[str, float]:
    """Return the quantities of the claims on the rule that `denoise` takes, in dB; none where a case is missing."""
    gap = found.gap[found.rule == TAKEN]
    if 2 * len(gap) < len(UNSEEN.runs("laptop")):
        return {}
    return {"unseen_median_gap_db": gap.median(), "unseen_gap_of_90_percent_db": gap.quantile(0.9)}


def outcomes(runs: Iterable[Run], rules: Mapping[str, Iterable[Watched]], folder: Path = RESULTS) -> pd.DataFrame:
    """Return one row for each case, a damage of a picture, and each candidate that a finished fit of it can follow.

    rule, candidate, kind, level, image. kept, stopped : iterations. saved : the fraction of the iterations not run.
    best : the highest PSNR of the run with all pixels, in dB. gap : `best` less the PSNR of what was kept.
    """
    cases: dict[tuple, list[pd.DataFrame]] = {}  # the fit with all pixels, then that without those that are held out
    for run, history in histories_of(runs, folder).items():
        assert isinstance(run.task, Damage)  # as in all runs of this study
        fits = cases.setdefault((run.task.kind, run.task.level, run.task.image), [])
        fits.insert(len(fits) if run.task.held_out else 0, history)
    rows = []
    for case, fits in cases.items():
        best = fits[0][["psnr", "psnr_average"]].max().max()
        for rule, candidate in ((rule, candidate) for rule, every in rules.items() for candidate in every):
            watched = candidate if isinstance(candidate, tuple) else (candidate,)
            seen = next((fit for fit in fits if all(each.signal in fit for each in watched)), None)
            if seen is not None:
                stops = [each.replayed(seen) for each in watched]
                kept, stopped = (max(iterations) for iterations in zip(*stops, strict=True))
                gap = best - seen["psnr" if watched[0].keep == "image" else "psnr_average"][kept]
                rows.append((rule, candidate, *case, kept, stopped, 1 - stopped / seen.index[-1], best, gap))
    return pd.DataFrame(rows, columns=OUTCOME).astype({"gap": float, "saved": float, "stopped": float})


def histories_of(runs: Iterable[Run], folder: Path) -> dict[Run, pd.DataFrame]:
    """Return the history of each finished run, indexed by iteration."""
    return {run: by_iteration(record) for run, record in finished(runs, folder).items()}


def by_iteration(record: dict) -> pd.DataFrame:
    """Return the history of a record, indexed by iteration."""
    return records.history(record).set_index("iteration")


def by_kind(found: pd.DataFrame, rules: Iterable[str]) -> pd.DataFrame:
    """Return the gap of each rule in dB, its median and 90th percentile, by kind of damage and over all."""
    table = {}
    for rule in rules:
        mine = found[found.rule == rule]
        gaps = {kind: mine.gap[mine.kind == kind] for kind in LEVELS} | {"all": mine.gap}
        row = {
            (kind, what): gap.quantile(q) for kind, gap in gaps.items() for what, q in (("median", 0.5), ("90 %", 0.9))
        }
        table[rule] = row | {("all", "iterations saved"): mine.saved.median()}
    return pd.DataFrame.from_dict(table, orient="index")


def tuned(profile: str = "quick", folder: Path = RESULTS) -> pd.DataFrame:
    """Return the candidate with the smallest mean gap of each rule on the tuning set, the best rule first.

    Rules that apply to every kind of damage are ordered by `shared`, their mean gap on the runs that all of them have.
    The other rules come last.
    """
    found = outcomes(TUNING.runs(profile), CANDIDATES, folder)
    means = found.groupby(["rule", "candidate"], sort=False).gap.mean().reset_index()
    best = means.loc[means.groupby("rule").gap.idxmin()].set_index("rule")
    chosen = found[found.candidate == found.rule.map(best.candidate)]
    general = chosen.groupby("rule").kind.nunique() == len(TUNING_LEVELS)
    chosen = chosen[chosen.rule.map(general).astype(bool)]  # of no records pandas makes no truth values
    shared = chosen.groupby(["kind", "level", "image"]).rule.transform("nunique") == general.sum()
    best["shared"] = chosen[shared].groupby("rule").gap.mean()
    return best.sort_values("shared")
