"""What the four commands gain, how near the announced time is, whether tiles leave a seam, what 12 megapixels take.

The photos are bundled with matplotlib, PyWavelets and scikit-image; no setting was chosen on the first two of them, and
the others were seen once before (`SEEN`). `python benchmarks/photos.py` writes benchmarks/results/photos.json, and
benchmarks/PHOTOS.md from it; two hours on one core.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import pandas as pd
import pywt.data
import skimage.data
import skimage.io
import torch
from matplotlib import cbook

from dip_repro import baselines, corruptions, images, metrics, runtime
from dip_repro.photo import restore
from dip_repro.study import tables

RESULTS = Path(__file__).parent / "results" / "photos.json"
EARLIER = Path(__file__).parent / "results" / "photos-earlier.json"  # before each command had a rule of its own
REPORT = Path(__file__).parent / "PHOTOS.md"
PHOTOS = {
    "portrait": lambda: skimage.io.imread(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)),
    "ascent": lambda: pywt.data.ascent().astype("uint8"),
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
    "tissue": skimage.data.immunohistochemistry,
}
SEEN = ("motorcycle", "tissue")
SCRIBBLE = "what was written over the photo, here and there, is to go"


def truth_of(name: str, side: int) -> torch.Tensor:
    return metrics.quantise(images.resize(images.as_image(PHOTOS[name]()), side))


def commands(name: str) -> dict[str, tuple]:
    """Return for each command the truth, the damaged photo at its size, and the restoration, with default settings."""
    truth, less = truth_of(name, 128), truth_of(name, 96)
    noisy, blocks = corruptions.gaussian_noise(truth, 25, seed=1), corruptions.jpeg(truth, 10)
    known = corruptions.text_mask(less.shape[-2:], SCRIBBLE, 11)
    small = corruptions.decimated(truth, 4)
    return {
        "denoise": (truth, noisy, lambda: restore.denoise(noisy)),
        "dejpeg": (truth, blocks, lambda: restore.dejpeg(blocks)),
        "inpaint": (less, less * known, lambda: restore.inpaint(less * known, known)),
        "upscale": (truth, baselines.enlarge(small, 4), lambda: restore.upscale(small, 4)),
    }


def gain(command: str, name: str) -> dict:
    """Restore one photo by its command's own rule, and compare the seconds a step with what was announced."""
    truth, damaged, restore = commands(name)[command]
    restoration = restore()
    for _ in itertools.islice(restoration, 2):
        pass  # as the command does, before it announces
    announced, begun, at = restoration.seconds_a_step, restoration.seconds, restoration.fit.iteration
    image = restoration.done()
    step = (restoration.seconds - begun) / (restoration.fit.iteration - at)
    before, after = (float(metrics.psnr(metrics.quantise(x), truth)) for x in (damaged, image))
    return {
        "command": command,
        "photo": name,
        "given": round(before, 2),
        "restored": round(after, 2),
        "gain": round(after - before, 2),
        "stopped at": restoration.fit.iteration,
        "announced": round(announced, 4),
        "seconds a step": round(step, 4),
        "off": round(step / announced - 1, 3),
    }


def seam() -> dict:
    """Denoise a photo in two tiles; return how steep the error is where they meet, and where they do not."""
    truth = metrics.quantise(images.resize(images.as_image(PHOTOS["motorcycle"]()), 224))[:, :128]
    noisy = corruptions.gaussian_noise(truth, 25, seed=1)
    tiles = restore.Tiles(lambda photo: restore.denoise(photo, iterations=600, width=64), noisy, tile=128, overlap=32)
    parts = []
    while len(parts) < 2:
        for _ in tiles.current.reports():
            pass
        parts.append(tiles.current.image)
        tiles.sum, tiles.weight = tiles.added()
        tiles.finished += 1
        if tiles.finished < tiles.tiles:
            tiles.start()
    left, right = (box[2] for box in tiles.boxes)
    cut = (right.start + left.stop) // 2
    abrupt = torch.cat((parts[0][:, :, :cut], parts[1][:, :, cut - right.start :]), -1)

    def steepness(x: torch.Tensor) -> torch.Tensor:
        return (x - truth).diff(dim=-1).abs().mean((0, 1))  # of the error, by column

    blended, overlap = steepness(tiles.image), slice(right.start, left.stop)
    elsewhere = torch.cat((blended[: right.start], blended[left.stop :]))
    return {
        "abrupt cut over elsewhere": round(float(steepness(abrupt)[cut - 1] / elsewhere.mean()), 2),
        "steepest column of the blend over elsewhere": round(float(blended[overlap].max() / elsewhere.mean()), 2),
        "steepest column elsewhere, over its mean": round(float(elsewhere.max() / elsewhere.mean()), 2),
        "PSNR of the blend": round(float(metrics.psnr(tiles.image, truth)), 2),
        "of the abrupt cut": round(float(metrics.psnr(abrupt, truth)), 2),
    }


