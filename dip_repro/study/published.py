"""What the published files say: how far each of the authors' fits went, and to what. No fit is needed.

The text leaves readings open, and the files decide some of them. Such a choice is an attribution and not a blind one,
as the files are those that the tables are compared with. The truth is used here to score, never in a fit.

Each number is stored in `FILES`, for readers without the images. `dip-repro study report` adds those that are missing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dip_repro import images
from dip_repro.runtime import DATA, written_whole
from dip_repro.study import records, tables
from dip_repro.study.runs import RESULTS, plain
from dip_repro.study.tasks import Denoising, Problem, Restoration, SuperResolution

FILES = DATA / "published_files.csv"
PLACE = ["table", "image", "method", "key"]  # `method` is a published one, or says which run; `key` is its record's
COLUMNS = [*PLACE, "quantity", "value", "standard_error"]
CLIPPING = 2  # σ: pixels whose truth is nearer to black or white are left out, as clipping changes their noise
BORDER = 4  # pixels
FEWEST = 20  # reports of a fit, to draw a line through
COARSEST = 32  # pixels of the image for one pixel of the deepest scale: so far does padding reach at the least
INPUTS = {"GT", "noisy", "masked"}  # published files that are no method's output
# What the pages compare, by task: the method of each column; where it has several, the first that an image has.
AUTHORS = "the authors' deep prior"
DENOISED = {
    AUTHORS: ("deep_prior",),
    "non-local means": ("nlm",),
    "BM3D": ("bm3d",),
    "this reproduction, the paper's setting": ("denoising-25", "denoising-50"),
    "this reproduction, recommended": ("longer-25",),
}
ENLARGED = {
    AUTHORS: ("deep_prior",),
    "this reproduction, scale of batch norm 1": ("sr4-set5", "sr4-set14"),
    "this reproduction, scale from U(0, 1)": ("2017/sr4-set5", "2017/sr4-set14", "as-in-2017-scale"),
    "this reproduction, corners aligned too": ("as-in-2017-scale-and-corners",),
    "this reproduction, recommended": ("recommended-sr4-set5",),
    "bicubic": ("bicubic",),
    "no prior": ("no_prior",),
}
RESTORED = {
    AUTHORS: ("deep_prior",),
    "Papyan et al.": ("papyan",),
    "this reproduction, recommended": ("recommended-restoration-50",),
    "this reproduction, the paper's setting": ("restoration-50",),
    "this reproduction, reflection padding": ("superseded/restoration-50",),
}
Measured = dict[str, tuple[float, float]]  # value and standard error by quantity; NaN where it has none


def noise_share(image: Tensor, truth: Tensor, noisy: Tensor, sigma_8bit: float) -> tuple[float, float]:
    """Return the fraction α of the noise of `noisy` that `image` still has, and its standard error. Images (C, H, W).

        α = ⟨e, n⟩ / ⟨n, n⟩,  e = image − truth,  n = noisy − truth

    over pixels whose truth is `CLIPPING` σ from black and white, each less its mean there: published files are rounded
    down, so that both means are −1/2 level, which would count as noise. An image that was computed from `noisy` has
    some of its noise; where it was computed from another draw, α is 0. The standard error holds for noise that is
    independent from pixel to pixel and of the image.
    """
    inside = far_from_clipping(truth, sigma_8bit)
    e, n = ((x - truth)[inside].double() for x in (image, noisy))
    e, n = e - e.mean(), n - n.mean()
    energy = n.square().sum()
    share = (e * n).sum() / energy
    error = ((e - share * n) * n).square().sum().sqrt() / energy
    return float(share), float(error)


def best_match(image: Tensor, truth: Tensor, noisy: Tensor, sigma_8bit: float) -> float:
    """Return the largest correlation of an output's error with the noise of `noisy`, over every shift, mirrored copy
    and pair of channels, in standard deviations of all of them. Images (C, H, W).

    It answers whether the output was computed from this noise after all, at another place. The error is whitened
    first. By chance the largest of N correlations is about √(2 ln N): 5.7 for 512 × 512 in colour. A channel of
    which nine tenths are near clipping gives no noise: what is left of it is one spot, which looks like structure.
    """
    inside = far_from_clipping(truth, sigma_8bit)
    n = torch.where(inside, noisy - truth - (noisy - truth)[inside].mean(), 0)[inside.float().mean((1, 2)) > 0.1]
    error = torch.fft.rfft2(image - truth)
    white, peaks = error / error.abs().clamp_min(1e-9), []
    for axes in ((), (-1,), (-2,), (-2, -1)):
        noise = torch.fft.rfft2(n.flip(axes)).conj()
        for one, other in product(white, noise):
            found = torch.fft.irfft2(one * other, s=n.shape[-2:])
            peaks.append(float(found.abs().max() / found.std()))
    return max(peaks, default=math.nan)


def far_from_clipping(truth: Tensor, sigma_8bit: float) -> Tensor:
    """Return where (C, H, W) noise of σ is hardly ever clipped."""
    margin = CLIPPING * sigma_8bit / 255
    return (truth > margin) & (truth < 1 - margin)


def residual(image: Tensor, problem: Problem, border: int = BORDER) -> Tensor:
    """Return d(image) − x0 in grey levels, without `border` pixels of the small image. No truth enters."""
    inside = slice(border, -border or None)
    return 255 * (problem.operator(image[None])[0] - problem.measurement)[..., inside, inside]


def rounded_down(error: Tensor) -> bool:
    """Say whether errors in grey levels are those of a file that was rounded down: their mean is about −1/2."""
    return abs(float(error.mean()) + 0.5) < 0.25


def near_border(size: tuple[int, ...], width: int) -> Tensor:
    """Return where (H, W) a pixel is among the outer `width`."""
    near = torch.ones(size[-2:], dtype=torch.bool)
    near[width : size[-2] - width, width : size[-1] - width] = False
    return near


def of_denoising(image: Tensor, problem: Problem, sigma_8bit: float) -> Measured:
    """Return the fraction of the noise that is left, the best match of it, and the mean error in grey levels."""
    assert problem.truth is not None  # of these images it is published
    inside = far_from_clipping(problem.truth, sigma_8bit)
    known = image, problem.truth, problem.corrupted, sigma_8bit
    return {
        "noise share": noise_share(*known),
        "best match": (best_match(*known), math.nan),
        "mean error": (float(255 * (image - problem.truth)[inside].mean()), math.nan),
    }


def of_super_resolution(image: Tensor, problem: Problem) -> Measured:
    """Return the mean square of d(image) − x0, in grey levels, and its mean."""
    found = residual(image, problem)
    return {
        "data residual": (float(found.square().mean()), math.nan),
        "mean residual": (float(found.mean()), math.nan),
    }


def of_restoration(image: Tensor, problem: Problem, ours: bool = False) -> Measured:
    """Return mean squared errors in grey levels: on known and on missing pixels, and of the latter near the border.

    A published file that was rounded down gets half a level back first; the mean error is that of the file as it is.
    Black pixels count nowhere: the masked image does not tell whether they are known. "Inside" is `COARSEST` pixels
    from the border.
    """
    assert problem.truth is not None  # of these images it is published
    error, black = 255 * (image - problem.truth), problem.truth == 0
    known, missing = problem.corrupted > 0, (problem.corrupted == 0) & ~black
    mean = float(error[known].mean())
    if not ours and rounded_down(error[known]):
        error = error + 0.5
    near, inside = near_border(error.shape, BORDER), ~near_border(error.shape, COARSEST)
    where = {
        "known": known,
        "missing": missing,
        "missing near the border": missing & near,
        "missing inside": missing & inside,
    }
    squares = {name: (float(error[pixels].square().mean()), math.nan) for name, pixels in where.items()}
    return {"mean error": (mean, math.nan)} | squares


def measure(image: Tensor, task: Denoising | SuperResolution | Restoration, problem: Problem, ours: bool) -> Measured:
    """Return what an output (C, H, W) of a table says; `ours` is rounded, as every image that is stored here."""
    assert problem.truth is not None
    image = image[: len(problem.truth)]
    match task:
        case Denoising():
            return of_denoising(image, problem, task.sigma_8bit)
        case SuperResolution():
            return of_super_resolution(images.crop_to_multiple(image, task.multiple), problem)
    return of_restoration(image, problem, ours)


def published(task: Denoising | SuperResolution | Restoration) -> dict[str, str]:
    """Return the published outputs for the image of a task: the name of each file, by method."""
    start = task.image.removesuffix("GT.png")
    names = {
        name.removeprefix(start).removesuffix(".png"): name for name in images.registry() if name.startswith(start)
    }
    return {method: name for method, name in names.items() if method not in INPUTS}


def same_input(record: dict, task: Denoising | SuperResolution | Restoration) -> bool:
    """Say whether a record is of a fit to the input of a table, whichever black pixels it took for known."""

    def input_of(parts: dict) -> dict:
        return {name: value for name, value in parts.items() if name not in ("kind", "black_known")}

    return input_of(record["configuration"]["task"]) == input_of(plain(task))


def outputs(folder: Path = RESULTS) -> Iterator[tuple[tuple[str, str, str, str], Callable[[], Measured]]]:
    """Yield the place of each published output and of each stored reconstruction, and what measures it."""
    found, _ = records.load_all(folder)
    for table in tables.TABLES.values():
        for image, run in table.runs.items():
            task = run.task
            assert isinstance(task, Denoising | SuperResolution | Restoration)
            problem = functools.cache(functools.partial(task.problem, run.seed))

            def later(source: str | Path, ours: bool, task=task, problem=problem) -> Callable[[], Measured]:
                return lambda: measure(images.open_image(source), task, problem(), ours)

            for method, file in published(task).items():
                yield (table.name, image, method, ""), later(file, ours=False)
            for name, record in found.items():
                stored = folder / f"{name}.png"
                if same_input(record, task) and stored.exists():
                    place, _, which = name.rpartition("/")
                    method = place + which.removeprefix(image)  # "as-in-2017-scale" of as-in-2017/bird-scale
                    yield (table.name, image, method, record["key"]), later(stored, ours=True)


def read(path: Path = FILES) -> pd.DataFrame:
    """Return what is stored, one row for each quantity of each output, with the columns `COLUMNS`."""
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(path, dtype={"key": str}).fillna({"key": ""})


def write(folder: Path = RESULTS, path: Path = FILES) -> None:
    """Measure what is not stored yet, and store it in `path`. Delete the file to measure everything again."""
    stored = {where: group[COLUMNS[len(PLACE) :]] for where, group in read(path).groupby(PLACE)}
    rows = []
    for where, measured in outputs(folder):
        if where in stored:
            rows += [(*where, *row) for row in stored[where].itertuples(index=False)]
        else:
            rows += [(*where, quantity, *found) for quantity, found in measured().items()]
    with written_whole(path) as partial:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(partial, index=False, float_format="%.5g")


def by_method(quantity: str, *names: str, of: str = "value", path: Path = FILES) -> pd.DataFrame:
    """Return one quantity, or the standard errors `of` it, a column for each method, a row for each table and image.

    Of all tables, or of those named.
    """
    frame = read(path)
    frame = frame[(frame.quantity == quantity) & frame.table.isin(names or set(frame.table))]
    return frame.pivot(index=["table", "image"], columns="method", values=of).rename_axis(columns=None)


def beside(
    quantity: str, columns: Mapping[str, tuple[str, ...]], *names: str, of: str = "value", path: Path = FILES
) -> pd.DataFrame:
    """Return one quantity of the methods of some columns, such as `DENOISED`; NaN where an image has none of them."""
    return in_columns(by_method(quantity, *names, of=of, path=path), columns)


def in_columns(by_method: pd.DataFrame, columns: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """Return a frame with one column for each method as one with these columns."""
    parts = {title: by_method.reindex(columns=list(methods)).bfill(axis=1) for title, methods in columns.items()}
    return pd.DataFrame({title: part.iloc[:, 0] for title, part in parts.items()})


def shares(name: str, path: Path = FILES) -> pd.DataFrame:
    """Return the fraction α of the noise in a table, a row for each column of `DENOISED`.

    How many images, the mean and its standard error, the range, and the largest `best_match`.
    """
    share, error, match = (
        beside(quantity, DENOISED, name, of=of, path=path)
        for quantity, of in (("noise share", "value"), ("noise share", "standard_error"), ("best match", "value"))
    )
    summary = {
        "images": share.count(),
        "mean α": share.mean(),
        "standard error": error.pow(2).sum() ** 0.5 / error.count(),
        "least": share.min(),
        "most": share.max(),
        "best match": match.max(),
    }
    return pd.DataFrame(summary).query("images > 0")


def needed(folder: Path = RESULTS, path: Path = FILES) -> pd.DataFrame:
    """Return after how many iterations our fits of super-resolution are as close to x0 as the authors' output.

    By image, a column for each of ours in `ENLARGED` whose last iterate is stored. The loss of the second half of a fit
    follows a power of the iteration; that line is read off, or extended, at the authors' residual.
    """
    found, _ = records.load_all(folder)
    of_key = {record["key"]: record for record in found.values()}
    authors, rows = beside("data residual", ENLARGED, path=path)[AUTHORS], {}
    stored = read(path)
    for row in stored[(stored.quantity == "data residual") & stored.key.isin(set(of_key))].itertuples():
        record = of_key[row.key]
        curve = records.history(record).set_index("iteration").loss
        later = curve[curve.index >= curve.index.max() / 2]
        if record["configuration"]["scored"] == "image" and len(later) >= FEWEST:
            slope, start = np.polyfit(np.log(later.index), np.log(255**2 * later), 1)
            rows[row.table, row.image, row.method] = math.exp((math.log(authors[row.table, row.image]) - start) / slope)
    index = pd.MultiIndex.from_tuples(list(rows), names=["table", "image", "method"])
    wide = pd.Series(list(rows.values()), index, dtype=float).unstack("method")
    return in_columns(wide, ENLARGED).dropna(axis=1, how="all")
