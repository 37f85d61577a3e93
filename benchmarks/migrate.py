"""Bring records of schema 1 to today's: the whole configuration, its key, the freeze, and the name that is declared.

python benchmarks/migrate.py [FOLDER]

A record of schema 1 left out the fields that came after the first records, where they had the value of `ADDED`; and
freezes were folders. Each record is known by its configuration, and takes the name of the run that declares it. What no
run declares is told, and left as it is. Records of today's schema are left alone, so it can be run again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from dip_repro.config import NetworkConfig, ResNetConfig
from dip_repro.runtime import written_whole
from dip_repro.study import experiments, published, records, runs, tables
from dip_repro.study.experiments.denoising import SUPERSEDED
from dip_repro.study.no_prior import PixelsConfig

NETWORKS = {"n_d": NetworkConfig, "blocks": ResNetConfig, "size": PixelsConfig}  # by a field that no other one has
ADDED: dict[str, dict] = {  # the fields that schema 1 left out, with what its records were made with
    "NetworkConfig": {"norm_scale": "one", "downsample": "stride"},
    "settings": {"rollback_ratio": None, "output": "perturbed", "schedule": "constant", "weight_noise": 0.0},
    "Restoration": {"known": "drawn", "mask_seed": None, "black_known": 0.0},
    "SuperResolution": {"phase": 0.0, "border": "replicate", "x0_by": "pillow"},
}
ADDED["WithTotalVariation"] = ADDED["SuperResolution"]


def whole(configuration: dict) -> dict:
    """Return a configuration of schema 1 as today's has it."""
    old = dict(configuration)
    kind = next(kind.__name__ for field, kind in NETWORKS.items() if field in old["network"])
    rule = "variance" if old.pop("early", False) else old.pop("stop", "")
    return old | {
        "network": {"kind": kind} | ADDED.get(kind, {}) | old["network"],
        "settings": ADDED["settings"] | old["settings"],
        "task": ADDED.get(old["task"]["kind"], {}) | old["task"],
        "stop": {"rule": rule} | runs.STOPS[rule],
    }


def rest(record: dict) -> dict:
    """Return what a record holds beside its name and its configuration."""
    return {name: part for name, part in record.items() if name not in ("schema", "name", "key", "configuration")}


def rekey(path: Path, keys: dict[str, tuple[str, str]]) -> None:
    """Give the scores that are stored by the old keys of records their new keys, and the new names of the runs."""
    if not path.exists():
        return
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for i, row in frame[frame.key.isin(keys)].iterrows():
        frame.loc[i, "key"], name = keys[str(row.key)]
        if "method" in frame:
            place, _, which = name.rpartition("/")
            frame.loc[i, "method"] = place + which.removeprefix(str(row.image))
    with written_whole(path) as partial:
        frame.to_csv(partial, index=False)


def migrate(folder: Path) -> None:
    """Bring every record below `folder` to today's schema, and the scores that are stored by their keys."""
    every = [run for e in experiments.EXPERIMENTS.values() for profile in e.profiles.values() for run in profile]
    by_key: dict[str, dict[str, runs.Run]] = {}
    for run in every:
        by_key.setdefault(records.key(run.configuration), {})[run.name] = run
    keys, planned = {}, []
    for path in sorted(folder.rglob("*.json")):
        record = json.loads(path.read_text())
        if record.get("schema") != 1:
            continue
        if declared := by_key.get(records.key(whole(record["configuration"]))):
            planned.append((path, record, declared.get(record["name"]) or next(iter(declared.values()))))
        else:
            print(f"not declared: {path}")
    # A superseded cell makes room for the one of today.
    for path, record, run in sorted(planned, key=lambda one: not one[2].name.startswith(SUPERSEDED)):
        target = folder / f"{run.name}.json"
        if target != path and target.exists():
            print(f"{path}: {target} exists")
            continue
        head = {"schema": records.SCHEMA, "name": run.name, "freeze": run.freeze, "key": records.key(run.configuration)}
        keys[record["key"]] = head["key"], run.name
        with written_whole(target) as partial:
            partial.write_text(json.dumps(head | {"configuration": run.configuration} | rest(record), indent=1) + "\n")
        if target != path:
            if path.with_suffix(".png").exists():
                path.with_suffix(".png").rename(target.with_suffix(".png"))
            path.unlink()
    rekey(folder / tables.DERIVED, keys)
    rekey(published.FILES, keys)
    print(f"{len(keys)} records brought to schema {records.SCHEMA}")


if __name__ == "__main__":
    migrate(Path(sys.argv[1]) if len(sys.argv) > 1 else runs.RESULTS)
