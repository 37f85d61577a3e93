"""What README and the pages beside it say is what the committed results say."""

import importlib

from dip_repro.runtime import ROOT


def test_the_section_on_speed_is_the_committed_benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    bench = importlib.import_module("bench")
    section = (ROOT / "docs" / "speed.md").read_text().partition(bench.BEGIN)[2].partition(bench.END)[0]
    assert section.strip() == bench.section()


def test_every_open_reading_is_a_setting_that_exists():
    from dip_repro import corruptions, metrics, networks
    from dip_repro.study import runs, tasks, variants

    known = set(networks.NetworkConfig.__dataclass_fields__) | set(variants.Varied.__dataclass_fields__)
    for task in (runs.Run, tasks.Restoration, tasks.Denoising, tasks.SuperResolution, tasks.Inpainting):
        known |= set(task.__dataclass_fields__)
    known |= {module.__name__.split(".")[1] for module in (corruptions, metrics)}
    table = (
        (ROOT / "docs" / "readings.md")
        .read_text()
        .partition("| the text leaves open | setting |")[2]
        .partition("\n\n")[0]
    )
    rows = [line.split("|")[2] for line in table.splitlines()[2:]]
    names = {part for row in rows for part in row.split("`")[1::2]}
    assert len(rows) >= 18 and names <= known
