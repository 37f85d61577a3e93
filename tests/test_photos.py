"""A photo of your own: what comes back, when the fit stops, and which files stay as they are."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest
import torch
from conftest import PHOTO, call

from dip_repro import corruptions, images, memory, runtime, stopping
from dip_repro.config import SNAIL, NetworkConfig, Settings
from dip_repro.photo import files, job, restore
from dip_repro.photo.tiles import cut, tiles
from dip_repro.presets import Preset, recommended
from dip_repro.runtime import UserError


def of(iterations: int, channels: int = 3) -> Preset:
    """Return a small network, and so many iterations."""
    return Preset(NetworkConfig.uniform(width=4, depth=5, out_channels=channels), Settings(iterations))


def test_what_has_no_noise_is_fitted_to_the_end():
    known = corruptions.hole_mask(PHOTO.shape[-2:], 1 / 3)
    restorations = [
        restore.upscale(PHOTO, 2, of(30)),
        restore.inpaint(PHOTO * known, known, of(30)),
        restore.dejpeg(PHOTO, of(30)),
    ]
    assert [restoration.rule.criterion for restoration in restorations] == [stopping.Count(30)] * 3
    assert isinstance(restore.denoise(PHOTO).rule, stopping.Later)


def test_sizes_and_channels():
    grey = PHOTO[:1]
    assert restore.upscale(grey, 2, of(2, channels=1), device="cpu").done(progress=False).shape == (1, 80, 80)
    assert restore.dejpeg(grey, of(2, channels=1), device="cpu").done(progress=False).shape == (1, 40, 40)
    with pytest.raises(UserError, match="a whole number"):
        restore.upscale(PHOTO, by=1)


def test_a_small_photo_takes_a_shallower_network():
    for side, depth in ((40, 5), (33, 5), (32, 4), (5, 2), (3, 1)):
        photo = PHOTO[:, :side]
        restoration = restore.denoise(photo, of(2), device="cpu")
        assert restoration.fit.network.config.depth == depth
        assert restoration.done(progress=False).shape == photo.shape
    small = PHOTO[:, :20, :20]
    assert restore.dejpeg(small, device="cpu").fit.network.config.n_d == SNAIL.n_d[:4]
    with pytest.raises(UserError, match=r"at least 3$"):
        restore.denoise(PHOTO[:, :1, :1])


def test_it_stops_where_the_rule_says(monkeypatch):
    restoration = restore.denoise(PHOTO, of(100), device="cpu")
    fit = restoration.fit
    fit.stop = stopping.Rule("count", stopping.nothing, stopping.Count(20))
    kept = restoration.done(progress=False)
    assert fit.iteration == 20 and "iteration 20" in fit.stopped
    torch.testing.assert_close(kept, fit.average[0])
    assert restoration.seconds_a_step > 0


def test_the_weights_of_tiles_add_up_to_one():
    for size in ((100, 180), (64, 64), (65, 200), (40, 300), (1, 65)):
        for by in (1, 3):
            total, weight = torch.zeros(1, by * size[0], by * size[1]), torch.zeros(by * size[0], by * size[1])
            found = tiles(size, 64, 16, by)
            photo = torch.rand(1, *size)
            for tile in found:
                part = tile.of(photo)
                assert max(part.shape[-2:]) <= 64 and min(part.shape[-2:]) == min(64, *size)
                tile.add(part.repeat_interleave(by, -1).repeat_interleave(by, -2), total, weight)
            torch.testing.assert_close(weight, torch.ones_like(weight))
            torch.testing.assert_close(total[:, ::by, ::by], photo)
    first, second = cut(112, 64, 16, 1)
    torch.testing.assert_close(first.weights[48:], (16 - torch.arange(16) - 0.5) / 16)
    assert (second.weights[16:] == 1).all() and (first.weights[:48] == 1).all()


def test_tiles_are_blended_without_a_seam():
    """Each tile's "fit" is its own mean colour, enlarged twice."""
    slope = torch.linspace(0, 1, 220).expand(3, 200, 220)
    restoration = restore.Restoration(slope, of(2), by=2, tile=128, device="cpu")
    assert len(restoration.tiles) > 4 and restoration.size == (400, 440)
    for tile in restoration.tiles:
        flat = tile.of(slope).mean((1, 2), keepdim=True)
        tile.add(flat.expand(-1, 128, 128), restoration.total[0], restoration.weight[0])
    whole = restoration.image
    assert whole.diff(dim=-1).abs().max() < 0.02 and whole.diff(dim=-2).abs().max() < 1e-5
    assert whole[:, :, -1].mean() - whole[:, :, 0].mean() > 0.4


