"""The textbook loop: the frozen yardstick that the project's speed is measured against.

The paper's default network and its denoising loop, written as a textbook would write them
in plain eager PyTorch: reflection-padded ``nn.Conv2d`` with biases, ``nn.BatchNorm2d``,
``nn.LeakyReLU``, ``nn.Upsample``, ``torch.cat``, the default allocator, fresh noise and
``loss.item()`` at every iteration. It imports nothing of the package and **must not be
tuned**: a ratio to it means something only as long as it stays as it is.

    python benchmarks/textbook.py --size 256 --iterations 6

prints one line of JSON: seconds per step (median, min), peak memory, threads.
"""

import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn


def conv(n_in, n_out, kernel, stride=1):
    """Reflection-padded convolution, batch norm, LeakyReLU."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, padding_mode="reflect"),
        nn.BatchNorm2d(n_out),
        nn.LeakyReLU(0.2),
    )


class Level(nn.Module):
    """One depth of the hourglass: skip beside (down, the deeper level, up-sampling), then up."""

    def __init__(self, n_in, width, n_skip, depth):
        super().__init__()
        self.skip = conv(n_in, n_skip, 1)
        self.down = nn.Sequential(conv(n_in, width, 3, stride=2), conv(width, width, 3))
        self.deeper = Level(width, width, n_skip, depth - 1) if depth > 1 else nn.Identity()
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.up = nn.Sequential(nn.BatchNorm2d(n_skip + width), conv(n_skip + width, width, 3), conv(width, width, 1))

    def forward(self, x):  # (1, n_in, H, W) -> (1, width, H, W)
        skip = self.skip(x)
        deep = self.upsample(self.deeper(self.down(x)))
        deep = deep[:, :, : x.shape[2], : x.shape[3]]  # odd sizes: one row or column too many
        return self.up(torch.cat([skip, deep], dim=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    torch.manual_seed(0)
    device = torch.device(args.device)
    net = nn.Sequential(Level(32, args.width, 4, args.depth), nn.Conv2d(args.width, 3, 1), nn.Sigmoid()).to(device)
    z = 0.1 * torch.rand(1, 32, args.size, args.size, device=device)
    noisy = torch.rand(1, 3, args.size, args.size, device=device)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)

    seconds = []
    for _ in range(args.warmup + args.iterations):
        start = time.perf_counter()
        optimizer.zero_grad()
        output = net(z + torch.randn(z.shape, device=device) / 30)
        loss = nn.functional.mse_loss(output, noisy)
        loss.backward()
        optimizer.step()
        last_loss = loss.item()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    seconds = seconds[args.warmup :]

    result = {
        "size": args.size,
        "depth": args.depth,
        "width": args.width,
        "device": args.device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "iterations": args.iterations,
        "median_s": round(statistics.median(seconds), 4),
        "min_s": round(min(seconds), 4),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "loss": round(last_loss, 6),
    }
    if device.type == "cuda":
        result["peak_mib"] = torch.cuda.max_memory_allocated() // 2**20
    print(json.dumps(result))


if __name__ == "__main__":
    main()
