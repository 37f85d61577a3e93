"""A full disk, and folders that may not be written: a sentence, and what was saved before is whole."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path

from files import PICTURE
from kills import counted, started
from trial import DECLARED, RUNS, TOLD, Row, command, mounted

from dip_repro import images
from dip_repro.runtime import UserError
from dip_repro.study import campaign
from dip_repro.study.runs import Run

ROOM = (0, 4, 8, 16, 32, 64, 128, 256)  # kB left

OFTEN = """
from dip_repro import checkpoint
checkpoint.SECONDS = 0
"""
# The fit is done, and its record is about to be saved.
AT_THE_RECORD = """
from dip_repro.study import records
from folders import fill
save = records.save
records.save = lambda record, image, folder: (fill(folder.parent, {left}), save(record, image, folder))[1]
"""


def fill(folder: Path, left: int) -> None:
    """Fill the disk of `folder` to its end, then make `left` kB of room."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            size = file.tell()
        file.truncate(max(0, size - 1024 * left))


def made(folder: Path, queue: list[Run] = RUNS) -> None:
    """Perform `queue` in a process of its own: this one is to be forked, and stays without PyTorch's threads."""
    started(lambda folder: campaign.campaign(queue, folder, "cpu"), folder).join()


def disk() -> list[Row]:
    told = f"with {ROOM[0]} to {ROOM[-1]} kB left; with room made, the same command goes on"
    rows = {
        "run": Row("disk", f"`dip-repro study run`, with a checkpoint at every report, on a full disk, {told}"),
        "record": Row("disk", f"`dip-repro study run`, the disk full at the moment of the record, {told}"),
        "photo": Row("disk", f"`dip-repro denoise` and `inpaint` to a full disk, {told}"),
    }
    with tempfile.TemporaryDirectory() as name:
        made(Path(name))
        whole, _ = counted(Path(name))
        photo = Path(name) / "photo.png"
        PICTURE.save(photo)
        mask = Path(name) / "mask.png"
        PICTURE.convert("1").save(mask)
        for left in ROOM:
            with mounted("1m") as disk:
                run = functools.partial(
                    command,
                    "study",
                    "run",
                    "tiny",
                    "--out",
                    disk / "records",
                    "--device",
                    "cpu",
                    prelude=DECLARED + OFTEN,
                )
                made(disk / "records", RUNS[:1])
                fill(disk, left)

                def kept(disk: Path = disk) -> bool:
                    found, damaged = counted(disk / "records")
                    return not damaged and "tiny/0" in found and found.items() <= whole.items()

                became = run(right=kept)
                rows["run"].count(became if kept() else f"{left} kB: a record was lost or half-written is counted")
                (disk / "filler").unlink()
                rows["run"].count(run(right=lambda disk=disk: counted(disk / "records")[0] == whole))
            with mounted("1m") as disk:
                run = functools.partial(command, "study", "run", "tiny", "--out", disk / "records", "--device", "cpu")

                def sound(disk: Path = disk) -> bool:
                    found, damaged = counted(disk / "records")
                    return not damaged and found.items() <= whole.items()

                became = run(prelude=DECLARED + AT_THE_RECORD.format(left=left), right=sound)
                rows["record"].count(became if sound() else f"{left} kB: half-written is counted")
                (disk / "filler").unlink()
                rows["record"].count(run(prelude=DECLARED, right=lambda d=disk: counted(d / "records")[0] == whole))
            for what in (("denoise", photo), ("inpaint", photo, mask)):
                with mounted("64k") as disk:
                    fill(disk, left)
                    out = disk / "out.png"
                    arguments = (*what, "--out", out, "--iterations", 2, "--device", "cpu")

                    def whole_picture(path: Path = out) -> bool:
                        try:
                            return images.open_image(path).shape == (3, 40, 40)
                        except UserError:
                            return False

                    became = command(*arguments, right=whole_picture)
                    if became == TOLD and not all(map(whole_picture, disk.glob("*.png"))):  # previews may be there
                        became = f"{left} kB: told, but half a picture is left"
                    rows["photo"].count(became)
                    (disk / "filler").unlink()
                    out.unlink(missing_ok=True)  # no file is overwritten
                    rows["photo"].count(command(*arguments, right=whole_picture))
    return list(rows.values())


def calls(folder: Path, elsewhere: Path) -> dict[str, tuple]:
    """Return commands that would write to `folder`, and some that only read it, with whether they may finish."""
    photo, mask = folder / "photo.png", folder / "mask.png"
    short = ("--iterations", 2, "--device", "cpu")
    return {
        "beside the photo": (("denoise", photo, *short), False),
        "under a name": (("denoise", "astronaut", "--max-size", 40, "--out", folder / "x.png", *short), False),
        "over a photo": (("denoise", photo, "--out", folder / "photo.png", *short), False),
        "a TIFF": (("denoise", photo, "--out", folder / "x.tif", *short), False),
        "the mask's preview": (("inpaint", photo, mask, *short), False),
        "records": (("study", "run", "tiny", "--out", folder, "--device", "cpu"), False),
        "records in a new folder": (("study", "run", "tiny", "--out", folder / "new", "--device", "cpu"), False),
        "by two workers": (("study", "run", "tiny", "--out", folder / "new", "--device", "cpu", "--workers", 2), False),
        "collected": (("study", "collect", elsewhere / "records", "--out", folder / "new"), False),
        "a photo read": (("denoise", photo, "--out", elsewhere / "x.png", *short), True),
        "a table read": (("study", "table", "--records", folder / "records"), True),
    }


def filled(folder: Path) -> None:
    """Put a photo, a mask and finished records into `folder`."""
    PICTURE.save(folder / "photo.png")
    PICTURE.convert("1").save(folder / "mask.png")
    made(folder / "records")


def refused(folder: Path, elsewhere: Path, **how) -> list[str]:
    """Return what became of each call, and check that nothing in `folder` changed."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    outcomes = []
    for what, (arguments, may_finish) in calls(folder, elsewhere).items():
        became = command(*arguments, prelude=DECLARED, right=(lambda: True) if may_finish else None, **how)
        if {path: path.stat().st_mtime_ns for path in folder.rglob("*")} != before:
            became = f"{what}: the folder changed"
        outcomes.append(became)
    return outcomes


def read_only() -> list[Row]:
    mount = Row("read-only", "every command that writes, to a file system mounted read-only; two that only read it")
    rights = Row("read-only", "the same to a folder without the right to write (mode 555), as a user whom that binds")
    with tempfile.TemporaryDirectory() as name:
        elsewhere = Path(name)
        elsewhere.chmod(0o777)
        filled(elsewhere)
        with mounted("4m") as folder:
            filled(folder)
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
            mount.count(*refused(folder, elsewhere))
        with mounted("4m") as folder:
            filled(folder)
            for place in (folder, folder / "records", folder / "records" / "tiny"):
                place.chmod(0o555)
            (elsewhere / "x.png").unlink(missing_ok=True)
            rights.count(*refused(folder, elsewhere, bound=True))
    return [mount, rights]