def test_a_photo_in_tiles_is_restored_tile_by_tile():
    photo = images.resize(images.open_image("rocket"), 150)
    restoration = restore.denoise(photo, of(2), **TILED)
    seen = []
    for _ in restoration:
        seen.append(restoration.finished)
        untouched = restoration.image[:, -20:, -20:]
        if restoration.finished < 3:
            torch.testing.assert_close(untouched, photo[:, -20:, -20:])  # no tile is done there
    assert seen == [0, 1, 2, 3] and not torch.allclose(restoration.image[:, -20:, -20:], photo[:, -20:, -20:])
    assert "4 of 4 tiles are done" in restoration.ended and restoration.image.shape == photo.shape


@pytest.fixture
def two_cores():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


FEW = ("--iterations", 2, "--device", "cpu")
FEW_STEPS = recommended("denoising").of(2)
PHOTO_8 = PHOTO.mul(255).round().div(255)
TILED = {"tile": 128, "device": "cpu"}


@pytest.mark.parametrize("size", [(40, 40), (110, 150)])
@pytest.mark.parametrize("cores", [1, 2, 3])
def test_the_result_is_the_mean_of_the_runs_and_the_spread_their_deviation(size, cores):
    """Bit for bit, each run is what it is alone with one thread, however many go on side by side."""
    photo = images.resize(images.open_image("rocket"), 150)[:, : size[0], : size[1]]
    alone = [restore.denoise(photo, of(2), runs=1, seed=seed, **TILED) for seed in (5, 6, 7)]
    runs = torch.stack([run.done(progress=False) for run in alone])
    torch.set_num_threads(cores)
    try:
        run = restore.denoise(photo, of(2), runs=3, seed=5, **TILED)
        assert run.at_once == cores and len(run.tiles) == (1 if size == (40, 40) else 2)
        image = run.done(progress=False)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(run.total, torch.cat([run.total for run in alone]))
    torch.testing.assert_close(image, runs.mean(0), rtol=0, atol=1e-6)
    torch.testing.assert_close(run.spread, runs.std(0), rtol=0, atol=1e-6)


def test_tiles_of_one_run_share_the_cores_too(two_cores):
    photo = images.resize(images.open_image("rocket"), 150)
    run = restore.dejpeg(photo[:, :110], of(12), runs=1, **TILED)
    assert [len(run.parts) for _ in run] == [2, 2] and (run.finished, run.steps) == (2, 12)


def test_a_fit_that_has_ended_gives_its_memory_to_the_next():
    run = restore.dejpeg(PHOTO, of(2), runs=2, device="cpu")
    first = weakref.ref(run.fit)
    for _ in run:
        assert run.finished == (first() is None)
    assert run.finished == 2
    left = weakref.ref(restore.dejpeg(PHOTO, of(2), device="cpu"))
    assert left() is None


def test_there_are_as_many_runs_as_cores_and_one_at_a_time_elsewhere(two_cores, monkeypatch):
    run = restore.dejpeg(PHOTO, of(4), device="cpu")
    assert (run.runs, run.at_once) == (2, 2)
    again = restore.dejpeg(PHOTO, of(4), device="cpu")
    assert torch.equal(run.done(progress=False), again.done(progress=False))
    assert torch.get_num_threads() == 2
    monkeypatch.setattr(runtime, "pick_device", lambda device: torch.device("meta"))
    monkeypatch.setattr(restore.Restoration, "begin", lambda self: self.parts.append(restore.Part(0, None, run_of)))
    run_of = type("Fit", (), {"network": torch.nn.Identity(), "z": torch.zeros(1)})
    elsewhere = restore.Restoration(PHOTO, of(4), runs=3)
    assert (elsewhere.runs, elsewhere.at_once) == (3, 1) and restore.Restoration(PHOTO, of(4)).runs == 1


