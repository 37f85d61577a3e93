"""One's own photo: what comes back, when it stops, and what is left alone."""

import pytest
import torch
from conftest import PHOTO, call

from dip_repro import corruptions, images, pictures, stopping
from dip_repro.networks import SNAIL, NetworkConfig
from dip_repro.operators import Identity
from dip_repro.photo import restore
from dip_repro.runtime import UserError
from dip_repro.settings import Settings
from dip_repro.study.experiments.stopping import CHOSEN


def test_the_rule_is_the_one_that_won():
    name, candidate = next(iter(CHOSEN["quick"].items()))
    rule = stopping.recommended()
    assert (rule.name, rule.criterion, rule.keep) == (name, candidate.criterion, candidate.keep)
    assert candidate.signal == f"variance_{rule.signal.seen.maxlen}"


def test_what_has_no_noise_is_fitted_to_the_end():
    known = corruptions.hole_mask(PHOTO.shape[-2:], 1 / 3)
    restorations = [
        restore.upscale(PHOTO, 2, 30),
        restore.inpaint(PHOTO * known, known, 30),
        restore.dejpeg(PHOTO, 30),
    ]
    assert [restoration.rule.criterion for restoration in restorations] == [stopping.Count(30)] * 3
    assert isinstance(restore.denoise(PHOTO).rule.criterion, stopping.Lowest)


def test_inpainting_leaves_known_pixels_alone():
    known = corruptions.hole_mask(PHOTO.shape[-2:], 1 / 3)
    filled = restore.inpaint(PHOTO * known, known, iterations=4, device="cpu").done(progress=False)
    assert torch.equal(filled * known, PHOTO * known) and (filled * (1 - known)).any()


def test_sizes_and_channels():
    grey = PHOTO[:1]
    assert restore.upscale(grey, by=2, iterations=2, device="cpu").done(progress=False).shape == (1, 80, 80)
    assert restore.dejpeg(grey, iterations=2, device="cpu").done(progress=False).shape == (1, 40, 40)
    with pytest.raises(UserError, match="2 or more"):
        restore.upscale(PHOTO, by=1)


def test_a_small_photo_takes_a_shallower_network():
    for side, depth in ((40, 5), (33, 5), (32, 4), (5, 2), (3, 1)):
        photo = PHOTO[:, :side]
        restoration = restore.denoise(photo, iterations=2, width=8, device="cpu")
        assert restoration.fit.network.config.depth == depth
        assert restoration.done(progress=False).shape == photo.shape
    small = PHOTO[:, :20, :20]
    assert restore.dejpeg(small, iterations=2, device="cpu").fit.network.config.n_d == SNAIL.n_d[:4]
    with pytest.raises(UserError, match=r"at least 3$"):
        restore.denoise(PHOTO[:, :1, :1])


def test_it_stops_where_the_rule_says(monkeypatch):
    restoration = restore.denoise(PHOTO, iterations=100, device="cpu")
    restoration.rule = stopping.Rule("count", stopping.nothing, stopping.Count(20))
    kept = restoration.done(progress=False)
    assert restoration.fit.iteration == 20 and "iteration 20" in restoration.fit.stopped
    assert torch.equal(kept, restoration.fit.average[0]) and restoration.seconds_a_step > 0


def test_tiles_cover_the_photo_and_their_weights_blend():
    for size in ((100, 180), (64, 64), (65, 200), (40, 300)):
        weight = torch.zeros(size)
        found = restore.boxes(size, 64, 16)
        for _, rows, columns in found:
            assert rows.stop - rows.start <= 64 and columns.stop - columns.start == 64
            window = restore.ramp(rows, size[0], 16)[:, None] * restore.ramp(columns, size[1], 16)
            weight[rows, columns] += window
        assert weight.min() > 0.4 and found[-1][1].stop == size[0] and found[-1][2].stop == size[1]
    ends = [restore.ramp(slice(start, start + 64), 112, 16) for start in (0, 48)]
    torch.testing.assert_close(ends[0][48:] + ends[1][:16], torch.ones(16))


