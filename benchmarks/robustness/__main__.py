"""What the package does when things go wrong, tried and counted.

    python benchmarks/robustness [GROUP ...]

The groups are those of `GROUPS`. Writes benchmarks/results/robustness.json and from it benchmarks/ROBUSTNESS.md; the
rows of groups that are not asked for stay. Linux; `disk`, `read-only` and a part of `downloads` mount small file
systems, which wants root.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import downloads
import files
import folders
import interrupts
import kills
import strangers
import torch
from trial import LIMIT, Row

from dip_repro import runtime

GROUPS = {
    "kills": kills.kills,
    "shared": kills.shared,
    "interrupts": interrupts.interrupts,
    "checkpoints": interrupts.checkpoints,
    "itself": interrupts.itself,
    "disk": folders.disk,
    "read-only": folders.read_only,
    "downloads": downloads.downloads,
    "registry": downloads.registry,
    "images": files.kinds,
    "mutations": files.mutations,
    "bomb": files.bombs,
    "exif": strangers.exif,
    "metadata": strangers.kept,
    "meanings": strangers.meanings,
    "masks": strangers.masks,
    "places": strangers.places,
    "arrays": strangers.arrays,
}
HERE = Path(__file__).parent.parent
RESULT, REPORT = HERE / "results" / "robustness.json", HERE / "ROBUSTNESS.md"
RIGHT = """**Told**: the command ends with exit code 1 and exactly one line on stderr (beside progress bars and pooch's
notes), “dip-repro: …”, that names what was wrong. **Right**: it finishes, and what it left is checked: records equal
those of runs left alone (all but time and host), a picture holds the pixels that were put into the file. **Wrong**: a
traceback, another exit code, no end within {limit} s, something half-written that is counted, or a wrong result
without a word; so is a sound picture that is refused, whatever its metadata look like. Each command has a process of
its own: forked once the package is imported; for the mutated files, the bombs and the encodings a new Python. EXIF,
metadata, meanings and arrays are read, written and fitted in one process, where nothing but a sentence may be raised.

Of a damaged file, a result is right where another reader makes the same pixels of it: for PNG, which has checksums,
and for any file that was cut, they must be the pixels before the damage; TIFF, which the package reads with tifffile,
is compared with Pillow; JPEG, WebP, GIF and BMP have no second reader here, and mostly no checksums: what Pillow, asked
directly, decodes without complaint counts as what the file says, though it may not be what it once said."""


def report(result: dict) -> str:
    """Return the report, from a saved result."""
    rows = [Row(**row) for row in result["rows"]]
    machine = result["machine"]
    total = sum(row.right + row.told + len(row.wrong) for row in rows)
    wrong = sum(len(row.wrong) for row in rows)
    lines = [
        "# Robustness",
        "",
        "<!-- written by `make robustness` from results/robustness.json -->",
        f"{machine['device']}, {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}, PyTorch {machine['torch']}. Trials of an earlier day are of that day's version.",
        "",
        f"**{total} trials: {sum(row.right for row in rows)} right, {sum(row.told for row in rows)} told in a sentence "
        f"that names what was wrong, {wrong} wrong.**",
        "",
        RIGHT.format(limit=result["limit"]),
        "",
        "| trial | how many | right | told | wrong | on | once more |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        count = row.right + row.told + len(row.wrong)
        what = row.trial + (f" ({row.note})" if row.note else "")
        again = f"`python benchmarks/robustness {row.group}`"
        lines.append(f"| {what} | {count} | {row.right} | {row.told} | {len(row.wrong)} | {row.date} | {again} |")
    failures = [f"- {row.group}: {sentence}" for row in rows for sentence in row.wrong]
    return "\n".join([*lines, *(["", "What went wrong:", "", *failures] if failures else []), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", help=f"some of {', '.join(GROUPS)} [default: all]")
    asked = parser.parse_args().groups or list(GROUPS)
    if unknown := set(asked) - set(GROUPS):
        sys.exit(f"{', '.join(unknown)}: not one of {', '.join(GROUPS)}")
    torch.set_num_threads(1)
    for group in asked:
        try:
            rows = GROUPS[group]()
        except subprocess.CalledProcessError as error:
            rows = [Row(group, "file systems of their own", note=f"not tried: {' '.join(map(str, error.cmd))} failed")]
        for row in rows:
            counts = f"{row.right} right, {row.told} told, {len(row.wrong)} wrong"
            print(f"{group}: {row.trial}: {counts}", *row.wrong, sep="\n    ", flush=True)
        today = str(datetime.date.today())
        before = json.loads(RESULT.read_text()) if RESULT.exists() else {"rows": []}
        saved = [{"date": before["date"]} | row for row in before["rows"] if row["group"] != group]
        saved += [dataclasses.asdict(row) | {"date": today} for row in rows]
        saved.sort(key=lambda row: list(GROUPS).index(row["group"]))
        provenance = runtime.provenance(runtime.pick_device("cpu"))
        result = {
            "date": today,
            "machine": provenance | {"system": platform.freedesktop_os_release()["PRETTY_NAME"]},
            "limit": LIMIT,
            "rows": saved,
        }
        with runtime.written_whole(RESULT) as partial:
            partial.write_text(json.dumps(result, indent=1) + os.linesep)
    REPORT.write_text(report(result))


if __name__ == "__main__":
    main()
