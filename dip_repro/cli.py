"""The command line: `dip-repro`, for a photo of your own; `dip-repro study` is the study's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from dip_repro.console import Device, Precision, Setting, ended

MOVED = ("list", "run", "doctor", "collect", "verify", "table", "report")  # to `dip-repro study`; until 0.4
GO_ON = "; finished records and checkpoints stay, and the same command resumes from them"


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

Photo = Annotated[Path, typer.Argument(readable=False, help="a PNG, JPEG, WebP or TIFF file, grey or colour")]
Output = Annotated[
    Path | None,
    typer.Option("--out", readable=False, help="a new file for the result", show_default="PHOTO-restored.png, or .tif"),
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
Settings = Annotated[Setting, typer.Option(help="paper: about five times as long, and a little better on noisy photos")]
Tile = Annotated[int, typer.Option(help="a larger result is computed in overlapping tiles of this side, in pixels")]
Precisions = Annotated[
    Precision, typer.Option(help="bfloat16 and, on NVIDIA's GPUs, tf32 are faster where the device supports them")
]
Seed = Annotated[int, typer.Option(help="of the random numbers: another one gives another, similar result")]
Runs = Annotated[
    int | None,
    typer.Option(
        min=1, help="fits whose mean is written, side by side", show_default="as many as cores, at most 4; 1 on a GPU"
    ),
]
Spread = Annotated[
    Path | None,
    typer.Option(readable=False, help="a new file for a picture of how much the runs differ: grey, .png or .tif"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="say nothing but errors")]


def version(asked: bool) -> None:
    if asked:
        from dip_repro import __version__

        typer.echo(f"dip-repro {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="say which it is")
    ] = False,
) -> None:
    pass


@app.command()
def denoise(
    photo: Photo,
    out: Output = None,
    iterations: Iterations = None,
    max_size: MaxSize = None,
    setting: Settings = Setting.recommended,
    tile: Tile = 512,
    device: Device = "auto",
    precision: Precisions = Precision.float32,
    seed: Seed = 0,
    runs: Runs = None,
    spread: Spread = None,
    quiet: Quiet = False,
) -> None:
    """Remove noise from a photo."""
    from dip_repro.photo import job  # PyTorch, which takes a second, only where there is work to do

    how = job.Options(out, iterations, max_size, setting, tile, device, precision.value, seed, quiet, runs, spread)
    job.whole("denoise", photo, how)


@app.command()
def dejpeg(
    photo: Photo,
    out: Output = None,
    iterations: Iterations = None,
    max_size: MaxSize = None,
    setting: Settings = Setting.recommended,
    tile: Tile = 512,
    device: Device = "auto",
    precision: Precisions = Precision.float32,
    seed: Seed = 0,
    runs: Runs = None,
    spread: Spread = None,
    quiet: Quiet = False,
) -> None:
    """Remove JPEG's block artefacts from a photo."""
    from dip_repro.photo import job

    how = job.Options(out, iterations, max_size, setting, tile, device, precision.value, seed, quiet, runs, spread)
    job.whole("dejpeg", photo, how)


@app.command()
def upscale(
    photo: Photo,
    by: Annotated[int, typer.Option(min=2, help="how many times longer each side becomes")] = 4,
    out: Output = None,
    iterations: Iterations = None,
    max_size: MaxSize = None,
    setting: Settings = Setting.recommended,
    tile: Tile = 512,
    device: Device = "auto",
    precision: Precisions = Precision.float32,
    seed: Seed = 0,
    runs: Runs = None,
    spread: Spread = None,
    quiet: Quiet = False,
) -> None:
    """Enlarge a photo."""
    from dip_repro.photo import job

    how = job.Options(out, iterations, max_size, setting, tile, device, precision.value, seed, quiet, runs, spread)
    job.whole("upscale", photo, how, by)


@app.command()
def inpaint(
    photo: Photo,
    mask: Annotated[
        Path | None,
        typer.Argument(
            readable=False,  # said by what reads it
            help="a picture of the same size, or a copy of the photo painted over; without one, what is transparent "
            "or NaN in the photo is missing",
        ),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="the colour in the mask of what is missing: black, white, red, #ff00ff")
    ] = "black",
    out: Output = None,
    iterations: Iterations = None,
    max_size: MaxSize = None,
    setting: Settings = Setting.recommended,
    tile: Tile = 512,
    device: Device = "auto",
    precision: Precisions = Precision.float32,
    seed: Seed = 0,
    runs: Runs = None,
    spread: Spread = None,
    quiet: Quiet = False,
) -> None:
    """Fill in the missing parts of a photo. The other pixels stay as they are."""
    from dip_repro.photo import job

    how = job.Options(out, iterations, max_size, setting, tile, device, precision.value, seed, quiet, runs, spread)
    job.inpaint(photo, mask, missing, how)


@app.command("study", add_help_option=False, context_settings={"ignore_unknown_options": True})
def study() -> None:
    """Run the paper's experiments, see their tables: `dip-repro study --help`."""


def main() -> None:
    ended(app, lambda: f"interrupted{GO_ON if {'study', *MOVED} & set(sys.argv[1:2]) else ''}")