def test_fewer_go_on_side_by_side_where_memory_is_short(two_cores, monkeypatch):
    run = restore.dejpeg(PHOTO, of(4), runs=2, device="cpu")
    needed = memory.memory_needed(run.fit.network, run.fit.z)
    for free, at_once in ((2.1 * needed, 2), (1.9 * needed, 1)):
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: int(free))
        run = restore.dejpeg(PHOTO, of(4), runs=2, device="cpu")
        assert run.at_once == at_once
        run.done(progress=False)
        assert (run.steps, run.spread.max() > 0) == (8 // at_once, True)


def test_ctrl_c_ends_every_run_and_the_mean_so_far_is_written(photo, tmp_path, two_cores, monkeypatch):
    steps, add_noise = itertools.count(), restore.add_noise

    def pressed(*arguments):
        if next(steps) == 90:  # within a round, in a thread
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        return add_noise(*arguments)

    monkeypatch.setattr(restore, "add_noise", pressed)
    output = call("denoise", photo, "--runs", 2, "--spread", tmp_path / "spread.tif", "--device", "cpu").output
    ended = "interrupted: 2 runs: stopped after (40|50) iterations; wrote the mean of their running averages"
    assert re.search(ended, output)  # 50 where the round ends before the main thread has its turn
    assert next(steps) < 100
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "photo-restored.png", "spread.tif"}


def test_ctrl_c_in_the_first_iterations_leaves_no_file(photo, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "announce", lambda *arguments: os.kill(os.getpid(), signal.SIGINT))
    result = call("denoise", photo, "--device", "cpu")
    assert result.exit_code and {path.name for path in tmp_path.iterdir()} == {"photo.png"}


def test_the_fit_of_a_restoration_can_be_asked_once_it_has_ended():
    run = restore.denoise(PHOTO, of(2), runs=1, device="cpu")
    run.done(progress=False)
    assert run.fit.iteration == 2


def test_an_interrupted_restoration_goes_on(two_cores):
    whole = restore.denoise(PHOTO, of(40), device="cpu").done(progress=False)
    run = restore.denoise(PHOTO, of(40), device="cpu")
    for _ in run:
        break
    assert torch.equal(run.done(progress=False), whole)


def test_an_error_of_one_run_is_that_of_all(two_cores):
    run, calls = restore.dejpeg(PHOTO, of(500), runs=2, device="cpu"), []
    run.go_on()
    operator = run.parts[1].fit.operator

    def failing(x):
        calls.append(x)
        if len(calls) == 15:
            raise UserError("it fails")
        return operator(x)

    run.parts[1].fit.operator = failing
    with pytest.raises(UserError, match="it fails"):
        run.done(progress=False)
    assert run.parts[0].fit.iteration < 30 and threading.active_count() < 10


def test_runs_that_stop_apart_are_averaged_and_told(two_cores):
    run = restore.dejpeg(PHOTO, of(30), runs=2, device="cpu")
    run.go_on()
    run.parts[0].fit.stop = stopping.Rule("count", stopping.nothing, stopping.Count(10))
    fits = [part.fit for part in run.parts]
    image = run.done(progress=False)
    torch.testing.assert_close(image, (fits[0].average[0] + fits[1].average[0]) / 2)
    assert [fit.iteration for fit in fits] == [10, 30] and run.iterations_most == run.iterations_done == 40
    assert run.ended == "2 runs: stopped after 10 to 30 iterations; wrote the mean of their running averages"


def test_where_a_run_has_not_come_the_others_count():
    run = restore.dejpeg(PHOTO, of(10), runs=2, device="cpu")  # one after another
    next(iter(run))
    first = restore.dejpeg(PHOTO, of(10), runs=1, device="cpu").done(progress=False)
    assert torch.equal(run.image, first) and not run.spread.any()


