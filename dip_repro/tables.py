"""Tables of results, computed from committed records and published numbers; nothing is typed in."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional as F

from dip_repro import corruptions, images, metrics, records
from dip_repro.experiments import BRANCHING
from dip_repro.networks import count_parameters
from dip_repro.operators import Decimation
from dip_repro.runs import RESULTS
from dip_repro.runtime import ROOT

PUBLISHED = ROOT / "data" / "published.csv"


def beside_published(table: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return a table of the paper, image by image: ours (NaN where not run), the authors', and the difference in dB."""
    published = pd.read_csv(PUBLISHED).query("table == @table").pivot(index="image", columns="method", values="psnr_db")
    # The authors published two deep priors for ×8, σ_p = 0.03 and 0.05; the paper's text says 1/20.
    published = published.rename(columns={"deep_prior_005": "deep_prior"})
    found, _ = records.load_all(folder / table)
    scores = {name.split("/")[1]: record["scores"][record["configuration"]["scored"]] for name, record in found.items()}
    published.insert(0, "ours", pd.Series(scores, dtype=float).reindex(published.index))
    published.insert(1, "difference", published.ours - published.deep_prior)
    return published.rename_axis(None, axis="columns")


def branching(folder: Path = RESULTS) -> pd.DataFrame:
    """Return what each combination of open questions 1 and 5 is worth on the paper's house, in dB by iteration."""
    rows = {}
    for run in BRANCHING.runs("paper"):
        path = folder / f"{run.name}.json"
        if not path.exists():
            continue
        record = records.load(path)
        history = records.history(record).set_index("iteration")
        rows[run.network.skip_from, run.network.upsample_at] = {
            "parameters": count_parameters(run.network.build()),
            "PSNR at 500": history.psnr[500],
            "at 1000": history.psnr[1000],
            "at 2000": record["scores"]["image"],
            "average at 2000": record["scores"]["average"],
            "seconds a step": record["run"]["seconds"] / record["run"]["iterations"],
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    if rows:
        table.index = pd.MultiIndex.from_tuples(rows, names=["skip from d_i's", "up-samples at u_i's"])
    return table


def decimations(
    set_name: str,
    factor: int,
    a: tuple[int, ...] = (2, 3),
    phases: tuple[float, ...] = (0.0,),
    method: str = "no_prior",
) -> pd.DataFrame:
    """Return how well candidate decimations explain the authors' outputs, in grey levels; needs the paper's images.

    An output x that was optimised until d(x) = x0 tells of both: the residual d(x) − x0 is near 0 for the right d and
    the right x0 alone. Candidates of x0 are made of the ground truth by `Decimation` with a, or by Pillow. Samples of
    clipped pixels, which no d explains, and the three at the border are left out. The published files were floored, so
    that the mean is −0.5; the spread, the standard deviation about it, tells.
    """
    sums = {}
    for image in sorted(names_of(set_name, factor, method)):
        truth, output = (
            images.crop_to_multiple(images.open_image(image.replace(method, kind)).expand(3, -1, -1), 32)
            for kind in ("GT", method)
        )
        clipped = ((output == 0) | (output == 1)).float()[None]
        reach = 2 * max(a) * factor  # the kernel's length
        free = F.max_pool2d(clipped, reach + 1, factor, reach // 2)[0, :, 3:-3, 3:-3] == 0
        phased = {(n, phase): Decimation(factor, n, phase) for n in a for phase in phases}
        x0s = {f"a = {n}, phase {phase:g}": d(truth[None])[0] for (n, phase), d in phased.items()}
        x0s["Pillow's LANCZOS"] = corruptions.decimated(truth, factor)
        for (n, phase), d in phased.items():
            for name, x0 in x0s.items():
                error = 255 * (d(output[None])[0] - metrics.quantise(x0))[:, 3:-3, 3:-3][free].double()
                moments = torch.stack([torch.ones_like(error), error, error.square()]).sum(1)
                sums[name, n, phase] = sums.get((name, n, phase), 0) + moments
    rows = {}
    for key, (count, total, squares) in sums.items():
        rows[key] = {"mean": float(total / count), "spread": float((squares / count - (total / count) ** 2).sqrt())}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["x0 made with", "a of d", "phase of d"])
    return table.sort_values("spread")


def names_of(set_name: str, factor: int, method: str) -> list[str]:
    """Return the names of a method's published super-resolved images: ("Set5", 4, "no_prior")."""
    start = f"project-page/SR/{set_name}/x{factor}/"
    return [name for name in images.registry() if name.startswith(start) and name.endswith(f"_{method}.png")]


def on_front(cost: pd.Series, quality: pd.Series) -> pd.Series:
    """Return which rows lie on the Pareto front: nothing that costs no more is better, nor as good and cheaper.

    A quality of NaN is never on it.
    """
    beaten = {
        name: (
            (cost <= cost[name]) & (quality > quality[name]) | (cost < cost[name]) & (quality >= quality[name])
        ).any()
        for name in cost.index
    }
    return quality.notna() & ~pd.Series(beaten)


def first_below(history: pd.DataFrame, column: str, level: float) -> float:
    """Return the first iteration at which a column of a history is at most `level`, inf where it never is."""
    return history.iteration[history[column] <= level].min() if (history[column] <= level).any() else math.inf
