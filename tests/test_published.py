"""What the published files say: the measures on images made for it, and the stored numbers against the files."""

import math

import pandas as pd
import pytest
import torch

from dip_repro import corruptions, images, metrics
from dip_repro.metrics import quantise
from dip_repro.operators import Decimation
from dip_repro.study import published, records, runs, tables
from dip_repro.study.tasks import Denoising, Problem, Restoration, SuperResolution

SIGMA = 25


def normal(seed, size=(3, 96, 96)):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * SIGMA / 255


@pytest.fixture(scope="module")
def noisy():
    """A truth (3, 96, 96) between black and white, a noisy copy, and the error of an output that never saw it."""
    truth = images.resize(images.open_image("astronaut"), 96) / 2 + 0.25
    return truth, truth + normal(0), torch.nn.functional.avg_pool2d(normal(1), 3, 1, 1)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_the_share_of_the_noise_that_an_output_has_is_found(noisy, share):
    truth, corrupted, other = noisy
    found, error = published.noise_share(truth + share * (corrupted - truth) + other, truth, corrupted, SIGMA)
    assert abs(found - share) < 4 * error and 0 < error < 0.005
    rounded = published.noise_share(
        truth + share * (corrupted - truth) + other - 0.002, truth, corrupted - 0.002, SIGMA
    )
    assert rounded[0] == pytest.approx(found, abs=1e-5)  # means do not count: both files may be rounded down


def test_the_standard_error_is_the_spread_over_draws(noisy):
    truth, _, other = noisy
    drawn = [published.noise_share(truth + other, truth, truth + normal(seed), SIGMA) for seed in range(100, 160)]
    shares, errors = map(torch.tensor, zip(*drawn, strict=True))
    assert abs(shares.mean()) < 3 * shares.std() / math.sqrt(60)
    assert float(shares.std()) == pytest.approx(float(errors.mean()), rel=0.3)


def test_clipped_pixels_do_not_count(noisy):
    truth, corrupted, _ = noisy
    black = truth.clone()
    black[:, :, :40] = 0
    spoilt = torch.where(black == 0, black + 1, black + 0.3 * (corrupted - truth))
    assert published.noise_share(spoilt, black, corrupted, SIGMA)[0] == pytest.approx(0.3, abs=1e-4)


def test_noise_at_another_place_is_found(noisy):
    truth, corrupted, other = noisy
    moved = (corrupted - truth).flip(-1).roll((5, -7), (-2, -1))[[2, 0, 1]]
    assert published.noise_share(truth + 0.3 * moved + other, truth, corrupted, SIGMA)[0] < 0.02
    assert published.best_match(truth + 0.3 * moved + other, truth, corrupted, SIGMA) > 20
    assert published.best_match(truth + other, truth, corrupted, SIGMA) < 6.5


def enlarged():
    """A task of super-resolution whose x0 is d(truth)."""
    truth = images.resize(images.open_image("astronaut"), 96)
    operator = Decimation(4)
    return Problem(truth, truth, operator(truth[None])[0], operator)


def test_an_output_that_fits_x0_has_no_residual():
    problem = enlarged()
    found = published.of_super_resolution(problem.truth, problem)
    assert [value for value, _ in found.values()] == pytest.approx([0, 0], abs=1e-3)
    brighter = published.of_super_resolution(problem.truth + 2 / 255, problem)
    assert brighter["data residual"][0] == pytest.approx(4, rel=1e-3)
    assert brighter["mean residual"][0] == pytest.approx(2, rel=1e-3)
    framed = problem.truth.clone()
    framed[:, :4] = 0  # up to here the kernel does not reach the samples that count
    assert published.of_super_resolution(framed, problem)["data residual"][0] == pytest.approx(0, abs=1e-3)


def masked():
    truth = quantise(images.resize(images.open_image("camera"), 96) * 0.9 + 0.05)
    truth[:, 50, :30] = 0  # black: nobody can tell whether they are known
    corrupted = truth * corruptions.missing_pixels((96, 96), 0.5, seed=0)
    return Problem(truth, corrupted, corrupted, torch.nn.Identity())