def large() -> dict:
    """Go through a photo of 12 megapixels, two iterations a tile, and return the memory and the time of all of them."""
    photo = torch.rand(3, 3000, 4000, generator=torch.Generator().manual_seed(0))
    tiles, started = restore.denoise(photo, iterations=2), time.perf_counter()
    announced = tiles.memory_gb
    image = tiles.done(progress=False)
    step = tiles.spent / (2 * tiles.tiles)
    return {
        "pixels": f"{image.shape[-1]} × {image.shape[-2]}",
        "tiles": tiles.tiles,
        "memory announced, GB": round(announced, 1),
        "peak memory, GB": round(runtime.peak_memory_mb(torch.device("cpu")) / 1000, 1),
        "seconds a step": round(step, 2),
        "hours at the most, 1800 iterations a tile": round(1800 * step * tiles.tiles / 3600, 1),
        "minutes of this trial": round((time.perf_counter() - started) / 60, 1),
    }


def shown(gains: list[dict]) -> pd.DataFrame:
    rows = pd.DataFrame(gains).set_index("command")
    return rows.assign(off=[f"{value:+.0%}" for value in rows.off])


def report(found: dict) -> str:
    rows = {key: pd.Series(found[key], name="").rename_axis(key).to_frame("measured") for key in ("seam", "large")}
    machine = found["machine"]
    threads = f"{machine['threads']} thread(s) on {machine['cores']} cores, PyTorch {machine['torch']}"
    return "\n\n".join(
        [
            "# The four commands on photos that no setting was chosen on",
            "Written by `python benchmarks/photos.py` from `benchmarks/results/photos.json`. "
            f"{found['date']}, {machine['device']}, {threads}.",
            "Default settings, each command stopped by its own rule. PSNR in dB; *given* is the damaged photo, for "
            "`upscale` its bicubic enlargement, for `inpaint` with black where it is missing. *off*: the seconds a "
            "step of the whole fit against those announced before it; where other work comes and goes on the machine, "
            "it tells of that.",
            f"No setting was chosen on the portrait and the ascent. {' and '.join(SEEN)} were seen once before, when "
            "the rule for noise stopped every command: too early where there is none. That is why the others end with "
            "the paper's count now; that fits without noise gain to their end stood in the records of other pictures, "
            "those of notebook 13.",
            tables.markdown(shown(found["gains"])),
            "Earlier, with the rule for noise in every command (`dejpeg` with the network of the others):",
            tables.markdown(shown(json.loads(EARLIER.read_text()))),
            "A seam: two tiles of 128 × 128 that overlap by 32, denoised apart. How steep the error is from one column "
            "to the next, at the abrupt cut, and in the blend:",
            tables.markdown(rows["seam"]),
            "Memory and time of 12 megapixels, from two iterations of each tile:",
            tables.markdown(rows["large"]) + "\n",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", nargs="*", default=list(PHOTOS), help="those that are not done are restored")
    names = parser.parse_args().photos
    found = {"gains": []} | (json.loads(RESULTS.read_text()) if RESULTS.exists() else {})
    for part in (large, seam):  # large first: the peak memory is the process's
        if part.__name__ not in found:
            found[part.__name__] = part()
            write(found)
    done = {(row["command"], row["photo"]) for row in found["gains"]}
    for name, command in itertools.product(names, ("denoise", "dejpeg", "upscale", "inpaint")):
        if (command, name) not in done:
            found["gains"].append(gain(command, name))
            write(found)


def write(found: dict) -> None:
    found |= {"date": time.strftime("%Y-%m-%d"), "machine": runtime.provenance(torch.device("cpu"))}
    texts = {RESULTS: json.dumps(found, indent=1) + "\n"}
    if "seam" in found and found["gains"]:
        texts[REPORT] = report(found)
    for path, text in texts.items():
        with runtime.written_whole(path) as partial:
            partial.write_text(text)


if __name__ == "__main__":
    main()
