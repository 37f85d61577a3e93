"""Does a change of arithmetic change the quality? Paired fits, image × seed, everything else alike.

    python benchmarks/equivalence.py [denoising|restoration] [--device cpu]

At 64 × 64 with a narrow network; for each setting that changes arithmetic, the mean difference of the final PSNR (the
average's, as scored in denoising, and the last iterate's) to the plain float32 loop, and its 95 % interval over pairs.
Denoising is short. Restoration is long: its loss ends a hundred times lower, where rounding may matter more. Writes
benchmarks/results/equivalence.json (for restoration equivalence-restoration.json; with a GPU, -cuda), prints a table.
"""

import argparse
import itertools
import json
import os
from dataclasses import replace

import numpy as np
from scipy import stats

from dip_repro import runtime
from dip_repro.config import NetworkConfig, Settings
from dip_repro.presets import PAPER
from dip_repro.study.runs import Run, prepare
from dip_repro.study.tasks import Denoising, Restoration

IMAGES = ("astronaut", "chelsea", "coffee", "rocket", "retina", "hubble_deep_field")
NARROW = NetworkConfig.uniform(width=32, depth=3)
CASES = {  # a run, and the seeds: two gave intervals of ±0.13 dB in denoising, too wide to tell
    "denoising": (lambda image: Run("equivalence", Denoising(image, 64), NARROW, Settings(500)), (1, 2, 3, 4, 5, 6)),
    "restoration": (
        lambda image: Run(
            "equivalence",
            Restoration(image, 64),
            replace(NARROW, padding="zeros", norm_scale="uniform"),
            PAPER["restoration"].of(6000).settings,
        ),
        (1,),
    ),
}
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


def final_psnr(device: str, run: Run, shortcut: bool, precision: str, compiled: bool) -> tuple[float, float]:
    _, fitting = prepare(run, device, precision=precision, compiled=compiled)
    for block in fitting.network.ups:
        block.fast = shortcut
    *_, last = (report.row for report in fitting)
    return last["psnr"], last["psnr_average"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="?", choices=CASES, default="denoising")
    parser.add_argument("--device", choices=SETTINGS, default="cpu")
    case, device = vars(parser.parse_args()).values()
    of_image, seeds = CASES[case]
    pairs = list(itertools.product(IMAGES, seeds))
    scores = {}
    for name, setting in SETTINGS[device].items():
        scores[name] = np.array(
            [final_psnr(device, replace(of_image(image), seed=seed), *setting) for image, seed in pairs]
        )
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
    name = "-".join(["equivalence", *([case] if case != "denoising" else []), *([device] if device != "cpu" else [])])
    path = runtime.ROOT / "benchmarks" / "results" / f"{name}.json"
    with runtime.written_whole(path) as partial:
        partial.write_text(json.dumps(result, indent=1) + os.linesep)


if __name__ == "__main__":
    main()
