"""The command line: `dip-repro`."""

from __future__ import annotations

import _thread
import importlib.util
import itertools
import math
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn

from dip_repro import fast, images, memory, presets, runtime
from dip_repro.networks import NetworkConfig, noise_input
from dip_repro.photo import files, restore
from dip_repro.photo.files import Picture, open_picture
from dip_repro.runtime import CHECKOUT, UserError
from dip_repro.study import campaign, experiments, records, report, runs, tables

app = typer.Typer(
    help="Deep Image Prior, reproduced: run the paper's experiments, or restore a photo of your own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Profile = Annotated[
    str, typer.Option(help="quick (a demonstration), laptop (the evidence) or paper (the paper's own settings)")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Precision = Annotated[
    str, typer.Option(help="float32; bfloat16 and, on NVIDIA's GPUs, tf32 are faster where the device supports them")
]
Compiled = Annotated[
    bool, typer.Option("--compiled", help="compile the network first: it takes a minute, and helps long runs on a GPU")
]
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


@app.command("list")
def list_experiments() -> None:
    """List the experiments: what each answers in the paper, and how long its finished runs took."""
    finished, _ = records.load_all(runs.RESULTS)
    for experiment in experiments.EXPERIMENTS.values():
        profiles = ", ".join(f"{name}: {extent(queue, finished)}" for name, queue in experiment.profiles.items())
        typer.echo(f"{experiment.name:22s} {experiment.title}\n{'':22s} {experiment.answers}\n{'':22s} {profiles}")


def extent(queue: tuple[runs.Run, ...], finished: dict[str, dict]) -> str:
    """Return how many runs there are, how many are done, and how long those took on the machines that did them."""
    took = [finished[run.name]["run"]["seconds"] for run in queue if run.name in finished]
    count = f"{len(queue)} run{'s' * (len(queue) != 1)}"
    if not took:
        return f"{count}, none done"
    altogether = duration(sum(took))
    return f"{count}, {altogether}" if len(took) == len(queue) else f"{count}, {len(took)} done in {altogether}"


@app.command()
def run(
    selection: Annotated[
        list[str], typer.Argument(help="names of experiments, or patterns of runs such as 'sr4-set5/*'")
    ],
    profile: Profile = "quick",
    device: Device = "auto",
    precision: Precision = "float32",
    compiled: Compiled = False,
    out: Annotated[Path, typer.Option(help="folder of records")] = runs.RESULTS,
    budget: Annotated[str, typer.Option(help="stop after this time, such as 9m or 2h, and save what is done")] = "",
    workers: Annotated[int, typer.Option(min=1, help="number of processes; they share the cores")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask cluster, such as tcp://host:8786")] = None,
    figure: Annotated[bool, typer.Option(help="save a figure of each run beside its record")] = True,
) -> None:
    """Run experiments without Jupyter. Finished runs are skipped, interrupted ones go on."""
    queue = {run.name: run for run in campaign.select(selection, profile)}
    limit = seconds(budget) if budget else math.inf
    outcome = campaign.campaign(queue.values(), out, device, precision, compiled, limit, workers, scheduler)
    for name in outcome.finished:
        tell(queue[name], out, profile, figure)
    waiting = {"interrupted": outcome.interrupted, "running in another process": outcome.elsewhere}
    for what, names in waiting.items():
        if names:
            typer.echo(f"{what}: {len(names)} of {len(queue)} runs; give the same command again to finish them")
    if outcome.failed:
        raise UserError("; ".join(f"{name}: {sentence}" for name, sentence in outcome.failed.items()))


def seconds(duration: str) -> float:
    """Return "90s", "9m", "1.5h" or "90" in seconds."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(duration[-1:])
    try:
        return float(duration[:-1] if unit else duration) * (unit or 1)
    except ValueError:
        raise UserError(f"{duration!r} is not a time: write 90s, 9m or 1.5h") from None


def tell(one: runs.Run, out: Path, profile: str, figure: bool) -> None:
    """Report one finished run in a line, and save its figure."""
    record = records.load(out / f"{one.name}.json")
    if figure and importlib.util.find_spec("matplotlib"):  # a machine that only computes may not have it
        from dip_repro.study import figures

        figures.of_run(one, record, out)
    judged = {"PSNR in dB": record["scores"]} | record.get("measures", {})
    changes = ", ".join(f"{name} {x['corrupted']:.2f} → {x[one.scored]:.2f}" for name, x in judged.items() if x)
    typer.echo(
        f"{one.name} [{profile}]: {changes or 'no ground truth to score it with'} "
        f"({record['run']['iterations']} iterations, {record['run']['seconds']:.0f} s)"
    )


@app.command()
def doctor(device: Device = "auto", side: Annotated[int, typer.Option(help="of the image, in pixels")] = 256) -> None:
    """Say what this machine is, which precision pays, and how long a cell of each of the paper's tables would take."""
    where = runtime.pick_device(device)
    said, free = runtime.provenance(where), runtime.free_memory(where)
    instructions = "" if where.type == "cuda" else f", {torch.backends.cpu.get_cpu_capability()}"
    typer.echo(f"{said['device']}{instructions}, {said['threads']} of {said['cores']} cores; PyTorch {said['torch']}")
    z = noise_input(32, (side, side), seed=0).to(where)
    network = NetworkConfig().build().to(where)
    typer.echo(f"a step at {side} × {side} needs {memory.memory_needed(network, z) / 1e9:.1f} GB", nl=not free)
    typer.echo(f", {free / 1e9:.1f} GB are free" if free else "")
    took = {}
    for precision in fast.PRECISIONS if where.type == "cuda" else ("float32", "bfloat16"):
        took[precision] = fast.seconds_of_two_steps(fast.evaluator(network, z, precision), z) / 2
        typer.echo(f"{precision:9s} {took[precision]:.3f} s a step with the paper's network")
    best = min(took, key=lambda precision: took[precision])
    typer.echo(f"fastest: {best}. With it, a cell at {side} × {side}:")
    for table in tables.TABLES.values():
        iterations = next(iter(table.runs.values())).settings.iterations
        typer.echo(f"  {table.title:36s} {iterations:6d} iterations, {duration(iterations * took[best])}")


@app.command()
def collect(
    source: Annotated[Path, typer.Argument(help="a folder of records from another machine")],
    out: Annotated[Path, typer.Option(help="folder of records")] = runs.RESULTS,
) -> None:
    """Copy records from another machine. Those with another schema, inputs or configuration are refused."""
    taken, refused = campaign.collect(source, out)
    typer.echo(f"{len(taken)} records copied, {len(refused)} refused")
    if refused:
        raise UserError("\n".join(refused))


@app.command()
def verify(
    record: Annotated[Path, typer.Argument(help="a record, such as data/results/branching/house-input-end.json")],
    device: Device = "auto",
    tolerance: Annotated[float, typer.Option(help="in dB; on the same machine the difference is 0")] = 0.3,
) -> None:
    """Do the run of a record again, and compare the scores."""
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
    name: Annotated[
        str | None, typer.Argument(help="one of the paper's seven tables", show_default="a summary of all")
    ] = None,
    format: Annotated[str, typer.Option(help=f"{', '.join(report.FORMATS)}")] = "text",
    folder: Annotated[Path, typer.Option("--records", help="folder of records")] = runs.RESULTS,
) -> None:
    """Show a table of the paper, image by image: our finished records beside the authors' published outputs."""
    typer.echo(report.table(name, format, folder) if name else report.overview(format, folder))
    for sentence in report.refused(folder):
        typer.echo(f"not counted: {sentence}", err=True)


@app.command("report")
def write_report() -> None:
    """Write the results in README, data/INDEX.md and the notebooks' contents again, from the committed records."""
    if not CHECKOUT:
        raise UserError("the report is part of the repository: clone it, and run `dip-repro report` there")
    for path in report.write():
        typer.echo(path)


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


def duration(seconds: float) -> str:
    """Return a time as people say it: in seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.0f} h"


def repeat_ctrl_c(unraisable) -> None:
    """Press Ctrl-C again where it came while a destructor ran: Python only prints such an exception, and goes on."""
    if unraisable.exc_type is KeyboardInterrupt:
        threading.Timer(0.1, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(unraisable)


def main() -> None:
    sys.unraisablehook = repeat_ctrl_c
    try:
        app()
    except UserError as error:
        sys.exit(f"dip-repro: {error}")
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != 130:  # 130 is how Typer ends at Ctrl-C
            raise
        sys.exit("dip-repro: interrupted; finished records and checkpoints stay, and `dip-repro run` goes on from them")
