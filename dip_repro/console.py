"""What both command lines share: options, words, and how they end."""

from __future__ import annotations

import _thread
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer


class Setting(StrEnum):
    recommended = "recommended"
    paper = "paper"


class Profile(StrEnum):
    quick = "quick"
    laptop = "laptop"
    paper = "paper"


class Precision(StrEnum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    tf32 = "tf32"


Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps, or another device that PyTorch knows")]


def say(line: str) -> None:
    """Print a line; where it cannot be printed, to a full disk or a closed pipe, the work goes on without."""
    try:
        typer.echo(line)
    except OSError:
        with contextlib.suppress(OSError, ValueError):  # nor is what was not printed tried again at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def ended(app: Callable[[], object], interrupted: Callable[[], str]) -> None:
    """Run a command line to its end: an error for the user is one line and exit code 1, and so is Ctrl-C."""
    # Read when PyTorch is imported, by the commands. By default an OpenMP thread that waits spins for long: two of them
    # on one core, beside other work, take seconds for a step of tenths (benchmarks/NOTES.md).
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    sys.unraisablehook = repeat_ctrl_c
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # what its encoding lacks is shown as "?"
    try:
        app()
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # as Python 3.11 raises one that came while a class was made
            sys.exit(f"dip-repro: {interrupted()}")
        from dip_repro.runtime import UserError  # with PyTorch, which the command that raised it has imported

        if not isinstance(error, UserError):
            raise
        sys.exit(f"dip-repro: {error}")
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != 130:  # 130 is how Typer ends at Ctrl-C
            raise
        sys.exit(f"dip-repro: {interrupted()}")
