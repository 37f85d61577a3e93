"""The machine a run stands on: errors, random streams, device, allocator, provenance."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
CHECKOUT = (ROOT / "pyproject.toml").is_file()  # else the package is installed by itself
DATA = ROOT / "data" if CHECKOUT else PACKAGE / "data"  # registry, declarations, published numbers


class UserError(ValueError):
    """A sentence for the user: what was wrong, and what would do."""


def stream(seed: int, name: str, device: str | torch.device = "cpu") -> torch.Generator:
    """Return the random stream `name` of `seed`.

    Two runs that differ in one setting draw everything else alike, because no stream advances another.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@contextmanager
def own_defaults() -> Iterator[None]:
    """Within it, tensors and layers are made in float32 on the CPU.

    PyTorch's defaults are given back as they were, and so is its random stream, which layers draw from at first.
    """
    default = torch.get_default_dtype()
    with torch.random.fork_rng(devices=()), torch.device("cpu"):
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


def pick_device(name: str | torch.device | None = "auto") -> torch.device:
    """Return the device called `name`, which is there; "auto" and None are the GPU where there is one, else the CPU.

    Raises
    ------
    UserError : PyTorch does not know it, or it is not there.
    """
    if name is None or name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError, ValueError):
        raise UserError(f"device {name!r} is not one PyTorch knows; use auto, cpu, cuda or mps") from None
    try:
        torch.zeros(1, device=device).cpu()  # a name that PyTorch knows may be of a device that is not here
    except (RuntimeError, AssertionError, ImportError, AttributeError, LookupError, TypeError, ValueError):
        raise UserError(f"device '{device}': this PyTorch sees none; use cpu, or a PyTorch built for it") from None
    return torch.device("cpu") if device.type == "cpu" else device  # of which there is one, whatever its number


TUNED: list[str] = []  # what `tune` did, once


def tune() -> None:
    """Let glibc keep the memory it was given, in the whole process: a step takes two thirds of the time.

    A step frees and asks again for blocks of a hundred megabytes; by default glibc returns each of them to the
    system, and every page is faulted in again. Must come before the first large allocation. The command line and the
    study call it; `fit` does not, as it changes the program around it. Elsewhere than with glibc it does nothing.
    """
    if TUNED or not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, top_pad, mmap_max, arena_max, large = -1, -2, -4, -8, 2**31 - 1
    mallopt = ctypes.CDLL(None).mallopt
    kept = mallopt(mmap_max, 0), mallopt(trim_threshold, large), mallopt(top_pad, 2**28)
    if all((*kept, mallopt(arena_max, 1))):  # blocks above 64 MB are kept in the first arena alone
        TUNED.append("glibc keeps freed blocks")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says against writing `path` into a UserError: a full disk, a read-only folder."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} could not be written ({error.strerror or error}): make room, or name a folder to write to; "
            "what was saved before is whole"
        ) from error


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path to write to that becomes `path` once all went well: a reader never sees half a file.

    Raises
    ------
    UserError : it could not be written.
    """
    short = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]  # as the name itself may be as long as names can be
    partial = path.with_name(f".{short}.{os.getpid()}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def cores() -> list[int]:
    """Return the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def synchronise(device: torch.device) -> None:
    """Wait until `device` has done all it was asked, so that a clock read next means something."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory this process has held on `device` (on the CPU: resident), in MB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that a new run could take on `device`, None where the system does not tell."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # PyTorch's own, used again
        return torch.cuda.mem_get_info(device)[0] + cached
    if TUNED:
        ctypes.CDLL(None).malloc_trim(0)  # the freed blocks that glibc kept are free again
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
    limits = [limit for limit in (free, free_in_container()) if limit is not None]
    return min(limits, default=None)


# Of control groups, version 2 and 1: a container's limit, what it holds, and of that the files that would give way.
GROUPS = {
    "/sys/fs/cgroup": ("memory.max", "memory.current", "inactive_file"),
    "/sys/fs/cgroup/memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_in_container() -> int | None:
    """Return the bytes that a container's own limit leaves; None where there is no limit."""
    for folder, (limit, held, files) in GROUPS.items():
        try:
            most, now = ((Path(folder) / name).read_text().strip() for name in (limit, held))
            statistics = dict(line.split() for line in (Path(folder) / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        return None if most == "max" else int(most) - int(now) + int(statistics.get(files, 0))
    return None


@functools.cache
def commit() -> str:
    """Return the commit of the code, with "+" where a tracked file of the package differs from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "dip_repro") else "")
    except FileNotFoundError:
        return ""


@functools.cache
def cpuinfo(field: str) -> str:
    """Return what Linux says of the processor, such as its "model name"; "" where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":")[1].strip() for line in lines if line.startswith(field)), "")


def vendor() -> str:
    """Return the processor's maker as the processor spells it, such as GenuineIntel, where that is known."""
    return cpuinfo("vendor_id") or platform.processor().rpartition(", ")[2]  # as Windows ends it


def processor() -> str:
    """Return the processor's name as the system tells it."""
    return cpuinfo("model name") or platform.processor() or platform.machine()


def provenance(device: torch.device) -> dict:
    """Return what a record says of where it was made."""
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "scikit-image": version("scikit-image"),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "allocator": TUNED[0] if TUNED else "system default",
    }
