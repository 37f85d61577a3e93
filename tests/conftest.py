import os
import signal
from pathlib import Path

import matplotlib
import pytest
import torch
from typer.testing import CliRunner, Result

from dip_repro import cli, images
from dip_repro.fitting import Fit, FitResult

matplotlib.use("Agg")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it starts in the background
torch.set_num_threads(1)  # the networks of the tests are tiny

PHOTO = images.resize(images.open_image("rocket"), 40)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The paper's images; tests that need them skip where no mirror folder is named."""
    folder = Path(os.environ.get(images.MIRROR, ""))
    if not os.environ.get(images.MIRROR) or not (folder / "project-page").is_dir():
        pytest.skip(f"{images.MIRROR} names no folder with the paper's images")
    return folder


def call(*arguments) -> Result:
    """Run the command line in this process; an error for the user is raised as it is."""
    return CliRunner().invoke(cli.app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def photo(tmp_path) -> Path:
    images.save(PHOTO, tmp_path / "photo.png")
    return tmp_path / "photo.png"


def finished(run: Fit) -> FitResult:
    """Run a fit to its end and return its result."""
    for _ in run:
        pass
    return run.result
