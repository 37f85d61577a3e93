"""The package as others install it: a wheel, used away from the checkout."""

import os
import shutil
import subprocess
import sys

import pytest

from dip_repro import images
from dip_repro.runtime import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder in which the wheel is installed, and nothing else; what it depends on is the environment's."""
    folder = tmp_path_factory.mktemp("wheel")
    source, site = folder / "source", folder / "site"
    leftovers = shutil.ignore_patterns("__pycache__", "results")
    for name in ("dip_repro", "data"):
        shutil.copytree(ROOT / name, source / name, ignore=leftovers)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", *offline, "--target", site, wheel], check=True)
    return site


def test_an_installed_package_works_in_any_folder(site, tmp_path):
    def run(*command) -> str:
        environment = os.environ | {"PYTHONPATH": str(site)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    program = shutil.which("dip-repro", path=site / "bin")
    where = run(sys.executable, "-c", "import dip_repro; print(dip_repro.__file__)")
    assert where.strip() == str(site / "dip_repro" / "__init__.py")
    assert (site / "dip_repro" / "py.typed").exists()
    assert "restoration-50" in run(program, "study", "list")
    images.save(images.resize(images.open_image("rocket"), 40), tmp_path / "photo.png")
    run(program, "denoise", "photo.png", "--iterations", "2", "--device", "cpu")
    assert images.open_image(tmp_path / "photo-restored.png").shape == (3, 40, 40)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo-restored.png", "photo.png"]