@pytest.mark.parametrize("name", ["spread.png", "spread.tif"])
def test_the_spread_is_written_as_a_picture(name, photo, tmp_path, two_cores):
    output = call("denoise", photo, *FEW, "--runs", 2, "--spread", tmp_path / name, "--seed", 4).output
    runs = torch.stack([restore.denoise(PHOTO_8, FEW_STEPS, runs=1, seed=seed).done(False) for seed in (4, 5)])
    expected = runs.std(0).square().mean(0, keepdim=True).sqrt()
    written = files.open_picture(tmp_path / name).pixels
    assert f"{name}: the standard deviation" in output and f"at most {255 * expected.max():.1f} of 255" in output
    assert "40×40 pixels, 2 runs, " in output
    torch.testing.assert_close(written, expected if "tif" in name else expected / expected.max(), rtol=0, atol=4e-3)


def test_a_spread_that_cannot_be_is_told_before_the_work(photo, tmp_path):
    for more, sentence in (
        (("--runs", 1, "--spread", tmp_path / "x.png"), "ask for 2 or more"),
        (("--runs", 2, "--spread", tmp_path / "x.bmp"), "pictures are written as"),
        (("--runs", 2, "--spread", photo), "no file is overwritten"),
        (("--runs", 2, "--spread", tmp_path / "x.png", "--out", tmp_path / "x.png"), "one name"),
    ):
        with pytest.raises(UserError, match=sentence):
            call("denoise", photo, *FEW, *more)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_the_memory_of_a_finished_fit_is_free_for_the_next():
    """Freed blocks stay with the process, where the system does not count them as free."""

    def resident() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS"))

    status = Path("/proc/self/status")
    if not runtime.TUNED or not status.exists():
        pytest.skip("the allocator is not tuned here")
    x = torch.ones(10**8)
    held = resident()
    del x
    runtime.free_memory(torch.device("cpu"))
    assert resident() < held - 300_000  # kB


def test_only_tiles_with_holes_are_filled():
    photo = images.resize(images.open_image("rocket"), 200)
    known = torch.ones(1, 200, 200)
    known[:, 10:20, 10:20] = 0
    restoration = restore.inpaint(photo * known, known, of(2), **TILED)
    assert len(restoration.tiles) == 1 and restoration.size == (200, 200)
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
    assert "interrupted: did all 30 iterations" in output and "at most" in output
    assert [path.name for path in tmp_path.iterdir() if path.name != "photo.png"] == ["photo-restored.png"]
    assert images.open_image(tmp_path / "photo-restored.png").shape == PHOTO.shape


def test_with_noise_the_usual_time_is_announced_beside_the_longest():
    def announced(restoration):
        next(iter(restoration))
        return restoration.seconds_usual / restoration.seconds_left

    most = stopping.USUAL + 1000
    assert 0.3 < announced(restore.denoise(PHOTO, of(most), device="cpu")) < 0.7
    assert announced(restore.denoise(PHOTO, of(20), device="cpu")) == 1
    assert announced(restore.dejpeg(PHOTO, of(most), device="cpu")) == 1


@pytest.mark.parametrize(
    ("size", "tile", "sigma_p"),
    [((511, 512), 512, 1 / 30), ((512, 512), 512, 1 / 60), ((600, 900), 512, 1 / 60), ((600, 900), 256, 1 / 30)],
)
def test_a_large_tile_of_a_noisy_photo_is_perturbed_by_half(size, tile, sigma_p):
    restoration = restore.denoise(torch.rand(1, *size), tile=tile, device="cpu")
    assert restoration.fit.settings.sigma_p == sigma_p


def test_a_painted_copy_says_what_is_missing(photo, tmp_path):
    painted = PHOTO.clone()
    painted[:, 10:14, 5:35] = torch.tensor([1.0, 0, 1])[:, None, None]
    images.save(painted, tmp_path / "painted.png")
    output = call("inpaint", photo, tmp_path / "painted.png", "--missing", "#ff00ff", "--iterations", 4).output
    assert "#ff00ff in painted.png means missing: 12.0% of the pixels" in output
    shown, filled = (images.open_image(tmp_path / f"photo-restored{name}.png") for name in ("-missing", ""))
    assert (shown[:, 10:14, 5:35] == torch.tensor([1.0, 0, 1])[:, None, None]).all()
    assert torch.equal(filled[:, 20:], PHOTO[:, 20:].mul(255).round().div(255))
    with pytest.raises(UserError, match="nothing to fill in"):
        call("inpaint", photo, photo, "--missing", "#00ff00")


