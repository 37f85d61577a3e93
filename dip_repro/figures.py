"""Drawing: rows of pictures with a zoomed inset, and PSNR curves."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from dip_repro import images
from dip_repro.runtime import ROOT

FIGURES = ROOT / "figures"
INK, BLUE, ORANGE, GREEN, GREY = "#222222", "#2166ac", "#d95f02", "#1b7837", "#888888"


def pictures(shown: dict[str, Tensor], zoom: tuple[int, int, int] | None = None, height: float = 2.6) -> Figure:
    """Draw images (C, H, W) in a row, each under its title; `zoom` = (top, left, side) is enlarged below each."""
    rows = 2 if zoom else 1
    figure, axes = plt.subplots(
        rows, len(shown), figsize=(height * len(shown), (height + 0.25) * rows), squeeze=False, layout="constrained"
    )
    for column, (title, image) in enumerate(shown.items()):
        pixels = images.to_8bit(image)
        axes[0, column].imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes[0, column].set_title(title, fontsize=10, color=INK)
        if zoom:
            top, left, side = zoom
            axes[0, column].add_patch(plt.Rectangle((left, top), side, side, fill=False, color=ORANGE, linewidth=1.2))
            axes[1, column].imshow(
                pixels[top : top + side, left : left + side], cmap="gray", vmin=0, vmax=255, interpolation="nearest"
            )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_color(GREY)
    return figure


def curves(
    histories: dict[str, pd.DataFrame],
    levels: dict[str, float] | None = None,
    y: str = "psnr",
    logx: bool = False,
) -> Figure:
    """Draw the iterate (thin) and the average (thick) of column `y` of each history; `levels` are dashed lines."""
    figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
    averaged = f"{y}_average"
    for (label, history), colour in zip(histories.items(), (BLUE, ORANGE, GREEN, "#7b3294", GREY), strict=False):
        axis.plot(history.iteration, history[y], color=colour, linewidth=0.9, alpha=0.8, label=f"{label}, iterate")
        if averaged in history:
            axis.plot(history.iteration, history[averaged], color=colour, linewidth=2.2, label=f"{label}, average")
    for label, level in (levels or {}).items():
        axis.axhline(level, color=GREY, linestyle="--", linewidth=1)
        axis.annotate(label, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=GREY)
    axis.set(xlabel="iteration", ylabel="PSNR (dB)" if y == "psnr" else y, xscale="log" if logx else "linear")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9)
    return figure


def save(figure: Figure, name: str) -> Path:
    """Write figures/<name>.png."""
    FIGURES.mkdir(exist_ok=True)
    path = FIGURES / f"{name}.png"
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
    return path


def learning_curves(histories: dict[str, list[pd.DataFrame]], y: str = "loss") -> Figure:
    """Draw the geometric mean of column `y` over each list of histories, in its range as a band, on log axes."""
    figure, axis = plt.subplots(figsize=(7, 3.8), layout="constrained")
    for (label, group), colour in zip(histories.items(), (BLUE, GREEN, ORANGE, "#7b3294", GREY), strict=False):
        logs = pd.concat([history.set_index("iteration")[y] for history in group], axis=1).map(math.log10)
        axis.plot(logs.index, 10 ** logs.mean(axis=1), color=colour, linewidth=2, label=label)
        axis.fill_between(logs.index, 10 ** logs.min(axis=1), 10 ** logs.max(axis=1), color=colour, alpha=0.15, lw=0)
    axis.set(xlabel="iteration", ylabel=y, xscale="log", yscale="log")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9)
    return figure


def by_band(histories: dict[str, list[pd.DataFrame]], bands: list[str]) -> Figure:
    """Draw the error of each frequency band against iteration, the mean over each list of histories, a panel each."""
    figure, axes = plt.subplots(1, len(histories), figsize=(2.6 * len(histories), 3), sharey=True, layout="constrained")
    for axis, (label, group) in zip(axes, histories.items(), strict=True):
        mean = sum(history.set_index("iteration")[bands] for history in group) / len(group)
        for i, band in enumerate(bands, 1):
            axis.plot(mean.index, mean[band], color=plt.cm.viridis_r(i / len(bands)), label=f"to {band}")
        axis.set(xscale="log", xlabel="iteration", ylim=(0, 1.3), title=label)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("unexplained share of the band")
    axes[-1].legend(frameon=False, fontsize=8, title="cycles a pixel", title_fontsize=8)
    return figure


def samples(rows: dict[str, list[Tensor]], spectra: dict[str, tuple], natural: tuple) -> Figure:
    """Draw images of random networks, a column each, over their power spectra (frequency, power) beside `natural`'s.

    `natural` is (frequency, lowest, median, highest power over pictures). Contrast is stretched; spectra are shown
    relative to their first ring.
    """
    count = max(len(images_) for images_ in rows.values())
    figure, axes = plt.subplots(
        count + 1,
        len(rows),
        figsize=(1.75 * len(rows), 1.75 * count + 2.2),
        squeeze=False,
        layout="constrained",
        height_ratios=[1] * count + [1.2],
    )
    frequency, low, middle, high = natural
    for column, (label, shown) in enumerate(rows.items()):
        for axis, image in zip(axes[:, column], shown, strict=False):
            floor, ceiling = image.quantile(0.01), image.quantile(0.99)
            axis.imshow(images.to_8bit((image - floor) / (ceiling - floor)), interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        axes[0, column].set_title(label, fontsize=10)
        axis = axes[-1, column]
        axis.fill_between(frequency, low, high, color=GREY, alpha=0.3, lw=0, label="pictures")
        axis.plot(frequency, middle, color=GREY, lw=1)
        axis.plot(*spectra[label], color=ORANGE, lw=2, label="network")
        axis.set(xscale="log", yscale="log", ylim=(1e-7, 10), xlabel="cycles a pixel")
        axis.set_xticks([1 / 32, 1 / 8, 1 / 2], ["1/32", "1/8", "1/2"])
        axis.set_xticks([], minor=True)
        if column:
            axis.set_yticklabels([])
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_ylabel("relative power")
    axes[-1, 0].legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def fronts(scores: dict[str, pd.DataFrame], costs: list[str]) -> Figure:
    """Draw PSNR against each cost, a row for each task; the Pareto front (column "<cost> front") is joined."""
    figure, axes = plt.subplots(
        len(scores), len(costs), figsize=(5 * len(costs), 3.2 * len(scores)), squeeze=False, layout="constrained"
    )
    for row, (task, table) in zip(axes, scores.items(), strict=True):
        for axis, cost in zip(row, costs, strict=True):
            front = table[table[f"{cost} front"]].sort_values(cost)
            axis.plot(front[cost], front.psnr, color=ORANGE, lw=1.2, zorder=1)
            colours = [ORANGE if on else BLUE for on in table[f"{cost} front"]]
            axis.scatter(table[cost], table.psnr, color=colours, s=[80 if n == "paper" else 28 for n in table.index])
            for name, x, y in zip(table.index, table[cost], table.psnr, strict=True):
                axis.annotate(name, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8, color=INK)
            axis.set(xscale="log", xlabel=cost, ylabel="PSNR (dB)", title=task)
            axis.margins(x=0.15, y=0.12)
            axis.spines[["top", "right"]].set_visible(False)
    return figure