def test_errors_on_known_and_missing_pixels_are_told_apart():
    problem = masked()
    output = torch.where(problem.corrupted > 0, problem.truth + 1 / 255, problem.truth + 3 / 255)
    output[problem.truth == 0] = 1
    output[:, :4] += (problem.corrupted == 0)[:, :4] / 255 * 2
    found = {name: value for name, (value, _) in published.of_restoration(output, problem).items()}
    assert found["known"] == pytest.approx(1, rel=1e-3) and found["mean error"] == pytest.approx(1, rel=1e-3)
    assert found["missing inside"] == pytest.approx(9, rel=1e-3)
    assert 9 < found["missing"] < found["missing near the border"] < 25


def test_a_file_that_was_rounded_down_is_detected_and_gets_its_half_level_back():
    problem = masked()
    smooth = problem.truth + normal(0, problem.truth.shape) * 2 / SIGMA  # off by two levels
    down, nearest = (smooth * 255).floor() / 255, quantise(smooth)
    of_down, of_nearest = (published.of_restoration(image, problem) for image in (down, nearest))
    assert of_down["mean error"][0] == pytest.approx(-0.5, abs=0.1)
    assert of_nearest["mean error"][0] == pytest.approx(0, abs=0.1)
    assert of_down["known"][0] == pytest.approx(of_nearest["known"][0], rel=0.1)
    assert published.of_restoration(down, problem, ours=True)["known"][0] > of_down["known"][0] + 0.2
    assert not published.rounded_down(torch.zeros(9)) and not published.rounded_down(torch.full((9,), -1.0))


def test_only_fits_to_the_input_of_a_table_are_compared():
    (task, other) = (tables.TABLES["restoration-50"].runs[image].task for image in ("house", "barbara"))
    record = {"configuration": {"task": {"kind": "Restoration", "black_known": 0.5} | runs.plain(task)}}
    assert published.same_input(record, task) and not published.same_input(record, other)
    drawn = {"configuration": {"task": {"kind": "Restoration"} | runs.plain(Restoration(task.image))}}
    assert not published.same_input(drawn, task)


def test_what_is_stored_names_cells_of_the_tables_and_their_records():
    every = published.read()
    assert set(every.columns) == set(published.COLUMNS) and every.value.notna().all()
    assert not every.duplicated([*published.PLACE, "quantity"]).any()
    cells = {(name, image) for name, table in tables.TABLES.items() for image in table.runs}
    assert set(zip(every.table, every.image, strict=True)) == cells
    # Of each published output, every quantity of its task.
    expected = {Denoising: 3, SuperResolution: 2, Restoration: 5}
    for name, table in tables.TABLES.items():
        for image, run in table.runs.items():
            rows = every[(every.table == name) & (every.image == image) & (every.key == "")]
            counts = rows.groupby("method").quantity.nunique()
            assert dict(counts) == dict.fromkeys(published.published(run.task), expected[type(run.task)])


def test_stored_numbers_are_those_of_the_files(mirror):
    """Of each table the smallest image: every published output of it, and every reconstruction of ours."""
    every = published.read().set_index([*published.PLACE, "quantity"])
    tried = {"denoising-25": "hill", "denoising-50": "hill", "restoration-50": "house", "sr4-set5": "bird"}
    tried |= {"sr4-set14": "foreman", "sr8-set5": "head", "sr8-set14": "face"}
    seen = set()
    for where, measured in published.outputs():
        if tried[where[0]] != where[1] or where not in set(every.index.droplevel("quantity")):
            continue
        seen.add(where[0])
        for quantity, (value, error) in measured().items():
            row = every.loc[(*where, quantity)]
            assert row.value == pytest.approx(value, rel=1e-3, abs=2e-4), (where, quantity)
            assert math.isnan(error) or row.standard_error == pytest.approx(error, rel=1e-3)
    assert seen == set(tried)


