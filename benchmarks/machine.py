"""Measure the machine: matrix product rate (float32, bfloat16) and copy bandwidth.

    python benchmarks/machine.py [--device cpu]

prints one line of JSON. The best of several sizes and repeats, all of torch's threads.
"""

import argparse
import functools
import json
import time

import torch


def best_seconds(function, synchronize, repeats=8):
    """The least time that one call takes."""
    times = []
    for _ in range(repeats + 1):  # the first call warms up
        start = time.perf_counter()
        function()
        synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    device = torch.device(parser.parse_args().device)
    cuda = device.type == "cuda"
    synchronize = torch.cuda.synchronize if cuda else lambda: None

    def matmul_gflops(dtype):
        rates = []
        for n in (2048, 3072, 4096) if not cuda else (8192, 16384):
            a, b = torch.randn(2, n, n, device=device).to(dtype)
            out = torch.empty_like(a)
            multiply = functools.partial(torch.mm, a, b, out=out)
            rates.append(2 * n**3 / best_seconds(multiply, synchronize))
        return round(max(rates) / 1e9, 1)

    source = torch.ones(2**28 if not cuda else 2**30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.fill_(0)
    seconds = best_seconds(lambda: target.copy_(source), synchronize)
    result = {
        "device": torch.cuda.get_device_name() if cuda else torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "float32_matmul_gflops": matmul_gflops(torch.float32),
        "bfloat16_matmul_gflops": matmul_gflops(torch.bfloat16),
        "copy_gb_per_s": round(2 * source.numel() / seconds / 1e9, 1),  # read and written
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
