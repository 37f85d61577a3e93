"""From file to file: what the commands do, and what they say meanwhile."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from dip_repro import images, runtime
from dip_repro.console import duration, say
from dip_repro.photo import arrays, files, masks, restore
from dip_repro.photo.files import Picture, open_picture
from dip_repro.runtime import UserError

runtime.tune()  # only the command line imports this file, so the process is its own
MAGENTA = (1.0, 0.0, 1.0)
LONG = 600  # seconds; if it may take longer, faster ways are suggested
REFRESHED = 15  # seconds between two previews; more for a large picture, which takes long to write
FASTER = {
    "denoise": "Non-local means (scikit-image) takes seconds, and is better on textures.",
    "dejpeg": "Total variation (scikit-image's denoise_tv_chambolle) takes seconds, and smooths blocks too.",
    "upscale": "Lanczos (Pillow) takes no time, and is about a dB worse.",
    "inpaint": "Biharmonic inpainting (scikit-image) takes seconds, and is as good where holes are thin.",
}


@dataclass(frozen=True)
class Options:
    """What all commands take."""

    out: Path | None = None
    iterations: int | None = None
    max_size: int | None = None
    setting: str = "recommended"
    tile: int = restore.TILE
    device: str = "auto"
    precision: str = "float32"
    seed: int = 0
    quiet: bool = False
    runs: int | None = None
    spread: Path | None = None

    def given(self) -> dict:
        """Return what a function of `arrays` takes of it."""
        names = ("iterations", "setting", "tile", "device", "precision", "seed", "runs")
        return {name: getattr(self, name) for name in names}

    def check(self, run: restore.Restoration) -> None:
        """Say so where a restoration has no spread, and it is wanted."""
        if self.spread is not None:
            run.check_spread()

    def say(self, line: str) -> None:
        if line and not self.quiet:
            say(line)

    def output(self, photo: Path, picture: Picture, by: int = 1, exactly: bool = False) -> Path:
        """Return the new file to write, once it is known that it can be written; say what it will not hold."""
        deep = picture.bits == 32 or (picture.bits == 16 and picture.beside.kind != "PNG")
        out = self.out or files.beside(photo, "-restored", ".tif" if deep else ".png")
        size = tuple(by * side for side in picture.pixels.shape[-2:])
        files.check_name(out, picture, size, exactly)
        if self.spread is not None:
            files.check_name(self.spread, grey(self.spread), size)
            if self.spread.resolve() == out.resolve():
                raise UserError(f"{self.spread}: the spread and the result have one name: give them two")
        self.say(files.left_out(out, picture, size))
        return out


def whole(what: str, photo: Path, options: Options, by: int = 1) -> None:
    """Denoise, dejpeg or upscale a photo; each side becomes `by` times longer."""
    begin: dict[str, Callable[..., arrays.Work]] = {
        "denoise": arrays.denoising,
        "dejpeg": arrays.unblocking,
        "upscale": partial(arrays.upscaling, by=by),
    }
    picture = open_picture(photo).no_larger_than(options.max_size)
    out = options.output(photo, picture, by)
    carry_out(what, begin[what](picture, **options.given()).run, picture, out, options)


def inpaint(photo: Path, mask: Path | None, missing: str, options: Options) -> None:
    picture = open_picture(photo, missing=True)
    images.rgb(missing)
    known = None if mask is None else masks.known_by(open_picture(mask), picture, missing, mask.name)
    picture, known = masks.with_holes(picture, known)
    picture, known = masks.no_larger_than(picture, known, options.max_size)
    out = options.output(photo, picture, exactly=True)
    restoration = arrays.filling(picture, known, **options.given()).run
    options.check(restoration)
    preview = files.beside(out, "-missing", ".png")
    images.save(torch.where(known > 0, picture.pixels, torch.tensor(MAGENTA)[:, None, None]), preview)
    what = f"{missing} in {mask.name}" if mask else "what is transparent or NaN"
    options.say(f"{what} means missing: {float(1 - known.mean()):.1%} of the pixels, shown in magenta in {preview}")
    carry_out("inpaint", restoration, picture, out, options)


def carry_out(what: str, run: restore.Restoration, picture: Picture, out: Path, options: Options) -> None:
    """Run a restoration: say how long it may take, keep a preview beside `out`, and write the result in the end."""
    preview = files.beside(out, "-preview", out.suffix)

    def show(image: Tensor) -> None:
        files.write(image, preview, picture)

    options.check(run)
    try:
        for _ in itertools.islice(run, 2):
            pass
        show(run.image)  # now the time of a step is known, and the memory that steps and previews take
        announce(what, run, options)
    except KeyboardInterrupt:  # two iterations are not worth keeping
        preview.unlink(missing_ok=True)
        raise
    try:
        try:
            watch(run, show, options)
            ended = run.ended
        except KeyboardInterrupt:
            ended = f"interrupted: {run.ended}"
        out = out if not files.taken(out) else files.unused(out)  # another command may have taken the name
        files.write(run.image, out, picture)
        if options.spread is not None:
            options.say(write_spread(run.spread, options.spread))
    finally:
        if files.taken(out):  # else the preview is all that there is
            preview.unlink(missing_ok=True)
    options.say(f"{out}: {ended}, after {duration(run.seconds)}")


def grey(path: Path) -> Picture:
    """Return a grey picture, of the most bits that a file of this name holds."""
    return Picture(torch.zeros(1, 1, 1), bits=32 if path.suffix.lower() in (".tif", ".tiff") else 8)


def write_spread(spread: Tensor, path: Path) -> str:
    """Write (C, H, W) as a grey picture, the root mean square over its channels, and return what it shows."""
    like, values = grey(path), spread.square().mean(0, keepdim=True).sqrt()
    largest = float(values.max())
    path = path if not files.taken(path) else files.unused(path)
    files.write(values if like.bits == 32 or not largest else values / largest, path, like)
    unit = "in units of the whole range" if like.bits == 32 else "white where it is largest"
    return f"{path}: the standard deviation between the runs, {unit}; at most {255 * largest:.1f} of 255"


def watch(run: restore.Restoration, show: Callable[[Tensor], None], options: Options) -> None:
    """Run a restoration to its end, and show it now and then."""
    refresh_at = time.monotonic() + REFRESHED
    for _ in run.reports(progress=not options.quiet):
        if (begun := time.monotonic()) > refresh_at:
            show(run.image)
            refresh_at = time.monotonic() + max(REFRESHED, 20 * (time.monotonic() - begun))


def announce(what: str, run: restore.Restoration, options: Options) -> None:
    """Say what a restoration that has begun will take, and what would be faster."""
    height, width = run.size
    parts = f" in {len(run.tiles)} tiles" if len(run.tiles) > 1 else ""
    parts += f", {run.runs} runs" if run.runs > 1 else ""
    usual, longest = run.seconds_usual, run.seconds_left
    usually = f"usually {duration(usual)}, " if usual < longest else ""
    options.say(
        f"{what}: {width}×{height} pixels{parts}, {run.memory_gb:.1f} GB of memory, "
        f"{run.seconds_a_step:.2f} s a step, {usually}at most {duration(longest)}"
    )
    if longest > LONG:
        side = max(64, int(max(run.photo.shape[-2:]) * math.sqrt(LONG / longest)) // 16 * 16)
        options.say(
            f"That is long. --max-size {side} takes at most about {duration(LONG)}. A GPU is much faster. "
            f"{FASTER[what]}"
        )
