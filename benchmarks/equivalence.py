"""Does a change of arithmetic change the quality? Paired fits, image × seed, everything else alike.

    python benchmarks/equivalence.py [--device cpu]

Denoising at 64 × 64 with a narrow network; for each setting that changes arithmetic, the mean difference of the final
PSNR (the average's, as scored in denoising, and the last iterate's) to the plain float32 loop, and its 95 % interval
over pairs. Writes benchmarks/results/equivalence.json (with a GPU, equivalence-cuda.json) and prints a table.
"""

import argparse
import itertools
import json
import os

import numpy as np
from scipy import stats

from dip_repro import runtime
from dip_repro.networks import NetworkConfig
from dip_repro.settings import Settings
from dip_repro.study.runs import Run, prepare
from dip_repro.study.tasks import Denoising

IMAGES = ("astronaut", "chelsea", "coffee", "rocket", "retina", "hubble_deep_field")
SEEDS = (1, 2, 3, 4, 5, 6)  # two gave intervals of ±0.13 dB, too wide to tell
PLAIN = "plain float32"
SETTINGS = {  # shortcut (a CPU's alone), precision, compiled
    "cpu": {
        PLAIN: (False, "float32", False),
        "shortcut float32": (True, "float32", False),
        "shortcut bfloat16": (True, "bfloat16", False),
    },
    "cuda": {
        PLAIN: (False, "float32", False),
        "tf32": (False, "tf32", False),
        "bfloat16": (False, "bfloat16", False),
        "tf32 compiled": (False, "tf32", True),
        "bfloat16 compiled": (False, "bfloat16", True),
    },
}


def final_psnr(
    device: str, image: str, seed: int, shortcut: bool, precision: str, compiled: bool
) -> tuple[float, float]:
    network = NetworkConfig.uniform(width=32, depth=3)
    run = Run("equivalence", Denoising(image, side=64), network, Settings(iterations=500), seed)
    _, fitting = prepare(run, device, precision=precision, compiled=compiled)
    for block in fitting.network.ups:
        block.fast = shortcut
    *_, last = (report.row for report in fitting)
    return last["psnr"], last["psnr_average"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=SETTINGS, default="cpu")
    device = parser.parse_args().device
    pairs = list(itertools.product(IMAGES, SEEDS))
    scores = {}
    for name, setting in SETTINGS[device].items():
        scores[name] = np.array([final_psnr(device, *pair, *setting) for pair in pairs])
        print(f"{name}: {len(pairs)} fits", flush=True)
    result = {"pairs": pairs, "scores_db": {name: values.round(3).tolist() for name, values in scores.items()}}
    result["differences"] = {}
    for name, values in list(scores.items())[1:]:
        for column, scored in enumerate(("last iterate", "average")):
            difference = values[:, column] - scores[PLAIN][:, column]
            half = stats.sem(difference) * stats.t.ppf(0.975, len(difference) - 1)
            row = {
                "mean_db": difference.mean(),
                "low_db": difference.mean() - half,
                "high_db": difference.mean() + half,
            }
            result["differences"][f"{name}, {scored}"] = {k: round(float(v), 3) for k, v in row.items()}
            print(f"{name:18s} {scored:13s} {row['mean_db']:+.3f} [{row['low_db']:+.3f}, {row['high_db']:+.3f}] dB")
    result["provenance"] = runtime.provenance(runtime.pick_device(device))
    name = "equivalence.json" if device == "cpu" else f"equivalence-{device}.json"
    path = runtime.ROOT / "benchmarks" / "results" / name
    with runtime.written_whole(path) as partial:
        partial.write_text(json.dumps(result, indent=1) + os.linesep)


if __name__ == "__main__":
    main()
