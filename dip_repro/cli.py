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

import typer
from torch import Tensor, nn

from dip_repro import campaign, experiments, images, photos, records, report, runs
from dip_repro.runtime import UserError

app = typer.Typer(
    help="Deep Image Prior, reproduced: run the paper's experiments, or restore a picture of your own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Profile = Annotated[str, typer.Option(help="quick (a first look), laptop (the real effect) or paper (its settings)")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Precision = Annotated[str, typer.Option(help="float32, or bfloat16: faster where the processor knows it")]
Photo = Annotated[Path, typer.Argument(help="PNG, JPEG or TIFF; grey or RGB")]
Output = Annotated[Path | None, typer.Option("--out", help="PNG to write [default: PICTURE-restored.png]")]
Iterations = Annotated[int, typer.Option(help="at the most: the fit is stopped where its iterates change least")]
MaxSide = Annotated[int | None, typer.Option(help="scale the picture down to this many pixels a side first")]


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
    out: Annotated[Path, typer.Option(help="folder of records")] = runs.RESULTS,
    budget: Annotated[str, typer.Option(help="stop cleanly after this time, such as 9m or 2h")] = "",
    workers: Annotated[int, typer.Option(help="processes, the cores shared out among them")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask cluster, such as tcp://host:8786")] = None,
    figure: Annotated[bool, typer.Option(help="draw each run beside its record")] = True,
) -> None:
    """Run experiments without Jupyter; finished records are kept, interrupted runs go on."""
    queue = {run.name: run for run in campaign.select(selection, profile)}
    outcome = campaign.campaign(
        queue.values(), out, device, precision, seconds(budget) if budget else math.inf, workers, scheduler
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
        from dip_repro import figures

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
    """Write README's results and data/INDEX.md again, from the committed records."""
    for path in report.write():
        typer.echo(path)


@app.command()
def denoise(
    picture: Photo, out: Output = None, iterations: Iterations = 1800, max_side: MaxSide = None, device: Device = "auto"
) -> None:
    """Take the noise off a picture."""
    photo = shrink(images.open_image(picture), max_side)
    restore("denoise", photos.denoise(photo, iterations, device), out or restored(picture))


@app.command()
def dejpeg(
    picture: Photo, out: Output = None, iterations: Iterations = 2400, max_side: MaxSide = None, device: Device = "auto"
) -> None:
    """Take JPEG's blocks off a picture."""
    photo = shrink(images.open_image(picture), max_side)
    restore("take JPEG's blocks off", photos.dejpeg(photo, iterations, device), out or restored(picture))


@app.command()
def upscale(
    picture: Photo,
    by: Annotated[int, typer.Option(help="times each side")] = 4,
    out: Output = None,
    iterations: Annotated[int | None, typer.Option(help="at the most [default: 2000, above 4 times 4000]")] = None,
    max_side: MaxSide = None,
    device: Device = "auto",
) -> None:
    """Enlarge a picture."""
    photo = shrink(images.open_image(picture), max_side)
    restore(f"enlarge {by} times", photos.upscale(photo, by, iterations, device), out or restored(picture))


@app.command()
def inpaint(
    picture: Photo,
    mask: Annotated[Path, typer.Argument(help="picture of the same size: white is known, black is missing")],
    out: Output = None,
    iterations: Iterations = 6000,
    device: Device = "auto",
) -> None:
    """Fill in what the mask marks as missing (black); what is known stays as it is."""
    known = images.as_mask(images.open_image(mask))
    photo = images.open_image(picture)
    share = float(1 - known.mean())
    restoration = photos.inpaint(photo, known, iterations, device)
    restore(f"fill in {share:.1%} of the pixels", restoration, out or restored(picture))


def shrink(image: Tensor, max_side: int | None) -> Tensor:
    longest = max(image.shape[-2:])
    if max_side is None or longest <= max_side:
        return image
    size = [max(1, round(n * max_side / longest)) for n in image.shape[-2:]]
    return nn.functional.interpolate(image[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def restored(picture: Path) -> Path:
    return picture.with_name(f"{picture.stem}-restored.png")


LONG = 600  # seconds; above, a way to make it shorter is suggested
REFRESHED = 15  # seconds between two previews


def restore(what: str, restoration: photos.Restoration, out: Path) -> None:
    """Say what will be done and how long it may take, then do it; `out` is a preview until it is finished."""
    if not out.parent.is_dir():
        raise UserError(f"{out.parent}: no such folder to write {out.name} to")
    for _ in itertools.islice(restoration, 2):
        pass  # steps are timed on this device
    height, width = restoration.size
    typer.echo(
        f"{what}: {width}×{height} pixels, {restoration.memory_gb:.1f} GB, {restoration.seconds_a_step:.2f} s a step, "
        f"{minutes(restoration.longest)} at the most"
    )
    if restoration.longest > LONG:
        typer.echo("That is long: --max-side 256 makes the picture smaller, and a GPU is faster.")
    saved = time.monotonic()
    try:
        for _ in restoration.reports():
            if time.monotonic() - saved > REFRESHED:
                images.save(restoration.image, out)
                saved = time.monotonic()
    except KeyboardInterrupt:
        images.save(restoration.image, out)
        typer.echo(f"\n{out}: interrupted at iteration {restoration.fit.iteration}; the best so far is written")
        return
    images.save(restoration.image, out)
    typer.echo(f"{out}: {restoration.rule.why}, after {minutes(restoration.fit.seconds)}")


def minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def main() -> None:
    try:
        app()
    except UserError as error:
        sys.exit(f"dip-repro: {error}")
