"""The command line: `dip-repro`."""

from __future__ import annotations

import importlib.util
import itertools
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn

from dip_repro import images, pictures
from dip_repro.photo import restore
from dip_repro.runtime import UserError
from dip_repro.study import campaign, experiments, records, report, runs

app = typer.Typer(
    help="Deep Image Prior, reproduced: run the paper's experiments, or restore a picture of your own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Profile = Annotated[str, typer.Option(help="quick (a first look), laptop (the real effect) or paper (its settings)")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Precision = Annotated[str, typer.Option(help="float32; bfloat16 or (NVIDIA) tf32: faster where the device knows it")]
Compiled = Annotated[
    bool, typer.Option("--compiled", help="compile the network first: a minute, for long runs on a GPU")
]
Photo = Annotated[Path, typer.Argument(help="PNG, JPEG, WebP or TIFF; grey or colour")]
Output = Annotated[Path | None, typer.Option("--out", help="to write [default: PHOTO-restored.png; 16 bits: .tif]")]
Iterations = Annotated[int, typer.Option(help="at the most: the fit is stopped where its iterates change least")]
Count = Annotated[int, typer.Option(help="all are done; Ctrl-C leaves the best so far")]
MaxSize = Annotated[int | None, typer.Option(help="scale the photo down to this many pixels a side first")]
Width = Annotated[int, typer.Option(help="filters of the network a level; 128 are the paper's, 32 are faster")]
Tile = Annotated[int, typer.Option(help="a larger result is done in overlapping tiles of this many pixels a side")]


@app.command("list")
def list_experiments() -> None:
    """Name every experiment, what it answers in the paper, and how long its finished runs took."""
    finished, _ = records.load_all(runs.RESULTS)
    for experiment in experiments.EXPERIMENTS.values():
        profiles = ", ".join(f"{name}: {extent(queue, finished)}" for name, queue in experiment.profiles.items())
        typer.echo(f"{experiment.name:22s} {experiment.title}\n{'':22s} {experiment.answers}\n{'':22s} {profiles}")


def extent(queue: tuple[runs.Run, ...], finished: dict[str, dict]) -> str:
    """Return how many runs there are, how many are done, and the time that those took, on whatever machine it was."""
    took = [finished[run.name]["run"]["seconds"] for run in queue if run.name in finished]
    count = f"{len(queue)} run{'s' * (len(queue) != 1)}"
    if not took:
        return f"{count}, none done"
    altogether = minutes(sum(took))
    return f"{count}, {altogether}" if len(took) == len(queue) else f"{count}, {len(took)} done in {altogether}"


@app.command()
def run(
    selection: Annotated[list[str], typer.Argument(help="experiments, or runs by pattern, such as 'sr4-set5/*'")],
    profile: Profile = "quick",
    device: Device = "auto",
    precision: Precision = "float32",
    compiled: Compiled = False,
    out: Annotated[Path, typer.Option(help="folder of records")] = runs.RESULTS,
    budget: Annotated[str, typer.Option(help="stop cleanly after this time, such as 9m or 2h")] = "",
    workers: Annotated[int, typer.Option(help="processes, the cores shared out among them")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask cluster, such as tcp://host:8786")] = None,
    figure: Annotated[bool, typer.Option(help="draw each run beside its record")] = True,
) -> None:
    """Run experiments without Jupyter; finished records are kept, interrupted runs go on."""
    queue = {run.name: run for run in campaign.select(selection, profile)}
    outcome = campaign.campaign(
        queue.values(), out, device, precision, compiled, seconds(budget) if budget else math.inf, workers, scheduler
    )
    for name in outcome.finished:
        tell(queue[name], out, profile, figure)
    waiting = {"interrupted": outcome.interrupted, "at work elsewhere": outcome.elsewhere}
    for what, names in waiting.items():
        if names:
            typer.echo(f"{what}: {len(names)} of {len(queue)}; the same command goes on with them")
    if outcome.failed:
        raise UserError("; ".join(f"{name}: {sentence}" for name, sentence in outcome.failed.items()))


def seconds(duration: str) -> float:
    """Return "90s", "9m", "1.5h" or plain "90" in seconds."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(duration[-1:])
    try:
        return float(duration[:-1] if unit else duration) * (unit or 1)
    except ValueError:
        raise UserError(f"{duration!r} is no time: write 90s, 9m or 1.5h") from None


def tell(one: runs.Run, out: Path, profile: str, figure: bool) -> None:
    record = records.load(out / f"{one.name}.json")
    if figure and importlib.util.find_spec("matplotlib"):  # not on every machine that only computes
        from dip_repro.study import figures

        figures.of_run(one, record, out)
    judged = {"PSNR in dB": record["scores"]} | record.get("measures", {})
    changes = ", ".join(f"{name} {x['corrupted']:.2f} → {x[one.scored]:.2f}" for name, x in judged.items() if x)
    typer.echo(
        f"{one.name} [{profile}]: {changes or 'no truth to score by'} "
        f"({record['run']['iterations']} iterations, {record['run']['seconds']:.0f} s)"
    )


@app.command()
def collect(
    source: Annotated[Path, typer.Argument(help="a folder of records that came back from another machine")],
    out: Annotated[Path, typer.Option(help="folder of records")] = runs.RESULTS,
) -> None:
    """Take in records made elsewhere; those of another schema, inputs or configuration are refused."""
    taken, refused = campaign.collect(source, out)
    typer.echo(f"{len(taken)} records taken, {len(refused)} refused")
    if refused:
        raise UserError("\n".join(refused))


@app.command()
def verify(
    record: Annotated[Path, typer.Argument(help="a record, such as data/results/branching/house-input-end.json")],
    device: Device = "auto",
    tolerance: Annotated[float, typer.Option(help="in dB; on one machine the difference is 0")] = 0.3,
) -> None:
    """Run a record's configuration again, and compare the scores."""
    saved = records.load(record)
    if not saved["scores"]:
        raise UserError(f"{record}: its ground truth is not known, so there are no scores to compare")
    with tempfile.TemporaryDirectory() as folder:
        again = runs.perform(experiments.declared(saved), Path(folder), device)
    assert again is not None  # as no budget interrupts it
    differences = {name: again["scores"][name] - value for name, value in saved["scores"].items() if name != "ssim"}
    for name, difference in differences.items():
        typer.echo(f"{name:14s} {saved['scores'][name]:8.4f} dB, again {difference:+.4f}")
    if max(map(abs, differences.values())) > tolerance:
        raise UserError(f"{record}: a score differs by more than {tolerance} dB")


@app.command()
def table(
    name: Annotated[str | None, typer.Argument(help="one of the paper's seven tables [default: all, in short]")] = None,
    format: Annotated[str, typer.Option(help=f"{', '.join(report.FORMATS)}")] = "text",
    folder: Annotated[Path, typer.Option("--records", help="folder of records")] = runs.RESULTS,
) -> None:
    """Show a table of the paper, image by image, from finished records, beside the authors' published outputs."""
    typer.echo(report.table(name, format, folder) if name else report.overview(format, folder))
    for sentence in report.refused(folder):
        typer.echo(f"not counted: {sentence}", err=True)


@app.command("report")
def write_report() -> None:
    """Write README's results, data/INDEX.md and the notebooks' contents again, from what is committed."""
    for path in report.write():
        typer.echo(path)


@app.command()
def denoise(
    photo: Photo,
    out: Output = None,
    iterations: Iterations = 1800,
    max_size: MaxSize = None,
    width: Width = 128,
    tile: Tile = restore.TILE,
    device: Device = "auto",
) -> None:
    """Take the noise off a photo."""
    picture = opened(photo, max_size)
    restoration = restore.denoise(picture.pixels, iterations, width, tile, device)
    simpler = "non-local means (scikit-image) takes seconds, and is better on textures"
    carry_out("denoise", restoration, picture, named(photo, out, picture), simpler)


@app.command()
def dejpeg(
    photo: Photo,
    out: Output = None,
    iterations: Count = 2400,
    max_size: MaxSize = None,
    tile: Tile = restore.TILE,
    device: Device = "auto",
) -> None:
    """Take JPEG's blocks off a photo."""
    picture = opened(photo, max_size)
    restoration = restore.dejpeg(picture.pixels, iterations, tile, device)
    simpler = "total variation (scikit-image's denoise_tv_chambolle) takes seconds, and smooths blocks too"
    carry_out("take JPEG's blocks off", restoration, picture, named(photo, out, picture), simpler)


@app.command()
def upscale(
    photo: Photo,
    by: Annotated[int, typer.Option(help="times each side")] = 4,
    out: Output = None,
    iterations: Annotated[int | None, typer.Option(help="all are done [default: 2000, above 4 times 4000]")] = None,
    max_size: MaxSize = None,
    width: Width = 128,
    tile: Tile = restore.TILE,
    device: Device = "auto",
) -> None:
    """Enlarge a photo."""
    picture = opened(photo, max_size)
    restoration = restore.upscale(picture.pixels, by, iterations, width, tile, device)
    simpler = "Lanczos (Pillow) takes no time, and is about a dB below"
    carry_out(f"enlarge {by} times", restoration, picture, named(photo, out, picture), simpler)


@app.command()
def inpaint(
    photo: Photo,
    mask: Annotated[Path, typer.Argument(help="a picture of the same size, or a copy of the photo painted over")],
    missing: Annotated[str, typer.Option(help="the mask's colour for missing: black, white, red, #ff00ff")] = "black",
    out: Output = None,
    iterations: Count = 6000,
    max_size: MaxSize = None,
    width: Width = 128,
    tile: Tile = restore.TILE,
    device: Device = "auto",
) -> None:
    """Fill in what is missing by the mask; what is known stays as it is."""
    picture, known = opened(photo, max_size), images.as_mask(images.open_image(mask), missing)
    if max_size and known.shape[-2:] != picture.pixels.shape[-2:]:
        known = (nn.functional.interpolate(known[None], picture.pixels.shape[-2:], mode="area")[0] == 1).float()
    restoration = restore.inpaint(picture.pixels, known, iterations, width, tile, device)
    out = named(photo, out, picture)
    preview = out.with_name(f"{photo.stem}-missing.png")
    pictures.save(torch.where(known > 0, picture.pixels, torch.tensor(MAGENTA)[:, None, None]), preview)
    share = float(1 - known.mean())
    typer.echo(f"{missing} in {mask.name} is missing: {share:.1%} of the pixels, magenta in {preview}")
    simpler = "biharmonic inpainting (scikit-image) does as well where holes are thin"
    carry_out("fill in", restoration, picture, out, simpler)


def opened(photo: Path, max_size: int | None) -> pictures.Picture:
    picture = images.open_picture(photo)
    size = picture.pixels.shape[-2:]
    if max_size is None or max(size) <= max_size:
        return picture
    return picture.resized(tuple(max(1, round(side * max_size / max(size))) for side in size))


def named(photo: Path, out: Path | None, picture: pictures.Picture) -> Path:
    """Return the file to write, once it is known that it can be written."""
    out = out or photo.with_name(f"{photo.stem}-restored{'.png' if picture.bits == 8 else '.tif'}")
    pictures.check_name(out, picture)
    return out


MAGENTA = (1.0, 0.0, 1.0)
LONG = 600  # seconds; above, ways to make it shorter are suggested
REFRESHED = 15  # seconds between two previews


def carry_out(what: str, restoration: restore.Restoration, picture: pictures.Picture, out: Path, simpler: str) -> None:
    """Say what will be done and how long it may take, then do it; `out` is a preview until it is finished."""
    for _ in itertools.islice(restoration, 2):
        pass  # steps are timed on this device
    height, width = restoration.size
    tiles = f" in {restoration.tiles} tiles" if restoration.tiles > 1 else ""
    typer.echo(
        f"{what}: {width}×{height} pixels{tiles}, {restoration.memory_gb:.1f} GB, "
        f"{restoration.seconds_a_step:.2f} s a step, {minutes(restoration.longest)} at the most"
    )
    if restoration.longest > LONG:
        side = max(64, int(max(picture.pixels.shape[-2:]) * math.sqrt(LONG / restoration.longest)) // 16 * 16)
        typer.echo(
            f"That is long. --max-size {side} takes about {minutes(LONG)} at the most; --width 32 is a narrower "
            f"network, faster and somewhat worse; a GPU is much faster. Or: {simpler}."
        )
    saved = time.monotonic()
    try:
        for _ in restoration.reports():
            if time.monotonic() - saved > REFRESHED:
                pictures.write(restoration.image, out, picture)
                saved = time.monotonic()
    except KeyboardInterrupt:
        pictures.write(restoration.image, out, picture)
        typer.echo(f"\n{out}: interrupted; the best so far is written ({restoration.why})")
        return
    pictures.write(restoration.image, out, picture)
    typer.echo(f"{out}: {restoration.why}, after {minutes(restoration.seconds)}")


def minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def main() -> None:
    try:
        app()
    except UserError as error:
        sys.exit(f"dip-repro: {error}")
