"""One trial: what was done to the command line or the package, and what became of it."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from dip_repro import cli, images
from dip_repro.config import NetworkConfig, Settings
from dip_repro.study.runs import Run
from dip_repro.study.tasks import Denoising

RIGHT, TOLD = "right", "told"  # any other outcome is a sentence that says what failed
LIMIT = 240  # seconds until a command counts as hung
fork = multiprocessing.get_context("fork")
BESIDE = re.compile(r"\d+%\||it/s|(Download|Updat)ing file |Failed to download ")  # progress, and pooch's own lines

TINY = Run(
    "tiny/0",
    Denoising("camera", side=32),
    NetworkConfig.uniform(width=8, depth=2, skip=2, out_channels=1),
    Settings(40),
)
RUNS = [replace(TINY, name=f"tiny/{seed}", seed=seed) for seed in range(2)]
# Makes them an experiment of the command line.
DECLARED = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from trial import RUNS
from dip_repro.study import experiments
experiments.EXPERIMENTS["tiny"] = experiments.Experiment("tiny", "", "", {{"quick": tuple(RUNS)}})
"""


@dataclass
class Row:
    """The trials of one kind, counted."""

    group: str
    trial: str
    right: int = 0
    told: int = 0
    wrong: list[str] = field(default_factory=list)
    note: str = ""
    date: str = ""  # when it was tried

    def count(self, *outcomes: str) -> None:
        for outcome in outcomes:
            if outcome == RIGHT:
                self.right += 1
            elif outcome == TOLD:
                self.told += 1
            else:
                self.wrong.append(outcome)


def command(
    *arguments,
    right: Callable[[], bool] | None = None,
    prelude: str = "",
    bound: bool = False,
    fresh: bool = False,
    interrupt_after: float | None = None,
    **environment,
) -> str:
    """Run `dip-repro` in a process of its own, and return what became of it.

    right : whether what a finished command left is right; None where it must not finish but say why not.
    prelude : Python that runs before. bound : by the permissions of files, as root is not.
    fresh : a new Python; else a fork of this one, which has imported the package.
    interrupt_after : Ctrl-C so many seconds after a fork has begun with the command.
    """
    arguments = [str(argument) for argument in arguments]
    what = f"dip-repro {' '.join(Path(argument).name for argument in arguments)}"
    with tempfile.TemporaryFile("w+") as errors:
        if fresh:
            code = f"{prelude}\nfrom dip_repro.cli import main; main()"
            how = {"stdout": subprocess.DEVNULL, "stderr": errors, "env": os.environ | environment}
            process = subprocess.Popen([sys.executable, "-c", code, *arguments], **how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LIMIT)
            code = process.poll()
        else:
            begun = fork.Event()
            process = fork.Process(target=forked, args=(arguments, prelude, bound, environment, errors.fileno(), begun))
            process.start()
            if interrupt_after is not None:
                begun.wait(LIMIT)
                process.join(interrupt_after)
                if process.is_alive():
                    os.kill(process.pid, signal.SIGINT)
            process.join(LIMIT)
            code = process.exitcode
        if code is None:
            process.kill()
            return f"{what}: hung for {LIMIT} s"
        errors.seek(0)
        stderr = errors.read()
    lines = [line for line in stderr.splitlines() if line.strip() and not BESIDE.search(line)]
    if "Traceback" in stderr:
        return f"{what}: a traceback: {lines[-1]}"
    if code == 1 and len(lines) == 1 and lines[0].startswith("dip-repro: "):
        return TOLD
    if code or lines:
        return f"{what}: exit code {code}, and on stderr: {' / '.join(lines)[-300:]}"
    if right is None:
        return f"{what}: finished without a word"
    return RIGHT if right() else f"{what}: finished, and the result is wrong"


def forked(arguments: list[str], prelude: str, bound: bool, environment: dict, errors: int, begun) -> None:
    """Be the command line: its arguments, environment, rights, and where it says what."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what is in the background without it
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(errors, 2)
    os.environ.update(environment)
    images.registry.cache_clear()
    if bound:  # root without its capabilities, which what it starts does not get back
        libc, version = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0)
        if libc.prctl(28, 3) or libc.capset(version, (ctypes.c_uint32 * 6)()):
            raise PermissionError("capabilities could not be given up")
    sys.argv = ["dip-repro", *arguments]
    code = 1
    try:
        exec(prelude, {})
        begun.set()
        cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - as Python ends
        traceback.print_exc()
    os._exit(code)  # without what this process would do at its end


def side_by_side(calls: list[Callable[[], str]], at_once: int = 2) -> list[str]:
    """Return the outcome of each of the calls, which wait on processes."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda call: call(), calls))


@contextlib.contextmanager
def mounted(size: str) -> Iterator[Path]:
    """Yield a file system of its own, `size` large, in memory; CalledProcessError where this user may not mount."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True, capture_output=True)
        Path(folder).chmod(0o777)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)
