"""A GPU day in one command: check the engine on the card, measure it, and fill the paper's tables until the time is up.

    python benchmarks/card.py --budget 9m --out card     # again, to go on

The first call writes card/card.json: small fits in each precision, eager and compiled, beside the CPU's own float32;
seconds a step of the paper's network at 256² and 512²; and the fastest setting whose PSNR keeps within `WITHIN` dB of
the CPU's, in the mean over pairs of fits. Every call then runs the cells of the paper's tables with that setting, the
cheapest whole table first, several at once where the card's memory allows, and packs what is done into
card/records.tar. Take the records in with `dip-repro study collect`. It was tried on a CPU with --tiny; no card
has run it yet.
"""

import argparse
import json
import tarfile
import time
from dataclasses import replace
from pathlib import Path

from dip_repro import fast, memory, runtime
from dip_repro.config import NetworkConfig, Settings
from dip_repro.fitting import Fit
from dip_repro.networks import noise_input
from dip_repro.operators import Identity
from dip_repro.study import campaign, tables
from dip_repro.study.runs import Run, prepare
from dip_repro.study.tasks import Denoising

WITHIN = 0.1  # dB
IMAGES, SEEDS = ("astronaut", "coffee", "rocket", "chelsea"), (1, 2, 3)
PEAK = 1.5  # of the memory that a step needs: how much a process of its own takes


def settings_of(device: str) -> list[tuple[str, bool]]:
    """Return the (precision, compiled) that are tried on a device."""
    if device == "cpu":
        return [("float32", False), ("bfloat16", False)]
    return [(precision, compiled) for precision in fast.PRECISIONS[1:] for compiled in (False, True)]


def psnr(device: str, image: str, seed: int, iterations: int, **how) -> float:
    """Return the average's PSNR in dB after a small denoising fit."""
    network = NetworkConfig.uniform(width=32, depth=3)
    run = Run("card", Denoising(image, side=64), network, Settings(iterations), seed)
    *_, last = (report.row for report in prepare(run, device, **how)[1])
    return last["psnr_average"]


def seconds_a_step(device: str, side: int, precision: str, compiled: bool, steps: int = 10) -> float:
    """Return the seconds of a step of the paper's network, the first ones left out."""
    where, network = runtime.pick_device(device), NetworkConfig()
    z = noise_input(32, (side, side), seed=0).to(where)
    settings = Settings(2 * steps, report_every=steps)
    fit = Fit(z[0, :3], Identity(), network.build().to(where), z, settings, precision=precision, compiled=compiled)
    first, second = (report.row["seconds"] for report in fit)
    return (second - first) / steps


def check(device: str, tiny: bool) -> dict:
    """Return what the card does: differences in dB from the CPU, seconds a step, the setting chosen, what failed."""
    pairs = [(image, seed) for image in IMAGES[: 1 if tiny else None] for seed in SEEDS[: 1 if tiny else None]]
    iterations, sides = (20, (64,)) if tiny else (400, (256, 512))
    plain = [psnr("cpu", *pair, iterations) for pair in pairs]
    found: dict = {"provenance": runtime.provenance(runtime.pick_device(device)), "settings": [], "failed": {}}
    for precision, compiled in settings_of(device):
        name = f"{precision}{', compiled' if compiled else ''}"
        how = {"precision": precision, "compiled": compiled}
        try:
            here = [psnr(device, *pair, iterations, **how) for pair in pairs]
            difference = sum(here) / len(pairs) - sum(plain) / len(pairs)
            steps = {f"{side}²": round(seconds_a_step(device, side, **how), 4) for side in sides}
            found["settings"].append(how | {"difference_db": round(difference, 3), "seconds_a_step": steps})
            print(f"{name:20s} {difference:+.2f} dB from the CPU's float32; seconds a step {steps}", flush=True)
        except Exception as error:  # noqa: BLE001 - whatever fails on a card is a result
            found["failed"][name] = f"{type(error).__name__}: {error}"
            print(f"{name:20s} failed: {error}", flush=True)
    good = [setting for setting in found["settings"] if abs(setting["difference_db"]) <= WITHIN]
    if not good:
        raise runtime.UserError(f"no setting keeps within {WITHIN} dB of the CPU here: look at card.json")
    found["chosen"] = min(good, key=lambda setting: sum(setting["seconds_a_step"].values()))
    return found


def cost(run: Run) -> float:
    """Return how long a run takes, in steps of 256²."""
    height, width = run.task.problem(run.seed).measurement.shape[-2:]
    factor = getattr(run.task, "factor", 1)
    return run.settings.iterations * height * width * factor**2 / 256**2


def queue(tiny: bool) -> list[Run]:
    """Return the cells of the paper's tables, the cheapest whole table first, each table's cheapest cell first."""
    if tiny:
        task, network = Denoising("coffee", side=32), NetworkConfig.uniform(8, 2)
        return [replace(Run(f"card-{i}", task, network, Settings(20)), seed=i) for i in range(3)]
    costs = {name: {run: cost(run) for run in table.runs.values()} for name, table in tables.TABLES.items()}
    order = sorted(costs.values(), key=lambda of_table: sum(of_table.values()))
    return [run for of_table in order for run in sorted(of_table, key=of_table.__getitem__)]


def side_by_side(device: str) -> int:
    """Return how many fits of 512² the free memory holds, at most 4."""
    where = runtime.pick_device(device)
    free, z = runtime.free_memory(where), noise_input(32, (512, 512), seed=0)
    fits = int((free or 0) / (PEAK * memory.memory_needed(NetworkConfig().build(), z)))
    return min(4, max(1, fits)) if where.type == "cuda" else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--budget", default="9m", help="stop after this time, such as 9m, and save what is done")
    parser.add_argument("--out", type=Path, default=Path("card"))
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try the command on a CPU")
    given = parser.parse_args()
    until = time.time() + float(given.budget.rstrip("ms")) * (60 if given.budget.endswith("m") else 1)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "card.json"
    if not path.exists():
        found = check(given.device, given.tiny)
        with runtime.written_whole(path) as partial:
            partial.write_text(json.dumps(found, indent=1) + "\n")
    chosen = json.loads(path.read_text())["chosen"]
    how = {"device": given.device, "precision": chosen["precision"], "compiled": chosen["compiled"]}
    workers = side_by_side(given.device)
    print(f"{how}, {workers} at once", flush=True)
    outcome = campaign.campaign(
        queue(given.tiny), given.out, budget=max(0, until - time.time()), workers=workers, **how
    )
    print(f"{len(outcome.finished)} finished, {len(outcome.interrupted)} to go on with, failed: {outcome.failed}")
    with runtime.written_whole(given.out / "records.tar") as partial, tarfile.open(partial, "w") as packed:
        for record in sorted([*given.out.rglob("*.json"), *given.out.rglob("*.png")]):
            packed.add(record, record.relative_to(given.out))


if __name__ == "__main__":
    main()
