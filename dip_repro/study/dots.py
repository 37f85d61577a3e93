"""Figures made of dots: our cells less the authors', and what the published files say. No image is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from dip_repro.study.figures import BLUE, GREEN, GREY, INK, ORANGE, legend, panels

BASELINES = {  # as the published files call them, and as the figure does
    **{"nlm": "NLM", "bm3d": "BM3D", "voronoi": "Voronoi", "papyan": "Papyan et al.", "imprior": "ImPrior"},
    **{"bicubic": "bicubic", "no_prior": "no prior", "tv_prior": "TV", "glasner": "Glasner et al."},
    **{"SelfExSR": "SelfExSR", "LapSRN": "LapSRN", "SRResNet-MSE": "SRResNet"},
}
LOOKS = {  # colour and marker of the methods in `said`, which so differ without colour too
    "the authors' deep prior": (INK, "o"),
    "this reproduction, the paper's setting": (BLUE, "s"),
    "this reproduction, scale of batch norm 1": (BLUE, "s"),
    "this reproduction, scale from U(0, 1)": (ORANGE, "D"),
    "this reproduction, recommended": (GREEN, "^"),
    "Papyan et al.": (GREY, "v"),
    "bicubic": (GREY, "v"),
}
CELLS: tuple[tuple[str, str, dict], ...] = (  # the columns of a table that are drawn: what they are, how they look
    ("2017", "the paper's settings, library of 2017", {"facecolors": BLUE, "edgecolors": "white", "linewidths": 0.6}),
    ("scored", "the paper's settings, today's library", {"facecolors": "white", "edgecolors": BLUE, "marker": "s"}),
    ("ours", "the improved rule", {"facecolors": "white", "edgecolors": ORANGE, "linewidths": 1.2, "marker": "D"}),
)
NORMAL = 1.96  # standard deviations: 95 %


def less_authors(
    frames: Mapping[str, pd.DataFrame], scatter: Mapping[str, float], margin: float, named: float = 0.5
) -> Figure:
    """Draw PSNR less the authors', in dB: a row for each table, a dot for each cell.

    frames : by title, with the columns authors, 2017, scored and ours (`CELLS`), NaN where there is none. The means of
    published methods (`BASELINES`) are small marks. A bar is the mean of the dots.

    scatter : by title, the standard deviation in dB between runs that differ in their seed alone, where it is known.
    The band has 95 % of the differences of two such runs, which is what one cell is.

    margin : dB, a dashed line on each side. named : cells that are further from the authors' have their names.
    """
    figure, ((axis,),) = panels(size=(10, 1.05 * len(frames) + 0.9))
    counts = []
    for row, (title, frame) in enumerate(frames.items()):
        if title in scatter:
            half = NORMAL * np.sqrt(2) * scatter[title]
            axis.fill_between([-half, half], row - 0.45, row + 0.45, color=BLUE, alpha=0.13, linewidth=0)
        shown = [*(column for column, *_ in CELLS), *(name for name in BASELINES if name in frame)]
        less = frame[shown].astype(float).sub(frame.authors, axis=0)  # a column without a cell holds no numbers
        for (column, _, style), y in zip(CELLS, (-0.33, -0.12, 0.05), strict=True):
            row_of_dots(axis, less[column], row + y, np.inf if column == "ours" else named, **style)
        marks(axis, less[[name for name in BASELINES if name in less]].mean().rename(BASELINES), row + 0.2)
        done = less[["2017", "scored"]].count()
        counts.append(
            f"{title}\n{done['2017']} and {done.scored} of {len(frame)} cells" if done.any() else f"{title}\nnot run"
        )
        if row:
            axis.axhline(row - 0.5, color=GREY, linewidth=0.4, alpha=0.5)
    axis.axvline(0, color=INK, linewidth=0.9)
    for side in (-margin, margin):
        axis.axvline(side, color=GREY, linewidth=0.8, linestyle=(0, (4, 4)))
    for _, label, style in CELLS:
        axis.scatter([], [], s=36, **style, label=label)
    axis.plot([], [], "|", color=GREY, label="other methods, mean of the table")
    axis.plot([], [], color=GREY, linewidth=0.8, linestyle=(0, (4, 4)), label=f"± {margin:g} dB")
    if scatter:
        axis.fill_between([], [], color=BLUE, alpha=0.13, linewidth=0, label="95 % of differences between two runs")
    axis.set_yticks(range(len(frames)), counts, fontsize=9)
    axis.set(ylim=(len(frames) - 0.5, -0.5), xlabel="PSNR less that of the authors' published image (dB)")
    axis.tick_params("y", length=0)
    legend(axis, loc="lower center", bbox_to_anchor=(0.4, 1), ncols=3)
    return figure


def beside(frame: pd.DataFrame, base: str) -> Figure:
    """Draw PSNR less that of the column `base`, in dB: a row for each image, a marker for each other column.

    frame : PSNR in dB, a row for each image. NaN where there is none.
    """
    figure, ((axis,),) = panels(size=(7.5, 0.3 * len(frame) + 1.5))
    less = frame.drop(columns=base).sub(frame[base], axis=0).dropna(axis=1, how="all")
    rows = np.arange(len(frame))
    for row in rows:
        axis.axhline(row, color=GREY, linewidth=0.4, alpha=0.5)
    looks = zip("osD^vX", (INK, BLUE, ORANGE, GREEN, GREY, "#7b3294"), strict=True)
    for (name, values), (marker, colour) in zip(less.items(), looks, strict=False):
        axis.scatter(values, rows, s=44, marker=marker, color=colour, edgecolors="white", zorder=3, label=name)
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_yticks(rows, frame.index, fontsize=9)
    axis.set(ylim=(len(frame) - 0.5, -0.5), xlabel=f"PSNR less that of {base} (dB)")
    axis.tick_params("y", length=0)
    legend(axis, loc="lower center", bbox_to_anchor=(0.45, 1), ncols=2)
    return figure


def paths(curves: Mapping[str, Mapping[str, Mapping[str, pd.Series]]], margin: float, lowest: float) -> Figure:
    """Draw by title a panel of curves over the iteration, in dB less the authors': thin lines, and their mean, thick.

    curves : in each panel two groups, the first with full lines and the second with dashed ones; each by image.
    """
    rows = -(-len(curves) // 4)
    columns = -(-len(curves) // rows)
    figure, axes = panels(rows, columns, (3.3 * columns, 3 * rows), sharey=True)
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    for axis, (title, groups) in zip(axes.flat, curves.items(), strict=False):
        axis.axhspan(-margin, margin, color=GREY, alpha=0.2, linewidth=0)
        axis.axhline(0, color=GREY, linewidth=0.8)
        for (name, group), colour, style in zip(groups.items(), (BLUE, ORANGE), ("-", "--"), strict=True):
            for curve in group.values():
                axis.plot(curve.index, curve, color=colour, linestyle=style, linewidth=0.7, alpha=0.5)
            if group:
                mean = pd.concat(group.values(), axis=1).dropna().mean(axis=1)
                axis.plot(mean.index, mean, color=colour, linestyle=style, linewidth=2.4, label=name)
        axis.set(xlabel="iteration", ylim=(lowest, 1.5))
        axis.set_title(title, fontsize=10, color=INK)
        legend(axis, 8, loc="lower right")
    for axis in axes[:, 0]:
        axis.set_ylabel("PSNR less the authors' (dB)")
    return figure


def row_of_dots(axis: Axes, values: pd.Series, y: float, named: float = np.inf, **style) -> None:
    """Draw a dot for each value at height `y`, a bar at their mean, and the names of those beyond ± `named`."""
    values = values.dropna()
    axis.scatter(values, np.full(len(values), y), s=36, zorder=3, **style)
    if len(values) > 1:
        colour = next(style[part] for part in ("facecolors", "edgecolors") if style[part] != "white")
        axis.plot([values.mean()] * 2, [y - 0.12, y + 0.12], color=colour, linewidth=2)
    for name, value in values[values.abs() > named].items():
        axis.annotate(str(name), (value, y), (0, 5), textcoords="offset points", ha="center", fontsize=7, color=INK)


def marks(axis: Axes, values: pd.Series, y: float) -> None:
    """Draw a small mark with its name for each value at height `y`; names that would overlap stand on lower lines."""
    ends = np.full(len(values), -np.inf)  # of the last name in each line
    for name, value in values.dropna().sort_values().items():
        half = 0.045 * len(str(name))  # dB: about half of the name's width
        line = int(np.argmax(ends < value - half))
        ends[line] = value + half
        axis.plot(value, y, "|", color=GREY, markersize=6)
        place = (value, y + 0.06 + 0.11 * line)
        axis.annotate(str(name), place, ha="center", va="top", fontsize=6.5, color=GREY)


def said(
    shares: Mapping[str, pd.DataFrame], residual: pd.DataFrame, known: pd.DataFrame, missing: pd.DataFrame
) -> Figure:
    """Draw what the published files say: a panel for each task. Each column of a frame is a method, each row an image.

    shares : α by "σ = 25" (filled) and "σ = 50". residual : of d(x) − x0. known, missing : mean squared errors.
    """
    figure, ((first, second, third),) = panels(1, 3, (13.5, 5))
    noise_shares(first, shares)
    residuals(second, residual)
    restorations(third, known, missing)
    return figure


def noise_shares(axis: Axes, shares: Mapping[str, pd.DataFrame]) -> None:
    """Draw the fraction of the noise that each output has, a row for each method, a dot for each image."""
    names = list(dict.fromkeys(name for frame in shares.values() for name in frame))
    for (sigma, frame), shift, filled in zip(shares.items(), (-0.13, 0.13), (True, False), strict=True):
        for name, values in frame.items():
            axis.scatter(values, np.full(len(values), names.index(name) + shift), s=34, **look(name, filled))
        axis.scatter([], [], s=34, **look(sigma, filled), label=sigma)
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.set_yticks(range(len(names)), [fill(name, 16) for name in names], fontsize=9)
    axis.set(ylim=(len(names) - 0.5, -0.5), xlabel="fraction α of the published noise")
    finish(axis, "Denoising: noise that is left", 2)


def residuals(axis: Axes, frame: pd.DataFrame) -> None:
    """Draw the mean square of d(x) − x0, a row for each image, sorted by the first column."""
    frame = frame.sort_values(frame.columns[0], ascending=False)
    rows = np.arange(len(frame))
    axis.hlines(rows, frame.min(axis=1), frame.max(axis=1), color=GREY, linewidth=0.5, alpha=0.6)
    for name, values in frame.items():
        axis.scatter(values, rows, s=42, **look(name), label=name, zorder=3)
    axis.set_yticks(rows, frame.index, fontsize=9)
    axis.set(xscale="log", xlabel="mean square of d(x) − x0 (grey levels²)")
    plain_ticks(axis.xaxis, (5, 10, 20, 50, 100))
    finish(axis, "Super-resolution ×4: how closely x0 is fitted")


def restorations(axis: Axes, known: pd.DataFrame, missing: pd.DataFrame) -> None:
    """Draw the error on missing pixels against that on known ones, a dot for each image.

    Our dots are linked to that of the first column, which has the name of the image where there is room for it.
    """
    first = known.columns[0]
    for name, x in known.items():
        style = look(name)
        if str(name).startswith("this reproduction"):
            link = [known[first], x], [missing[first], missing[name]]
            axis.plot(*link, color=style["facecolors"], linewidth=0.5, alpha=0.5)
        axis.scatter(x, missing[name], s=42, **style, label=name, zorder=3)
    for image, x, y in zip(known.index, known[first], missing[first], strict=True):
        if missing[first].drop(image).div(y).sub(1).abs().min() > 0.08:  # else names would overlap
            axis.annotate(image, (x, y), (-6, 0), textcoords="offset points", ha="right", va="center", fontsize=7.5)
    ends = [9, 250]
    axis.plot(
        ends, ends, color=GREY, linewidth=0.8, linestyle=(0, (4, 4)), label="equal: nothing is fitted closely yet"
    )
    axis.set(xscale="log", yscale="log", xlim=(0.25, 250), ylim=(12, 250))
    axis.set(xlabel="mean squared error on known pixels", ylabel="on missing pixels (grey levels²)")
    plain_ticks(axis.xaxis, (1, 3, 10, 30, 100))
    plain_ticks(axis.yaxis, (20, 50, 100, 200))
    finish(axis, "Restoration: how far the fit went")


def look(name: object, filled: bool = True) -> dict[str, Any]:
    """Return how the dots of a method are drawn, filled or open."""
    colour, marker = LOOKS.get(str(name), (GREY, "o"))
    faces, edges = (colour, "white") if filled else ("white", colour)
    return {"facecolors": faces, "edgecolors": edges, "marker": marker}


def finish(axis: Axes, title: str, columns: int = 1) -> None:
    """Set the title of a panel, and its legend below it."""
    axis.set_title(title, fontsize=10.5, color=INK, loc="left")
    legend(axis, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns)


def plain_ticks(axis: Axis, values: Iterable[float]) -> None:
    """Label a logarithmic axis with plain numbers."""
    axis.set_ticks(list(values))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())
