"""The study's command line: `dip-repro study`."""

from __future__ import annotations

import importlib.util
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from dip_repro import fast, memory, runtime
from dip_repro.config import NetworkConfig
from dip_repro.console import Device, Precision, Profile, duration
from dip_repro.networks import noise_input
from dip_repro.runtime import CHECKOUT, UserError
from dip_repro.study import campaign, experiments, records, report, runs, tables

app = typer.Typer(
    help="The study: run the paper's experiments, see their tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


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
        list[str], typer.Argument(help="names of experiments or of tables, or patterns of runs such as 'sr4-set5/b*'")
    ],
    profile: Annotated[
        Profile, typer.Option(help="quick: a demonstration; laptop: the evidence; paper: the paper's own settings")
    ] = Profile.quick,
    device: Device = "auto",
    precision: Annotated[
        Precision, typer.Option(help="bfloat16 and, on NVIDIA's GPUs, tf32 are faster where the device supports them")
    ] = Precision.float32,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="compile the network first: a minute, and helps long runs on a GPU")
    ] = False,
    out: Annotated[Path, typer.Option(help="folder of records")] = runs.RESULTS,
    budget: Annotated[str, typer.Option(help="stop after this time, such as 9m or 2h, and save what is done")] = "",
    workers: Annotated[int, typer.Option(min=1, help="runs side by side, each with cores of its own")] = 1,
    figure: Annotated[bool, typer.Option(help="save a figure of each run beside its record")] = True,
) -> None:
    """Run experiments without Jupyter. Finished runs are skipped, interrupted ones are resumed."""
    queue = {run.name: run for run in campaign.select(selection, profile.value)}
    limit = seconds(budget) if budget else math.inf
    outcome = campaign.campaign(queue.values(), out, device, precision.value, compiled, limit, workers)
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
    for precision in fast.PRECISIONS[1:] if where.type == "cuda" else ("float32", "bfloat16"):
        took[precision] = seconds_a_step(fast.evaluator(network, z, precision), z)
        typer.echo(f"{precision:9s} {took[precision]:.3f} s a step with the paper's network")
    best = min(took, key=lambda precision: took[precision])
    typer.echo(f"fastest: {best}. With it, a cell at {side} × {side}:")
    for table in tables.TABLES.values():
        iterations = next(iter(table.runs.values())).settings.iterations
        typer.echo(f"  {table.title:36s} {iterations:6d} iterations, {duration(iterations * took[best])}")


def seconds_a_step(f: Callable[[Tensor], Tensor], z: Tensor) -> float:
    """Return what f_θ(z) and its gradient take, in seconds, measured twice after a first time."""
    f(z).sum().backward()
    start = time.perf_counter()
    for _ in range(2):
        f(z).sum().backward()
    runtime.synchronise(z.device)
    return (time.perf_counter() - start) / 2


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
    """Do the run of a record again, in its precision, and compare the scores."""
    saved = records.load(record)
    if not saved["scores"]:
        raise UserError(f"{record}: its ground truth is not known, so there are no scores to compare")
    with tempfile.TemporaryDirectory() as folder:
        precision = saved["provenance"].get("precision", "float32")
        again = runs.perform(experiments.declared(saved), Path(folder), device, precision)
    assert again is not None  # as no budget interrupts it
    differences = {name: again["scores"][name] - value for name, value in saved["scores"].items() if name != "ssim"}
    for name, difference in differences.items():
        typer.echo(f"{name:14s} {saved['scores'][name]:8.4f} dB, again {difference:+.4f}")
    if not all(abs(difference) <= tolerance for difference in differences.values()):  # NaN is not
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
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of records")
    typer.echo(report.table(name, format, folder) if name else report.overview(format, folder))
    for sentence in report.refused(folder):
        typer.echo(f"not counted: {sentence}", err=True)


@app.command("report")
def write_report() -> None:
    """Write the results in README, data/INDEX.md and the notebooks' contents again, from the committed records."""
    if not CHECKOUT:
        raise UserError("the report is part of the repository: clone it, and run `dip-repro study report` there")
    for path in report.write():
        typer.echo(path)
