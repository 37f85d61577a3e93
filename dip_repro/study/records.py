"""What is saved of a run: a JSON record of its configuration, curves, scores and origin; its image as 8-bit PNG."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from torch import Tensor

from dip_repro import images
from dip_repro.runtime import UserError, written_whole

SCHEMA = 2
FIELDS = {"schema", "name", "freeze", "key", "configuration", "inputs", "scores", "curves", "run", "provenance"}
MEASURED = {"scores", "measures", "curves", "run"}  # the fields whose null stands for a number that is not finite


def key(configuration: dict) -> str:
    """Return a hash of a configuration. Two records with the same key answer the same question."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]


def tensor_hash(x: Tensor) -> str:
    """Return the SHA-256 of a tensor's values."""
    return hashlib.sha256(x.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def curves(history: pd.DataFrame) -> dict[str, list]:
    """Return the columns of a history as lists, with five significant digits."""
    return {column: [float(f"{value:.5g}") for value in history[column]] for column in history}


def mapped(value, change: Callable):
    """Return nested dicts of numbers, and of lists of numbers, with `change` applied to every number."""
    if isinstance(value, dict):
        return {name: mapped(part, change) for name, part in value.items()}
    return [change(number) for number in value] if isinstance(value, list) else change(value)


def save(record: dict, image: Tensor, folder: Path) -> Path:
    """Write `folder`/<name>.json, and the scored image (C, H, W) beside it as PNG.

    The JSON is written last: where it exists, the image does too. JSON knows no infinity and no NaN, so that such a
    number (the PSNR of a perfect image, the loss of a failed fit) is stored as null.
    """
    path = folder / f"{record['name']}.json"
    images.save(image, path.with_suffix(".png"))
    finite = mapped(record, lambda x: None if isinstance(x, float) and not math.isfinite(x) else x)
    with written_whole(path) as partial:
        partial.write_text(json.dumps(finite, indent=1, allow_nan=False) + "\n")
    return path


def load(path: Path) -> dict:
    """Return the record at `path`; a number that was not finite is NaN.

    Raises
    ------
    UserError : the record is missing, damaged, of another schema, or its configuration was changed. The file is named.
    """
    try:
        return sound(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise UserError(f"{path}: no such record; `dip-repro study run` makes it") from None


@functools.cache
def sound(path: Path, modified: int) -> dict:
    """Return `load` of a file that exists; it is read again once it was `modified`."""
    try:
        record = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(f"{path}: a damaged record, which is not counted; remove it and run again") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise UserError(f"{path}: not a record of schema {SCHEMA}; it is not counted")
    if not record.keys() >= FIELDS or record["key"] != key(record["configuration"]):
        raise UserError(f"{path}: a field is missing or the configuration was changed; it is not counted")
    measured = {name: mapped(record[name], lambda x: math.nan if x is None else x) for name in MEASURED & record.keys()}
    return record | measured


def stamp(folder: Path | str) -> tuple[tuple[str, int], ...]:
    """Return the path and the time of change of every record below `folder`: another where any has changed."""
    entries = list(os.scandir(folder)) if Path(folder).is_dir() else []
    own = ((entry.path, entry.stat().st_mtime_ns) for entry in entries if entry.name.endswith(".json"))
    return (*sorted(own), *(record for entry in entries if entry.is_dir() for record in stamp(entry.path)))


def load_all(folder: Path) -> tuple[dict[str, dict], list[str]]:
    """Return the sound records below `folder` by name, and a sentence for each damaged one."""
    found, damaged = loaded(folder, stamp(folder))
    return dict(found), list(damaged)


@functools.lru_cache(maxsize=64)
def loaded(folder: Path, at: tuple) -> tuple[dict[str, dict], list[str]]:
    """Return `load_all` of a folder with this `stamp`."""
    found, damaged = {}, []
    for path in sorted(folder.rglob("*.json")):
        try:
            record = load(path)
        except UserError as error:
            damaged.append(str(error))
        else:
            found[record["name"]] = record
    return found, damaged


def history(record: dict) -> pd.DataFrame:
    """Return the curves of a record, one row for each report: iteration, loss, seconds, and the scores logged."""
    return pd.DataFrame(record["curves"])


def score(record: dict) -> float:
    """Return the PSNR in dB of the image that the run is scored by."""
    return record["scores"][record["configuration"]["scored"]]


def scored_curve(record: dict) -> pd.Series:
    """Return the PSNR in dB, by iteration, of what the run is scored by: the iterate or the average."""
    column = "psnr" if record["configuration"]["scored"] == "image" else "psnr_average"
    return history(record).set_index("iteration")[column]
