"""The picture of README: a noisy photo, non-local means, and what `dip-repro denoise` makes of it.

`python benchmarks/front_page.py` writes figures/noisy.png, figures/front-page.jpg and
benchmarks/results/front-page.json. It takes about five minutes on two cores.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image

from dip_repro import baselines, corruptions, images, metrics, runtime
from dip_repro.study import figures

NOISY = runtime.ROOT / "figures" / "noisy.png"
FIGURE = NOISY.with_name("front-page.jpg")
RESULTS = Path(__file__).parent / "results" / "front-page.json"
PHOTO, SIDE, SIGMA = "astronaut", 256, 25


def main() -> None:
    truth = metrics.quantise(images.resize(images.open_image(PHOTO), SIDE))
    noise = corruptions.gaussian_noise(truth, SIGMA, seed=1)
    Image.fromarray(images.to_8bit(noise)).save(NOISY, optimize=True)
    noisy, started = images.open_image(NOISY), time.perf_counter()
    with TemporaryDirectory() as folder:
        restored = Path(folder) / "restored.png"
        command = [sys.executable, "-m", "dip_repro", "denoise", str(NOISY), "--out", str(restored)]
        said = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, ours = time.perf_counter() - started, images.open_image(restored)
    shown = {"noisy": noisy, "non-local means": baselines.non_local_means(noisy, SIGMA), "dip-repro denoise": ours}
    psnr = {what: round(float(metrics.psnr(metrics.quantise(image), truth)), 2) for what, image in shown.items()}
    found = {"photo": PHOTO, "side": SIDE, "sigma_8bit": SIGMA, "psnr_db": psnr, "seconds": round(seconds)}
    said_last = (said.stdout + said.stderr).strip().splitlines()[-1].partition("restored.png: ")[2]
    found |= {"said": said_last, "provenance": runtime.provenance(torch.device("cpu"))}
    with runtime.written_whole(RESULTS) as partial:
        partial.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    figure = figures.pictures({f"{what}, {psnr[what]:.1f} dB": image for what, image in shown.items()}, height=3)
    figure.savefig(FIGURE, dpi=100, facecolor="white", pil_kwargs={"quality": 88, "optimize": True})


if __name__ == "__main__":
    main()