@pytest.mark.parametrize("command", ["denoise", "dejpeg", "upscale", "inpaint"])
def test_commands_write_a_picture_and_say_what_they_do(command, photo, tmp_path):
    mask = tmp_path / "mask.png"
    images.save(corruptions.hole_mask(PHOTO.shape[-2:], 1 / 4), mask)
    more = {"inpaint": [mask], "upscale": ["--by", 2], "denoise": ["--max-size", 36]}.get(command, [])
    out = tmp_path / "out.png"
    output = call(command, photo, *more, "--iterations", 20, "--out", out, "--device", "cpu").output
    assert "s a step" in output and "wrote the running average" in output
    side = {"upscale": 80, "denoise": 36}.get(command, 40)
    assert images.open_image(out).shape == (3, side, side)


@pytest.mark.parametrize("name", ["photo.png", "../{}/photo.png", "link.png", "LINK.png"])
def test_no_file_is_written_over_the_photo_or_the_mask(name, photo, tmp_path):
    mask = tmp_path / "mask.png"
    images.save(corruptions.hole_mask(PHOTO.shape[-2:], 1 / 4), mask)
    (tmp_path / "link.png").symlink_to("photo.png")
    (tmp_path / "LINK.png").unlink(missing_ok=True)  # the same file where case does not count
    (tmp_path / "LINK.png").symlink_to("mask.png")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    out = tmp_path / name.format(tmp_path.name)
    for command in (("denoise", photo), ("inpaint", photo, mask)):
        with pytest.raises(UserError, match="exists, and no file is overwritten"):
            call(*command, *FEW, "--out", out)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_was_written_before_is_kept(photo, tmp_path):
    """Not even the masks that have the names of the preview and of the result."""
    for name in ("photo-missing.png", "photo-restored.png", "photo-restored-missing.png"):
        images.save(corruptions.hole_mask(PHOTO.shape[-2:], 1 / 4), tmp_path / name)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        output = "".join(call("inpaint", photo, tmp_path / name, *FEW).output for _ in range(2))
        written = [path for path in tmp_path.iterdir() if path not in before]
        assert all(path.name in output for path in written)
        assert len(written) == 4 and before.items() <= {p: p.read_bytes() for p in tmp_path.iterdir()}.items()
        for path in written:
            path.unlink()


def test_two_commands_at_once_do_not_write_the_same_file(photo, tmp_path, monkeypatch):
    begun = restore.Restoration.__iter__

    def meanwhile(self):
        (tmp_path / "photo-restored.png").write_text("another command's")
        return begun(self)

    monkeypatch.setattr(restore.Restoration, "__iter__", meanwhile)
    assert "photo-restored-2.png" in call("denoise", photo, *FEW).output
    assert (tmp_path / "photo-restored.png").read_text() == "another command's"
    assert images.open_image(tmp_path / "photo-restored-2.png").shape == PHOTO.shape


FOUR_TILES = """
import resource, sys
from pathlib import Path
import torch
from dip_repro import cli, images
from dip_repro.photo import job
from dip_repro.photo.restore import Restoration

every = Restoration.cut
Restoration.cut = lambda self, side: every(self, side)[:4]
job.REFRESHED = 0
images.save(torch.rand(3, 1000, 1500), Path("photo.png"))
sys.argv = "dip-repro denoise photo.png --tile 128 --iterations 20 --device cpu".split()
cli.app(standalone_mode=False)
kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
print("peak", kilobytes * 1024 / 1e9)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the peak of a process is not known there")
def test_the_memory_announced_is_what_is_taken(tmp_path):
    """With tiles so small that the photo and its previews weigh as much as a fit."""
    done = subprocess.run([sys.executable, "-c", FOUR_TILES], cwd=tmp_path, capture_output=True, text=True, check=True)
    announced = float(re.search(r"([\d.]+) GB of memory", done.stdout)[1])
    peak = float(re.search(r"peak ([\d.]+)", done.stdout)[1])
    assert peak - 0.05 <= announced <= 1.15 * peak + 0.05  # it is written with one decimal
