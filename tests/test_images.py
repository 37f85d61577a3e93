import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from dip_repro import images
from dip_repro.runtime import UserError

GRADIENT = np.linspace(0, 255, 20 * 30).reshape(20, 30)


def test_bundled_images_are_real_and_need_nothing():
    for name in images.BUNDLED:
        image = images.open_image(name)
        assert image.dtype == torch.float32 and image.shape[0] in (1, 3)
        assert image.std() > 0.03 and image.min() >= 0 and image.max() <= 1


def test_8bit_files_come_back_as_written(tmp_path):
    for channels in (1, 3):
        image = torch.randint(0, 256, (channels, 7, 9)) / 255
        images.save(image, tmp_path / "x.png")
        assert torch.equal(images.open_image(tmp_path / "x.png"), image)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 3), ("LA", 1), ("P", 3), ("1", 1)])
def test_modes(tmp_path, mode, channels):
    Image.fromarray(GRADIENT.astype(np.uint8)).convert(mode).save(tmp_path / "x.png")
    assert images.open_image(tmp_path / "x.png").shape == (channels, 20, 30)


def test_16_bits_keep_their_precision(tmp_path):
    deep = (GRADIENT * 257).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "x.png")
    tifffile.imwrite(tmp_path / "x.tif", np.stack([deep] * 3, -1))
    for name in ("x.png", "x.tif"):
        image = images.open_image(tmp_path / name)
        torch.testing.assert_close(image[0], torch.from_numpy(deep / 65535).float())


def test_exif_rotation_is_applied(tmp_path):
    picture = Image.fromarray(GRADIENT.astype(np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6  # shot with the camera on its side
    picture.save(tmp_path / "x.jpg", exif=exif, quality=95)
    assert images.open_image(tmp_path / "x.jpg").shape == (1, 30, 20)


def write_text(path):
    path.write_text("not a picture")


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("missing.png", lambda path: None, "no file of this name"),
        ("empty.png", lambda path: path.touch(), "it is empty"),
        ("text.png", write_text, "not a PNG, JPEG or TIFF"),
        ("text.tif", write_text, "not a TIFF"),
        ("nan.tif", lambda path: tifffile.imwrite(path, np.full((8, 8), np.nan, np.float32)), "NaN"),
        ("large.tif", lambda path: tifffile.imwrite(path, np.full((8, 8), 300, np.float32)), "scale them"),
        ("stack.tif", lambda path: tifffile.imwrite(path, np.zeros((2, 8, 8, 8), np.uint8)), "shape"),
        ("folder.png", lambda path: path.mkdir(), "no such file"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, name, make, sentence):
    make(tmp_path / name)
    with pytest.raises(UserError, match=sentence):
        images.open_image(tmp_path / name)


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
