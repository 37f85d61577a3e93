"""The Python of README and of the pages beside it runs as it stands, with fewer iterations."""

import re

import numpy as np
import pytest
from PIL import Image

from dip_repro.runtime import ROOT

PAGES = ["README.md", "docs/running.md"]
BLOCKS = [
    (page, code) for page in PAGES for code in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_examples_run(number, tmp_path, monkeypatch):
    page, code = BLOCKS[number]
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 40, 3), np.uint8)
    for name in ("photo.jpg", "blurred.png"):
        Image.fromarray(pixels).save(name)
    code = re.sub(r"iterations=\d+", "iterations=2", code)
    code = code.replace('denoise(imread("photo.jpg"))', 'denoise(imread("photo.jpg"), iterations=2)')
    code = code.replace("watch(denoise, picture,", "watch(denoise, picture, iterations=2,")
    exec(compile(code, page, "exec"), {})
    assert len(BLOCKS) >= 3
