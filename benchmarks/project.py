"""The project's loop on the same work as `textbook.py`: one line of JSON, the same fields.

python benchmarks/project.py --size 256 --iterations 6 [--precision bfloat16] [--device cuda] [--compiled]
"""

import argparse
import json
import statistics
import time

import torch

from dip_repro import runtime
from dip_repro.config import NetworkConfig, Settings
from dip_repro.fitting import Fit
from dip_repro.networks import Hourglass, noise_input
from dip_repro.operators import Identity


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compiled", action="store_true")
    args = parser.parse_args()

    runtime.tune()
    device = runtime.pick_device(args.device)
    network = Hourglass(NetworkConfig.uniform(args.width, args.depth)).to(device)
    z = noise_input(32, (args.size, args.size), seed=0).to(device)
    x0 = torch.rand(3, args.size, args.size)
    # A report at every iteration would read the loss each time; the loop's own stride is what users get.
    settings = Settings(10**6, rollback_threshold=float("inf"))
    fit = Fit(x0, Identity(), network, z, settings, precision=args.precision, compiled=args.compiled)

    seconds = []
    for _ in range(args.warmup + args.iterations):
        start = time.perf_counter()
        loss = fit.step()
        runtime.synchronise(device)
        seconds.append(time.perf_counter() - start)
    seconds = seconds[args.warmup :]
    print(
        json.dumps(
            {
                "size": args.size,
                "depth": args.depth,
                "width": args.width,
                "device": args.device,
                "precision": args.precision,
                "compiled": args.compiled,
                "allocator": runtime.TUNED,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "iterations": args.iterations,
                "median_s": round(statistics.median(seconds), 4),
                "min_s": round(min(seconds), 4),
                "peak_mib": round(runtime.peak_memory_mb(device) * 1e6 / 2**20),
                "loss": round(float(loss), 6),
            }
        )
    )


if __name__ == "__main__":
    main()
