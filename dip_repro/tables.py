"""Tables of results, computed from committed records and published numbers; nothing is typed in."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dip_repro import records
from dip_repro.experiments import BRANCHING, RESULTS
from dip_repro.networks import Hourglass, count_parameters
from dip_repro.runtime import ROOT

PUBLISHED = ROOT / "data" / "published.csv"


def beside_published(table: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Return a table of the paper, image by image: ours (NaN where not run), the authors', and the difference in dB."""
    published = pd.read_csv(PUBLISHED).query("table == @table").pivot(index="image", columns="method", values="psnr_db")
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
            "parameters": count_parameters(Hourglass(run.network)),
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