class Flat(restore.Restoration):
    """A piece whose "fit" is its own mean colour at once, enlarged twice."""

    def __init__(self, photo):
        network, rule = NetworkConfig.uniform(4, 2), stopping.counted(2)
        super().__init__(photo, Identity(), photo.shape[-2:], network, Settings(2), rule, device="cpu")
        self.flat = photo.mean((1, 2), keepdim=True).expand(-1, *(2 * side for side in photo.shape[-2:]))

    image = property(lambda self: self.flat)


def test_tiles_are_blended_without_a_seam():
    slope = torch.linspace(0, 1, 120).expand(3, 100, 120)
    tiles = restore.Tiles(Flat, slope, by=2, tile=128, overlap=64)
    assert tiles.tiles > 4 and tiles.size == (200, 240)
    whole = tiles.done(progress=False)
    assert whole.shape == (3, 200, 240) and "tiles are done" in tiles.why
    assert whole.diff(dim=-1).abs().max() < 0.02 and whole.diff(dim=-2).abs().max() < 1e-5
    assert whole[:, :, -1].mean() - whole[:, :, 0].mean() > 0.4


def test_only_tiles_with_holes_are_filled():
    photo = images.resize(images.open_image("rocket"), 200)
    known = torch.ones(1, 200, 200)
    known[:, 10:20, 10:20] = 0
    restoration = restore.inpaint(photo * known, known, iterations=2, width=4, tile=128, device="cpu")
    assert restoration.tiles == 1 and restoration.size == (200, 200)
    filled = restoration.done(progress=False)
    assert torch.equal(filled * known, photo * known) and (filled * (1 - known)).any()
    known[:, :128, :128] = 0
    with pytest.raises(UserError, match="larger tiles"):
        restore.inpaint(photo, known, tile=128)
    with pytest.raises(UserError, match="nothing to fill in"):
        restore.inpaint(photo, torch.ones(1, 200, 200))


def test_an_interrupted_command_writes_the_best_so_far(photo, tmp_path, monkeypatch):
    reports = restore.Restoration.reports

    def interrupted(self, progress=True):
        yield from reports(self, False)
        if progress:
            raise KeyboardInterrupt

    monkeypatch.setattr(restore.Restoration, "reports", interrupted)
    output = call("denoise", photo, "--iterations", 30, "--device", "cpu").output
    assert "interrupted" in output and "ended at iteration 30" in output and "at the most" in output
    assert images.open_image(tmp_path / "photo-restored.png").shape == PHOTO.shape


def test_a_painted_copy_says_what_is_missing(photo, tmp_path):
    painted = PHOTO.clone()
    painted[:, 10:14, 5:35] = torch.tensor([1.0, 0, 1])[:, None, None]
    pictures.save(painted, tmp_path / "painted.png")
    output = call("inpaint", photo, tmp_path / "painted.png", "--missing", "#ff00ff", "--iterations", 4).output
    assert "#ff00ff in painted.png is missing: 12.0% of the pixels" in output
    shown, filled = (images.open_image(tmp_path / f"photo-{name}.png") for name in ("missing", "restored"))
    assert (shown[:, 10:14, 5:35] == torch.tensor([1.0, 0, 1])[:, None, None]).all()
    assert torch.equal(filled[:, 20:], PHOTO[:, 20:].mul(255).round().div(255))
    with pytest.raises(UserError, match="nothing to fill in"):
        call("inpaint", photo, photo, "--missing", "#00ff00")


@pytest.mark.parametrize("command", ["denoise", "dejpeg", "upscale", "inpaint"])
def test_commands_write_a_picture_and_say_what_they_do(command, photo, tmp_path):
    mask = tmp_path / "mask.png"
    pictures.save(corruptions.hole_mask(PHOTO.shape[-2:], 1 / 4), mask)
    more = [mask] if command == "inpaint" else ["--by", 2] if command == "upscale" else []
    out = tmp_path / "out.png"
    output = call(command, photo, *more, "--iterations", 20, "--out", out, "--device", "cpu").output
    assert "s a step" in output and "is kept" in output
    side = 80 if command == "upscale" else 40
    assert images.open_image(out).shape == (3, side, side)
