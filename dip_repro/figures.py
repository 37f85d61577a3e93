"""Drawing: rows of pictures with a zoomed inset, and PSNR curves."""

from __future__ import annotations

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


def stops(history: pd.DataFrame, kept: dict[str, tuple[int, float]]) -> Figure:
    """Draw the PSNR of iterate and average, and for each rule a point: the iteration kept, its image's PSNR."""
    figure = curves({"fit": history})
    axis = figure.axes[0]
    for (rule, (iteration, psnr)), marker in zip(kept.items(), "osD^v", strict=False):
        axis.plot(iteration, psnr, marker, markersize=8, markeredgecolor="white", color=ORANGE, label=rule, zorder=3)
    axis.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def gaps(found: pd.DataFrame, rules: list[str], kinds: list[str], limits: tuple[float, float] = (0.3, 1.0)) -> Figure:
    """Draw every run's gap to its best moment (columns rule, kind, gap in dB): a panel a kind, a row a rule."""
    figure, axes = plt.subplots(1, len(kinds), figsize=(12, 2.6), sharey=True, layout="constrained")
    for axis, kind in zip(axes, kinds, strict=True):
        for row, rule in enumerate(rules):
            gap = found.gap[(found.kind == kind) & (found.rule == rule)]
            axis.plot(gap, [row] * len(gap), "o", color=BLUE, alpha=0.6, markeredgewidth=0)
            axis.plot(gap.median(), row, "|", color=INK, markersize=14, markeredgewidth=1.6)
        for limit in limits:
            axis.axvline(limit, color=GREY, linestyle="--", linewidth=0.8)
        axis.set(title=kind, xlim=(-0.1, max(2.0, 1.05 * found.gap.max())), ylim=(len(rules) - 0.5, -0.5))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(rules)), rules)
    figure.supxlabel("gap to the best moment (dB)", fontsize=10)
    return figure


def save(figure: Figure, name: str) -> Path:
    """Write figures/<name>.png."""
    FIGURES.mkdir(exist_ok=True)
    path = FIGURES / f"{name}.png"
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
    return path
