import time

import pytest
import torch

from dip_repro import images, pictures
from dip_repro.runtime import UserError


def test_bundled_images_are_real_and_need_nothing():
    for name in images.BUNDLED:
        image = images.open_image(name)
        assert image.dtype == torch.float32 and image.shape[0] in (1, 3)
        assert image.std() > 0.03 and image.min() >= 0 and image.max() <= 1


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean astronaut"):
        images.open_image("astronout")
    with pytest.raises(UserError, match="house_GT"):
        images.open_image("project-page/Reconstruction/Gray/50p/house_GT")


def test_a_mirror_is_checked_by_hash(tmp_path, monkeypatch):
    monkeypatch.setenv(images.MIRROR, str(tmp_path))
    name = "repository/inpainting/kate.png"
    with pytest.raises(UserError, match="is missing"):
        images.open_image(name)
    pictures.save(torch.rand(3, 8, 8), tmp_path / name)
    with pytest.raises(UserError, match="SHA-256 differs"):
        images.open_image(name)


def test_no_network_and_no_cache_is_one_sentence(tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    monkeypatch.delenv(images.MIRROR, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    monkeypatch.setattr(images, "ADDRESSES", dict.fromkeys(images.ADDRESSES, "http://127.0.0.1:9/nothing"))
    with pytest.raises(UserError, match=r"could not be downloaded .*connect to the network, or name a mirror"):
        images.open_image("repository/inpainting/kate.png")


def test_a_download_that_drips_ends_in_a_sentence(tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")
    monkeypatch.delenv(images.MIRROR, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    monkeypatch.setattr(pooch.Pooch, "fetch", lambda *_: time.sleep(2))
    monkeypatch.setattr(images, "PATIENCE", 0.1)
    with pytest.raises(UserError, match="not whole after"):
        images.fetch("repository/inpainting/kate.png")


@pytest.mark.parametrize("name", ["repository/../../evil", "../evil", "/evil", "elsewhere/evil"])
def test_a_registry_that_leads_outside_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setenv(images.MIRROR, str(tmp_path / "mirror"))
    (tmp_path / "evil").touch()
    with pytest.raises(UserError, match="leads outside"):
        images.fetch(name)


def test_the_registry_is_sound():
    assert len(images.registry()) > 300
    for name, digest in images.registry().items():
        assert len(digest) == 64 and name.split("/")[0] in images.ADDRESSES and ".." not in name


def test_the_mirror_holds_the_registrys_images(mirror):
    name = "project-page/Reconstruction/Gray/50p/house_masked.png"
    masked = images.open_image(name)
    assert masked.shape == (1, 256, 256)
    assert abs(images.known_from_zeros(masked).mean() - 0.5) < 0.01


def test_resize_takes_the_central_square():
    image = torch.zeros(1, 40, 80)
    image[:, :, 20:60] = 1
    assert (images.resize(image, 20) == 1).all()
