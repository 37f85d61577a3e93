"""One run, saved: configuration, curves, scores, provenance, as JSON; the reconstruction beside it as 8-bit PNG."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
from torch import Tensor

from dip_repro import images
from dip_repro.runtime import UserError, written_whole

SCHEMA = 1
FIELDS = {"schema", "name", "key", "configuration", "inputs", "scores", "curves", "run", "provenance"}


def key(configuration: dict) -> str:
    """Return what identifies a configuration: two records of one key answer the same question."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]


def tensor_hash(x: Tensor) -> str:
    return hashlib.sha256(x.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def curves(history: pd.DataFrame) -> dict[str, list]:
    """Return a history's columns as lists of five significant digits."""
    return {column: [float(f"{value:.5g}") for value in history[column]] for column in history}


def save(record: dict, image: Tensor, folder: Path) -> Path:
    """Write `folder`/<name>.json, and the scored image (C, H, W) beside it; the JSON last, so that it vouches."""
    path = folder / f"{record['name']}.json"
    images.save(image, path.with_suffix(".png"))
    with written_whole(path) as partial:
        partial.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    return path


def load(path: Path) -> dict:
    """Return the record at `path`.

    Raises
    ------
    UserError : missing, damaged, of another schema, or not what its key says; the file is named.
    """
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such record; `dip-repro run` makes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(f"{path}: a damaged record; it is not counted: remove it and run again") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise UserError(f"{path}: not a record of schema {SCHEMA}; it is not counted")
    if not record.keys() >= FIELDS or record["key"] != key(record["configuration"]):
        raise UserError(f"{path}: fields are missing or its configuration was changed; it is not counted")
    return record


def load_all(folder: Path) -> tuple[dict[str, dict], list[str]]:
    """Return the sound records below `folder` by name, and a sentence for each damaged one."""
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
    """Return a record's curves: iteration, loss, seconds, and the scores that were watched."""
    return pd.DataFrame(record["curves"])
