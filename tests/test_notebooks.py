"""What nbval does not see: how notebooks are stored, and that their claims can fail."""

import re
import weakref
from collections import deque

import IPython.display
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import papermill
import pytest
import torch

from dip_repro.config import NetworkConfig
from dip_repro.fitting import Fit, Report
from dip_repro.networks import Hourglass, ResNet, noise_input
from dip_repro.runtime import ROOT
from dip_repro.study import claims, figures, records

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_as_run_once_in_order_with_parameters(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert sum("parameters" in cell.metadata.get("tags", ()) for cell in cells) == 1
    assert max(len(cell.source.splitlines()) for cell in cells) <= 20
    assert "Path('/" not in path.read_text()  # a path of the machine that ran it


@pytest.mark.parametrize("width, depth", [(32, 4), (128, 5)])
def test_the_network_of_notebook_00_is_the_package_s(width, depth):
    """Its cells have at most 60 lines together, and with the same weights they draw the same picture."""
    cells = code_cells(ROOT / "notebooks" / "00_start_here.ipynb")
    network = [cell.source for cell in cells if "network" in cell.metadata.get("tags", ())]
    assert sum(len(source.splitlines()) for source in network) <= 60
    names = {}
    for source in [cell.source for cell in cells if cell.source.startswith("import")] + network:
        exec(source, names)
    theirs = NetworkConfig.uniform(width, depth).build(seed=0).double()
    ours = names["Network"](filters=(width,) * depth).double()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    z = noise_input(32, (64, 64), seed=0).double()
    torch.testing.assert_close(ours(z), theirs(z))


def solutions():
    """Yield the Python of every folded solution, named by its notebook: each runs by itself, in less than a minute."""
    for path in NOTEBOOKS:
        text = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")
        folded = "".join(re.findall(r"<details>.*?</details>", text, re.S))
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", folded, re.S), 1):
            yield pytest.param(code, id=f"{path.stem}-{number}")


@pytest.mark.parametrize("code", list(solutions()))
def test_solutions_of_exercises_run_and_say_something(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "solution", "exec"), {"__name__": "solution"})
    plt.close("all")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_finds_the_profile(path):
    profile = papermill.inspect_notebook(path)["profile"]["default"]
    assert profile.strip("\"'") in ("quick", "laptop", "paper")


def test_a_fit_is_drawn_while_it_runs(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display.DisplayHandle, "display", lambda self, shown_first: None)
    monkeypatch.setattr(IPython.display.DisplayHandle, "update", lambda self, figure, raw: shown.append(figure))
    monkeypatch.setattr(figures, "displayed", lambda figure: figure)
    reports = [Report(i, torch.rand(3, 8, 8), torch.rand(3, 8, 8), {"iteration": i, "loss": 1 / i}) for i in (10, 20)]
    assert list(figures.live(iter(reports), every=0)) == reports
    assert [figure.axes[0].get_title() for figure in shown] == ["iteration 10", "iteration 20", "iteration 20"]
    assert not plt.get_fignums() and not list(figures.live([]))


def test_pictures_are_shown_as_jpeg_and_curves_as_png():
    history = pd.DataFrame({"iteration": [1, 2], "psnr": [20.0, 21.0], "loss": [1.0, 0.5]})
    shown = figures.displayed(figures.pictures({"given": torch.rand(3, 64, 64)}))
    assert shown["image/jpeg"][:2] == b"\xff\xd8" and "image/png" not in shown
    assert figures.displayed(figures.curves({"fit": history}))["image/png"][1:4] == b"PNG"


def drawn_at_random(network, z):
    """White noise in the place of an untrained network's output: a network without any prior."""
    return torch.rand(1, network.config.out_channels, *z.shape[-2:], device=z.device)


def few_outputs(forward, count=10):
    """Return `forward` that computes `count` outputs of each network, and repeats them in turn until a weight changes.

    Where no weight changes, later outputs differ from the first ones only by the perturbation of z.
    """
    seen: dict = weakref.WeakKeyDictionary()

    @torch.no_grad()
    def repeated(network, z):
        weights, outputs = seen.get(network, (None, None))
        now = next(network.parameters()).flatten()
        if weights is None or outputs[0].shape[-2:] != z.shape[-2:] or not torch.equal(weights, now):
            outputs = deque()
            seen[network] = now.clone(), outputs
        if len(outputs) < count:
            outputs.appendleft(forward(network, z))
        else:
            outputs.rotate()
        return outputs[0]

    return repeated


def table_of(path):
    names = {}
    for cell in code_cells(path):
        exec(compile(cell.source, path.name, "exec"), names)
    return names["table"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_claim_holds_when_the_optimiser_stands_still_and_records_are_withheld(path, monkeypatch, tmp_path):
    """A notebook that makes no `Fit` speaks of untrained networks: there the networks' prior is taken away instead."""
    fits, make = [], Fit.__init__
    monkeypatch.setattr(Fit, "__init__", lambda self, *given, **named: (fits.append(1), make(self, *given, **named))[1])
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, closure=None: None)
    monkeypatch.setattr(torch.autograd, "grad", lambda x, weights, *given: [torch.ones_like(w) for w in weights])
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: None)  # for an optimiser that does not look
    for network in (Hourglass, ResNet):
        monkeypatch.setattr(network, "forward", few_outputs(network.forward))
    monkeypatch.setattr(figures, "FIGURES", tmp_path)
    monkeypatch.setattr(figures, "slider", lambda path: None)  # of a picture that is not drawn here
    monkeypatch.setattr(claims, "VERDICTS", tmp_path)
    monkeypatch.setattr(records, "load_all", lambda folder: ({}, []))
    monkeypatch.setattr(records, "stamp", lambda folder: ())
    table = table_of(path)
    if not fits:
        for network in (Hourglass, ResNet):
            monkeypatch.setattr(network, "forward", drawn_at_random)
        table = table_of(path)
    assert not {"yes", "shown"} & (set(table.holds) | set(table.live))
