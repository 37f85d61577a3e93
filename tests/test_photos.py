"""One's own photo: what comes back, when it stops, and what is left alone."""

import pytest
import torch
from conftest import PHOTO, call

from dip_repro import corruptions, images, photos, stopping
from dip_repro.runtime import UserError
from dip_repro.stopping_study import CHOSEN


def test_the_rule_is_the_one_that_won():
    name, candidate = next(iter(CHOSEN.items()))
    rule = stopping.recommended()
    assert (rule.name, rule.criterion, rule.keep) == (name, candidate.criterion, candidate.keep)
    assert candidate.signal == f"variance_{rule.signal.seen.maxlen}"


def test_inpainting_leaves_known_pixels_alone():
    known = corruptions.hole_mask(PHOTO.shape[-2:], 1 / 3)
    filled = photos.inpaint(PHOTO * known, known, iterations=4, device="cpu").done(progress=False)
    assert torch.equal(filled * known, PHOTO * known) and (filled * (1 - known)).any()


def test_sizes_and_channels():
    grey = PHOTO[:1]
    assert photos.upscale(grey, by=2, iterations=2, device="cpu").done(progress=False).shape == (1, 80, 80)
    assert photos.dejpeg(grey, iterations=2, device="cpu").done(progress=False).shape == (1, 40, 40)
    with pytest.raises(UserError, match="2 or more"):
        photos.upscale(PHOTO, by=1)


def test_it_stops_where_the_rule_says(monkeypatch):
    restoration = photos.denoise(PHOTO, iterations=100, device="cpu")
    restoration.rule = stopping.Rule("count", stopping.nothing, stopping.Count(20))
    kept = restoration.done(progress=False)
    assert restoration.fit.iteration == 20 and "iteration 20" in restoration.fit.stopped
    assert torch.equal(kept, restoration.fit.average[0]) and restoration.seconds_a_step > 0


def test_an_interrupted_command_writes_the_best_so_far(photo, tmp_path, monkeypatch):
    reports = photos.Restoration.reports

    def interrupted(self, progress=True):
        yield from reports(self, False)
        if progress:
            raise KeyboardInterrupt

    monkeypatch.setattr(photos.Restoration, "reports", interrupted)
    output = call("denoise", photo, "--iterations", 30, "--device", "cpu").output
    assert "interrupted at iteration 30" in output and "at the most" in output
    assert images.open_image(tmp_path / "photo-restored.png").shape == PHOTO.shape


@pytest.mark.parametrize("command", ["denoise", "dejpeg", "upscale", "inpaint"])
def test_commands_write_a_picture_and_say_what_they_do(command, photo, tmp_path):
    mask = tmp_path / "mask.png"
    images.save(corruptions.hole_mask(PHOTO.shape[-2:], 1 / 4), mask)
    more = [mask] if command == "inpaint" else ["--by", 2] if command == "upscale" else []
    out = tmp_path / "out.png"
    output = call(command, photo, *more, "--iterations", 20, "--out", out, "--device", "cpu").output
    assert "s a step" in output and "is kept" in output
    side = 80 if command == "upscale" else 40
    assert images.open_image(out).shape == (3, side, side)
