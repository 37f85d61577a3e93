"""Peak memory against the size of the image, beside what is announced before a run; each in a fresh process.

    python benchmarks/memory.py

Writes benchmarks/results/memory.json and the table in benchmarks/NOTES.md. Two steps a size: some minutes.
"""

import datetime
import json
from pathlib import Path

import pandas as pd
import torch
from bench import call

from dip_repro import runtime
from dip_repro.config import NetworkConfig
from dip_repro.memory import memory_needed
from dip_repro.networks import Hourglass, noise_input
from dip_repro.study import tables

RESULT, NOTES = Path(__file__).parent / "results" / "memory.json", Path(__file__).parent / "NOTES.md"
BEGIN, END = "<!-- memory: written by benchmarks/memory.py -->", "<!-- end of memory -->"
CASES = [(side, 128, "float32") for side in (64, 128, 256, 384, 512, 768, 1024)]
CASES += [(512, 32, "float32"), (512, 64, "float32"), (512, 128, "bfloat16"), (1024, 128, "bfloat16")]


def measure(side: int, width: int, precision: str) -> dict:
    """Return the peak of two steps of the default network at `side`², in GB, and what `memory_needed` announces."""
    options = {"size": side, "width": width, "precision": precision, "warmup": 1, "iterations": 1}
    found = call("project.py", *(part for name, value in options.items() for part in (f"--{name}", value)))
    needed = memory_needed(Hourglass(NetworkConfig.uniform(width, 5)), noise_input(32, (side, side), seed=0)) / 1e9
    peak = found["peak_mib"] * 2**20 / 1e9
    return {
        "image": f"{side}²",
        "width": width,
        "precision": precision,
        "peak, GB": round(peak, 2),
        "announced, GB": round(needed, 2),
        "announced over peak": round(needed / peak, 2),
        "peak, kB a pixel": round(1e6 * peak / side**2, 1),
    }


def main() -> None:
    rows = [measure(*case) for case in CASES]
    machine = runtime.provenance(torch.device("cpu"))
    found = {"date": str(datetime.date.today()), "machine": machine, "rows": rows}
    table = tables.markdown(pd.DataFrame(rows).set_index("image"))
    about = f"{found['date']}, {machine['device']}, PyTorch {machine['torch']}; the process's peak, Python included."
    before, _, rest = NOTES.read_text().partition(BEGIN)
    notes = f"{before}{BEGIN}\n{about}\n\n{table}\n{END}{rest.partition(END)[2]}"
    for path, text in {RESULT: json.dumps(found, indent=1) + "\n", NOTES: notes}.items():
        with runtime.written_whole(path) as partial:
            partial.write_text(text)


if __name__ == "__main__":
    main()
