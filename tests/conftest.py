import os
from pathlib import Path

import matplotlib
import pytest
import torch

from dip_repro import images

matplotlib.use("Agg")
torch.set_num_threads(1)  # the networks of the tests are tiny


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The paper's images; tests that need them skip where no mirror folder is named."""
    folder = Path(os.environ.get(images.MIRROR, ""))
    if not os.environ.get(images.MIRROR) or not (folder / "project-page").is_dir():
        pytest.skip(f"{images.MIRROR} names no folder with the paper's images")
    return folder