def test_only_what_is_not_stored_is_measured(tmp_path, monkeypatch):
    calls = []

    def outputs(folder):
        for image in ("bird", "baby"):
            yield (
                ("sr4-set5", image, "bicubic", ""),
                lambda image=image: calls.append(image) or {"mean error": (1 / 3, math.nan)},
            )

    monkeypatch.setattr(published, "outputs", outputs)
    path = tmp_path / "files.csv"
    published.write(path=path)
    lines = path.read_text()
    published.write(path=path)
    assert calls == ["bird", "baby"] and path.read_text() == lines
    assert published.by_method("mean error", path=path).bicubic.tolist() == pytest.approx([1 / 3] * 2, abs=1e-4)
    published.write(path=stored(path))
    assert len(calls) == 4


def stored(path, *rows):
    pd.DataFrame(rows, columns=published.COLUMNS).to_csv(path, index=False)
    return path


def test_the_shares_of_a_table_in_short(tmp_path):
    rows = [
        ("denoising-25", image, "nlm", "", quantity, value, error)
        for image, share in {"a": 0.1, "b": 0.3}.items()
        for quantity, value, error in (("noise share", share, 0.003), ("best match", 10 * share, math.nan))
    ]
    found = published.shares("denoising-25", stored(tmp_path / "files.csv", *rows))
    assert list(found.index) == ["non-local means"]
    assert found.iloc[0].tolist() == pytest.approx([2, 0.2, 0.003 / math.sqrt(2), 0.1, 0.3, 3])


def test_the_iterations_that_the_authors_residual_needs_are_read_off_a_fit(tmp_path, monkeypatch):
    iterations = list(range(10, 2001, 10))
    curve = {"iteration": iterations, "loss": [9 / 255**2 * (n / 2000) ** -1.5 for n in iterations]}
    run = {"key": "k", "curves": curve, "configuration": {"scored": "image"}}
    averaged = {"key": "l", "curves": curve, "configuration": {"scored": "average"}}
    monkeypatch.setattr(records, "load_all", lambda folder: ({"run": run, "averaged": averaged}, []))
    rows = [("deep_prior", "", 4.5), ("sr4-set5", "k", 9.0), ("recommended-sr4-set5", "l", 9.0)]
    rows = [("sr4-set5", "bird", method, key, "data residual", value, math.nan) for method, key, value in rows]
    found = published.needed(tmp_path, stored(tmp_path / "files.csv", *rows))
    assert found.shape == (1, 1) and found.iloc[0, 0] == pytest.approx(2000 * 2 ** (1 / 1.5))
    assert published.needed(tmp_path, stored(tmp_path / "none.csv", *rows[:1])).empty


def test_a_column_takes_the_first_method_that_an_image_has(tmp_path):
    path = tmp_path / "files.csv"
    rows = [
        ("sr4-set5", image, method, "", "q", value, 0)
        for image, method, value in (("a", "x", 1), ("b", "x", 2), ("b", "y", 3))
    ]
    found = published.beside("q", {"one": ("y", "x"), "none": ("z",)}, path=stored(path, *rows)).droplevel("table")
    assert found.one.to_dict() == {"a": 1, "b": 3} and found.none.isna().all()


def test_with_half_a_level_the_restored_files_have_the_printed_mean(mirror):
    scores = []
    for run in tables.TABLES["restoration-50"].runs.values():
        problem = run.task.problem(0)
        image = images.open_image(published.published(run.task)["deep_prior"])
        assert published.rounded_down(255 * (image - problem.truth)[problem.corrupted > 0])
        scores.append(float(metrics.decibels(image + 0.5 / 255 - problem.truth)))
    (printed,) = tables.printed("restoration-50").query("image == 'mean'").psnr_db
    assert sum(scores) / len(scores) == pytest.approx(printed, abs=0.01)
