"""The command line: `dip-repro`, for a photo of your own; `dip-repro study` is the study's."""

from __future__ import annotations

import itertools
import math
import sys
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn
from typer.core import TyperGroup

from dip_repro import images, presets
from dip_repro.console import Device, duration, ended
from dip_repro.photo import files, restore
from dip_repro.photo.files import Picture, open_picture

MOVED = ("list", "run", "doctor", "collect", "verify", "table", "report")  # to `dip-repro study`; until 0.4


class Group(TyperGroup):
    """The photo's commands, and `study`, whose modules are imported only where it is called."""

    def resolve_command(self, ctx, args):
        moved = args[0] in MOVED
        if not moved and args[0] != "study":
            return super().resolve_command(ctx, args)
        from dip_repro.study.cli import app as study

        if moved and not ctx.resilient_parsing:
            typer.echo(f"`dip-repro {args[0]}` is now `dip-repro study {args[0]}`", err=True)
        return "study", typer.main.get_command(study), args if moved else args[1:]


app = typer.Typer(
    cls=Group,
    help="Deep Image Prior: restore a photo of your own, by an untrained network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("study", add_help_option=False, context_settings={"ignore_unknown_options": True})
def study() -> None:
    """Run the paper's experiments, see their tables: `dip-repro study --help`."""


Photo = Annotated[Path, typer.Argument(help="a PNG, JPEG, WebP or TIFF file, grey or colour")]
Output = Annotated[
    Path | None,
    typer.Option("--out", help="a new file for the result", show_default="PHOTO-restored.png; of 16 bits, .tif"),
]
Iterations = Annotated[
    int | None,
    typer.Option(
        min=1, help="how many, or with noise at most so many; Ctrl-C ends earlier", show_default="by the setting"
    ),
]
MaxSize = Annotated[
    int | None, typer.Option(min=1, help="first scale the photo down to this many pixels on its longer side")
]
Setting = Annotated[
    str, typer.Option(help="recommended; or paper: about five times as long, and a little better on noisy photos")
]
Tile = Annotated[int, typer.Option(help="a larger result is computed in overlapping tiles of this side, in pixels")]


@app.command()
def denoise(
    photo: Photo,
    out: Output = None,
    iterations: Iterations = None,
    max_size: MaxSize = None,
    setting: Setting = "recommended",
    tile: Tile = restore.TILE,
    device: Device = "auto",
) -> None:
    """Remove noise from a photo."""
    picture = open_picture(photo).no_larger_than(max_size)
    out = output(photo, out, picture)
    preset = how(presets.denoising(picture.pixels.shape[-2:], tile), setting, picture, iterations)
    restoration = restore.denoise(picture.pixels, preset, tile, device)
    faster = "Non-local means (scikit-image) takes seconds, and is better on textures."
    carry_out("denoise", restoration, picture, out, faster)


@app.command()
def dejpeg(
    photo: Photo,
    out: Output = None,
    iterations: Iterations = None,
    max_size: MaxSize = None,
    setting: Setting = "recommended",
    tile: Tile = restore.TILE,
    device: Device = "auto",
) -> None:
    """Remove JPEG's block artefacts from a photo."""
    picture = open_picture(photo).no_larger_than(max_size)
    out = output(photo, out, picture)
    restoration = restore.dejpeg(picture.pixels, how("jpeg", setting, picture, iterations), tile, device)
    faster = "Total variation (scikit-image's denoise_tv_chambolle) takes seconds, and smooths blocks too."
    carry_out("dejpeg", restoration, picture, out, faster)


@app.command()
def upscale(
    photo: Photo,
    by: Annotated[int, typer.Option(min=2, help="how many times longer each side becomes")] = 4,
    out: Output = None,
    iterations: Iterations = None,
    max_size: MaxSize = None,
    setting: Setting = "recommended",
    tile: Tile = restore.TILE,
    device: Device = "auto",
) -> None:
    """Enlarge a photo."""
    picture = open_picture(photo).no_larger_than(max_size)
    out = output(photo, out, picture)
    preset = how(presets.enlarging(by), setting, picture, iterations)
    restoration = restore.upscale(picture.pixels, by, preset, tile, device)
    faster = "Lanczos (Pillow) takes no time, and is about a dB worse."
    carry_out(f"enlarge {by} times", restoration, picture, out, faster)


@app.command()
def inpaint(
    photo: Photo,
    mask: Annotated[Path, typer.Argument(help="a picture of the same size, or a copy of the photo painted over")],
    missing: Annotated[
        str, typer.Option(help="the colour in the mask of what is missing: black, white, red, #ff00ff")
    ] = "black",
    out: Output = None,
    iterations: Iterations = None,
    max_size: MaxSize = None,
    setting: Setting = "recommended",
    tile: Tile = restore.TILE,
    device: Device = "auto",
) -> None:
    """Fill in the missing parts of a photo. The other pixels stay as they are."""
    picture = open_picture(photo).no_larger_than(max_size)
    known = images.as_mask(open_picture(mask).pixels, missing)
    if max_size and known.shape[-2:] != picture.pixels.shape[-2:]:
        known = (nn.functional.interpolate(known[None], picture.pixels.shape[-2:], mode="area")[0] == 1).float()
    out = output(photo, out, picture)
    preset = how("inpainting", setting, picture, iterations)
    restoration = restore.inpaint(picture.pixels, known, preset, tile, device)
    preview = files.unused(out.with_name(f"{out.stem}-missing.png"))
    images.save(torch.where(known > 0, picture.pixels, torch.tensor(MAGENTA)[:, None, None]), preview)
    share = float(1 - known.mean())
    typer.echo(f"{missing} in {mask.name} means missing: {share:.1%} of the pixels, shown in magenta in {preview}")
    faster = "Biharmonic inpainting (scikit-image) takes seconds, and is as good where holes are thin."
    carry_out("inpaint", restoration, picture, out, faster)


def how(task: str, setting: str, picture: Picture, iterations: int | None) -> presets.Preset:
    """Return the preset of a task for a picture, with another number of iterations where one is given."""
    found = presets.preset(task, setting, len(picture.pixels))
    return found if iterations is None else found.of(iterations)


def output(photo: Path, out: Path | None, picture: Picture) -> Path:
    """Return the new file to write, once it is known that it can be written."""
    suffix = ".png" if picture.bits == 8 else ".tif"
    out = out or files.unused(photo.with_name(f"{photo.stem}-restored{suffix}"))
    files.check_name(out, picture)
    return out


MAGENTA = (1.0, 0.0, 1.0)
LONG = 600  # seconds; if it may take longer, faster ways are suggested
REFRESHED = 15  # seconds between two previews; more for a large picture, which takes long to write


def carry_out(what: str, restoration: restore.Restoration, picture: Picture, out: Path, faster: str) -> None:
    """Run a restoration: say how long it may take, write previews to `out`, and in the end the result."""
    for _ in itertools.islice(restoration, 2):
        pass
    files.check_name(out, picture)  # once more, as another command may have taken the name by now
    files.write(restoration.image, out, picture)
    # By now the time of a step is known, and the memory that steps and previews take.
    height, width = restoration.size
    tiles = f" in {len(restoration.tiles)} tiles" if len(restoration.tiles) > 1 else ""
    usual, longest = restoration.seconds_usual, restoration.seconds_left
    usually = f"usually {duration(usual)}, " if usual < longest else ""
    typer.echo(
        f"{what}: {width}×{height} pixels{tiles}, {restoration.memory_gb:.1f} GB of memory, "
        f"{restoration.seconds_a_step:.2f} s a step, {usually}at most {duration(longest)}"
    )
    if longest > LONG:
        side = max(64, int(max(picture.pixels.shape[-2:]) * math.sqrt(LONG / longest)) // 16 * 16)
        typer.echo(
            f"That is long. --max-size {side} takes at most about {duration(LONG)}. A GPU is much faster. {faster}"
        )
    refresh_at = time.monotonic() + REFRESHED
    try:
        for _ in restoration.reports():
            if (begun := time.monotonic()) > refresh_at:
                files.write(restoration.image, out, picture)
                refresh_at = time.monotonic() + max(REFRESHED, 20 * (time.monotonic() - begun))
        ended = f"{restoration.why}, after {duration(restoration.seconds)}"
    except KeyboardInterrupt:
        ended = f"interrupted, and the result so far is written ({restoration.why})"
    files.write(restoration.image, out, picture)
    typer.echo(f"{out}: {ended}")


def main() -> None:
    ended(app, lambda: f"interrupted{GO_ON if {'study', *MOVED} & set(sys.argv[1:2]) else ''}")


GO_ON = "; finished records and checkpoints stay, and the same command goes on from them"
