import time

import numpy as np
import pytest
import torch
from PIL import Image

from dip_repro import images
from dip_repro.runtime import UserError
from dip_repro.study.experiments import restoration


def test_bundled_images_are_real_and_need_nothing():
    for name in [*images.BUNDLED, *images.BESIDE]:
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
    images.save(torch.rand(3, 8, 8), tmp_path / name)
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


def test_the_images_that_the_fourth_freeze_changes_are_those_with_black_pixels(mirror):
    truths = {name: images.open_image(f"{restoration.PAGE}/{name}_GT.png") for name in restoration.RESTORED}
    assert tuple(name for name, truth in truths.items() if (truth == 0).any()) == restoration.BLACK


def test_masks_by_colour():
    photo = images.resize(images.open_image("rocket"), 48)
    painted, hole = photo.clone(), (slice(None), slice(10, 20), slice(5, 30))
    painted[hole] = torch.tensor([1.0, 0, 0])[:, None, None]
    missing = 1 - images.as_mask(painted, "red")
    assert missing[0, 10:20, 5:30].all() and missing.sum() <= 12 * 27 + 0.01 * photo[0].numel()
    two_toned = (photo[:1] > 0.5).float()
    assert torch.equal(images.as_mask(two_toned), two_toned)
    assert torch.equal(images.as_mask(two_toned, "white"), 1 - two_toned)
    with pytest.raises(UserError, match="not a colour"):
        images.as_mask(photo, "no colour")


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 3), ("LA", 1), ("P", 3), ("1", 1)])
def test_files_are_read_as_grey_or_colour(tmp_path, mode, channels):
    picture = Image.fromarray((np.arange(12).reshape(3, 4) * 20).astype(np.uint8)).convert(mode)
    picture.save(tmp_path / "x.png")
    image = images.open_image(tmp_path / "x.png")
    expected = np.atleast_3d(np.asarray(picture.convert("L" if channels == 1 else "RGB")) / 255)
    np.testing.assert_allclose(image.permute(1, 2, 0), expected, atol=1e-7)


def test_files_that_are_not_read_are_told(tmp_path):
    Image.fromarray(np.full((3, 4), 300, np.uint16)).save(tmp_path / "deep.png")
    Image.new("L", (30, 30)).save(tmp_path / "half.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "half.png").read_bytes()[:60])
    (tmp_path / "empty.png").touch()
    for name, sentence in {"deep": "more than 8 bits", "half": "a damaged one", "empty": "it is empty"}.items():
        with pytest.raises(UserError, match=rf"{name}\.png.*{sentence}"):
            images.open_image(tmp_path / f"{name}.png")
    with pytest.raises(UserError, match="a folder, not a picture"):
        images.open_image(tmp_path)


def test_resize_takes_the_central_square():
    image = torch.zeros(1, 40, 80)
    image[:, :, 20:60] = 1
    assert (images.resize(image, 20) == 1).all()
