"""The table of speed: the project's loop against the frozen textbook loop, interleaved in fresh processes.

    python benchmarks/bench.py [--device cpu] [--rounds 2]

Writes benchmarks/results/speed-MACHINE.json and the section of docs/speed.md, and prints a table: seconds a step (least
of the medians over rounds), the ratio to the textbook loop, the fraction of the machine's float32 matrix-product rate
by the FLOPs counted from the textbook network, peak memory; then cost against pixels, with the exponent.
"""

import argparse
import datetime
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch
from textbook import Level
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dip_repro import runtime

BEGIN, END = "<!-- speed: written by make bench -->", "<!-- end of speed -->"
HERE = Path(__file__).parent
DEFAULT = {"size": 256, "depth": 5, "width": 128}
SHAPES = [DEFAULT | change for change in ({"size": 128}, {}, {"size": 512}, {"width": 64}, {"depth": 3})]
RESULTS = HERE / "results"
# The textbook loop has PyTorch's own defaults, on a GPU TF32 for convolutions alone.
LOOPS = {"textbook": ["textbook.py"], "project": ["project.py"]}
LOOPS |= {f"project, {precision}": ["project.py", "--precision", precision] for precision in ("tf32", "bfloat16")}
LOOPS |= {f"{name}, compiled": [*LOOPS[name], "--compiled"] for name in ("project, tf32", "project, bfloat16")}
ON_CPU = ("textbook", "project", "project, bfloat16")


def call(script: str, *arguments) -> dict:
    done = subprocess.run([sys.executable, HERE / script, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def count(size: int, depth: int, width: int) -> dict:
    """Return GFLOP of a step, and GB moved were every layer's input and output read or written once a pass."""
    with torch.device("meta"):
        network = nn.Sequential(Level(32, width, 4, depth), nn.Conv2d(width, 3, 1), nn.Sigmoid())
        z = torch.empty(1, 32, size, size)
    elements = []
    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(lambda _, inputs, output: elements.append(inputs[0].numel() + output.numel()))
    with FlopCounterMode(display=False) as counter:
        network(z).sum().backward()
    passes = 3  # forward, and two reads on the way back: by input and by weight
    return {"gflop": counter.get_total_flops() / 1e9, "gb": 4 * passes * sum(elements) / 1e9}


def section() -> str:
    """Return the tables of docs/speed.md, one for each machine, the slowest first, from the saved results."""
    results = [json.loads(path.read_text()) for path in RESULTS.glob("speed-*.json")]
    return "\n\n".join(map(readme, sorted(results, key=lambda result: result["machine"]["float32_matmul_gflops"])))


def readme(result: dict) -> str:
    machine, device = result["machine"], result["provenance"]["device"]
    cores = f", {machine['threads']} cores" * (result["device"] == "cpu")
    lines = [
        f"{result['date']}, {device}{cores}, PyTorch {machine['torch'].split('+')[0]}; "
        f"{machine['float32_matmul_gflops']:.0f} GFLOP/s of float32 matrix product. "
        "The default network; the textbook loop is the same network written plainly.",
        "",
        "| image | loop | seconds a step | of the textbook loop | of the matrix-product rate | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        if (row["depth"], row["width"]) == (5, 128):
            lines.append(
                f"| {row['size']}² | {row['loop']} | {row['seconds']:.3f} | {row['ratio']:.2f} | {row['share']:.0%} "
                f"| {row['peak_mib'] / 1024:.1f} GiB |"
            )
    growth = ", ".join(f"{name} {exponent}" for name, exponent in result["exponents"].items())
    return "\n".join([*lines, "", f"Cost grows as pixels to the power: {growth}."])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=2)
    device, rounds = vars(parser.parse_args()).values()
    where = runtime.pick_device(device)
    loops = {name: loop for name, loop in LOOPS.items() if device != "cpu" or name in ON_CPU}
    machine = call("machine.py", "--device", device)
    rows = []
    for shape in SHAPES:
        arguments = [part for name, value in shape.items() for part in (f"--{name}", value)]
        arguments += ["--device", device]
        runs = [(name, call(*loop, *arguments)) for _ in range(rounds) for name, loop in loops.items()]
        counted = count(**shape)
        for name in loops:
            mine = [result for loop, result in runs if loop == name]
            seconds = min(result["median_s"] for result in mine)
            rows.append(
                {"loop": name, **shape, "seconds": seconds, **{k: round(v, 2) for k, v in counted.items()}}
                | {"peak_mib": max(result["peak_mib"] for result in mine)}
                | {"share": round(counted["gflop"] / seconds / machine["float32_matmul_gflops"], 3)}
            )
        textbook = next(row["seconds"] for row in rows if row["loop"] == "textbook" and row.items() >= shape.items())
        for row in rows[-len(loops) :]:
            row["ratio"] = round(row["seconds"] / textbook, 3)
        print(pd.DataFrame(rows[-len(loops) :]).to_string(index=False, header=len(rows) == len(loops)), flush=True)
    exponents = {}
    for name in loops:
        by_size = {r["size"]: r["seconds"] for r in rows if r["loop"] == name and (r["depth"], r["width"]) == (5, 128)}
        exponents[name] = round(math.log(by_size[512] / by_size[128]) / math.log(16), 2)
        print(f"{name}: cost grows as pixels to the power {exponents[name]}")
    result = {"date": str(datetime.date.today()), "device": device, "machine": machine}
    result |= {"rows": rows, "exponents": exponents, "provenance": runtime.provenance(where)}
    name = re.sub(r"\W+", "-", f"speed {machine['device']} {machine['threads']}".lower()) + ".json"
    with runtime.written_whole(RESULTS / name) as partial:
        partial.write_text(json.dumps(result, indent=1) + "\n")
    page = runtime.ROOT / "docs" / "speed.md"
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(before + BEGIN + "\n" + section() + "\n" + END + after)


if __name__ == "__main__":
    main()
