"""Drawing: rows of pictures with a zoomed inset, and PSNR curves."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.typing import HashableList
from torch import Tensor

from dip_repro import images
from dip_repro.fitting import Report
from dip_repro.images import to_8bit
from dip_repro.runtime import ROOT, written_whole
from dip_repro.study import records
from dip_repro.study.runs import Run, problem_of
from dip_repro.study.samples import Samples

FIGURES = ROOT / "figures"
INK, BLUE, ORANGE, GREEN, GREY = "#222222", "#2166ac", "#d95f02", "#1b7837", "#888888"


def pictures(shown: dict[str, Tensor], zoom: tuple[int, int, int] | None = None, height: float = 2.6) -> Figure:
    """Draw images (C, H, W) in a row, each under its title; `zoom` = (top, left, side) is enlarged below each."""
    rows = 2 if zoom else 1
    figure, axes = plt.subplots(
        rows, len(shown), figsize=(height * len(shown), (height + 0.25) * rows), squeeze=False, layout="constrained"
    )
    for column, (title, image) in enumerate(shown.items()):
        pixels = to_8bit(image)
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


def grid(rows: dict[str, dict[str, Tensor]], height: float = 2.2) -> Figure:
    """Draw images (C, H, W) in rows of as many, each under its title; the row's name stands at its left."""
    columns = max(map(len, rows.values()))
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(height * columns, (height + 0.25) * len(rows)), squeeze=False, layout="constrained"
    )
    for line, (name, shown) in zip(axes, rows.items(), strict=True):
        for axis, (title, image) in zip(line, shown.items(), strict=True):
            axis.imshow(to_8bit(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_title(title, fontsize=10, color=INK)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_color(GREY)
        line[0].set_ylabel(name, fontsize=11, color=INK)
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


def live(reports: Iterable[Report], every: float = 3.0) -> Iterator[Report]:
    """Pass `reports` on, and under the notebook's cell show where the fit is, drawn again every `every` seconds."""
    from IPython.display import HTML, DisplayHandle

    def drawn() -> Figure:
        shown = {f"iteration {report.iteration}": report.image, "average": report.average}
        return with_curve(shown, pd.DataFrame(rows))

    handle, rows, due = DisplayHandle(), [], 0.0
    handle.display(HTML("…"))
    for report in reports:
        rows.append(report.row)
        if time.monotonic() > due:
            handle.update(drawn())
            due = time.monotonic() + every
        yield report
    if rows:
        handle.update(drawn())


def differences(tables: dict[str, dict[str, pd.Series]], margin: float, below: float = 5.0) -> Figure:
    """Draw a panel a table, a line an image: PSNR less the authors', in dB, by iteration; the band is ± `margin`.

    What lies over `below` dB under the authors', the beginning of each curve, is cut off.
    """
    columns = min(4, len(tables))
    rows = -(-len(tables) // columns)
    size = (max(3.4 * columns, 5), 3 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, sharey=True, layout="constrained")
    for axis in axes.flat[len(tables) :]:
        axis.set_visible(False)
    for axis, (title, curves) in zip(axes.flat, tables.items(), strict=False):
        axis.axhspan(-margin, margin, color=GREY, alpha=0.25, linewidth=0)
        axis.axhline(0, color=GREY, linewidth=0.8)
        for (image, curve), hue in zip(curves.items(), np.linspace(0.05, 0.95, len(curves)), strict=True):
            axis.plot(curve.index, curve, color=plt.get_cmap("turbo")(hue), linewidth=1.1, label=image)
        axis.set(xlabel="iteration")
        axis.set_title(title, fontsize=10, color=INK)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=7, ncols=2, loc="lower right")
    highest = max(curve.max() for curves in tables.values() for curve in curves.values())
    axes[0, 0].set_ylim(-below, max(highest, margin) + 0.3)  # shared by all
    for axis in axes[:, 0]:
        axis.set_ylabel("PSNR less the authors' (dB)")
    return figure


def against(points: dict[str, pd.DataFrame], margin: float) -> Figure:
    """Draw ours against the authors' PSNR in dB, a colour a table, a point an image; the band is ± `margin`.

    Each frame has the columns authors, scored (filled) and ours (open), NaN where there is none.
    """
    figure, axis = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
    values = pd.concat(
        [frame[["authors", "scored", "ours"]].dropna(how="all", subset=["scored", "ours"]) for frame in points.values()]
    )
    low, high = values.min().min() - 0.7, values.max().max() + 0.7
    axis.fill_between(
        [low, high], [low - margin, high - margin], [low + margin, high + margin], color=GREY, alpha=0.25, linewidth=0
    )
    axis.plot([low, high], [low, high], color=GREY, linewidth=0.8)
    for (title, frame), colour in zip(points.items(), mpl.color_sequences["Dark2"], strict=False):
        axis.scatter(frame.authors, frame.scored, s=26, color=colour, label=title)
        axis.scatter(frame.authors, frame.ours, s=34, facecolors="none", edgecolors=colour, linewidths=1)
    axis.set(xlabel="the authors' (dB)", ylabel="here (dB): filled, the paper's settings; open, ours", aspect="equal")
    axis.set(xlim=(low, high), ylim=(low, high))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9, loc="upper left")
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


def of_run(run: Run, record: dict, folder: Path) -> Path:
    """Draw what a run was given, what it made of it, the truth where that is known, and its curve, beside its record.

    It shows the image as it is: not to be published where that carries no licence.
    """
    problem = problem_of(run)
    restored = images.open_image(folder / f"{run.name}.png")
    what = "last iterate" if run.scored == "image" else "average"
    score = f", {record['scores'][run.scored]:.2f} dB" if record["scores"] else ""
    shown = {"given": problem.corrupted, f"{what}{score}": restored}
    shown |= {"truth": problem.truth} if problem.truth is not None else {}
    figure = with_curve(shown, records.history(record))
    path = folder / f"{run.name}.figure.png"
    with written_whole(path) as partial:
        figure.savefig(partial, format="png", dpi=110, facecolor="white", metadata={"Software": None})
    return path


def with_curve(shown: dict[str, Tensor], history: pd.DataFrame) -> Figure:
    """Draw images (C, H, W) and, beside them, the curves of their fit: PSNR where the truth is known, else the loss."""
    figure, axes = plt.subplots(1, len(shown) + 1, figsize=(3.2 * (len(shown) + 1), 3.2), layout="constrained")
    for axis, (title, image) in zip(axes, shown.items(), strict=False):
        axis.imshow(to_8bit(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(title, fontsize=10, color=INK)
        axis.set(xticks=[], yticks=[])
    scored = [name for name in ("psnr", "psnr_average") if name in history] or ["loss"]
    for name, colour in zip(scored, (BLUE, ORANGE), strict=False):
        axes[-1].plot(history.iteration, history[name], color=colour, label=name.replace("_", ", "))
    axes[-1].set(xlabel="iteration", ylabel="PSNR (dB)" if "psnr" in scored else "loss")
    axes[-1].spines[["top", "right"]].set_visible(False)
    axes[-1].legend(frameon=False, fontsize=9)
    plt.close(figure)  # it is saved, or shown, by whom it is given to
    return figure


def forest(table: pd.DataFrame) -> Figure:
    """Draw `study.effects`: one row a reading and task, what it is worth in dB with its 95 % interval, sorted."""
    rows = table.sort_values("effect", ignore_index=True)
    tasks = list(dict.fromkeys(table.task))
    colours = dict(zip(tasks, (BLUE, ORANGE, GREEN, "#7b3294", GREY, "#b2182b", "#8c510a"), strict=False))
    figure, axis = plt.subplots(figsize=(8, 0.24 * len(rows) + 1), layout="constrained")
    for task, group in rows.groupby("task", sort=False):
        error = [group.effect - group.low, group.high - group.effect]
        axis.errorbar(group.effect, group.index, xerr=error, fmt="o", color=colours[task], markersize=4, label=task)
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.axvspan(-0.1, 0.1, color=GREY, alpha=0.15, linewidth=0)
    axis.set_yticks(rows.index, [row.reading + (" *" if row.p < 0.05 else "") for row in rows.itertuples()], fontsize=8)
    axis.set(xlabel="PSNR against the base reading (dB); * Holm-corrected p < 0.05", ylim=(-1, len(rows)))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


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
            axis.imshow(to_8bit((image - floor) / (ceiling - floor)), interpolation="nearest")
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
        table = table.dropna(subset="psnr")
        for axis, cost in zip(row, costs if len(table) else (), strict=False):
            front = table[table[f"{cost} front"]].sort_values(cost)
            axis.plot(front[cost], front.psnr, color=ORANGE, lw=1.2, zorder=1)
            colours = [ORANGE if on else BLUE for on in table[f"{cost} front"]]
            axis.scatter(table[cost], table.psnr, color=colours, s=[80 if n == "paper" else 28 for n in table.index])
            for name, x, y in zip(table.index, table[cost], table.psnr, strict=True):
                axis.annotate(name, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8, color=INK)
            axis.set(xscale="log", xlabel=cost, ylabel="PSNR (dB)", title=task)
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x >= 1000 else f"{x:g}")
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.margins(x=0.15, y=0.12)
            axis.spines[["top", "right"]].set_visible(False)
    return figure


def against_share(table: pd.DataFrame, label: str) -> Figure:
    """Draw PSNR in dB against a share in per cent, the table's index: a line a column."""
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for (name, values), colour in zip(table.items(), (GREY, INK, BLUE, ORANGE), strict=False):
        axis.plot(values.index, values, "o-", color=colour, linewidth=1.6, markersize=4, label=name)
    axis.set(xlabel=label, ylabel="PSNR (dB)")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9)
    return figure


def drifts(tables: dict[str, pd.DataFrame]) -> Figure:
    """Draw `study.drift`: a panel a task, a line a reading, dB above the base by iteration."""
    labels = dict.fromkeys(label for table in tables.values() for label in table)
    tab20 = mpl.color_sequences["tab20"]
    colours = dict(zip(labels, tab20[::2] + tab20[1::2], strict=False))
    figure, axes = plt.subplots(1, len(tables), figsize=(5.2 * len(tables), 3.6), squeeze=False, layout="constrained")
    for axis, (task, table) in zip(axes.flat, tables.items(), strict=True):
        axis.axhline(0, color=GREY, linewidth=0.8)
        for label in table:
            axis.plot(table.index, table[label], color=colours[label], linewidth=1.6, label=label)
        axis.set(xlabel="iteration", ylabel="PSNR against the base (dB)", title=task)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def compute(runs: dict[str, pd.DataFrame], means: dict[str, pd.Series], whole: int) -> Figure:
    """Draw PSNR against all the iterations spent: of histories as they go on, of the mean of k runs of `whole`.

    `means` has the PSNR in dB by k, for each kind of image that is averaged.
    """
    figure, axis = plt.subplots(figsize=(8, 4.4), layout="constrained")
    for (name, history), colour in zip(runs.items(), (BLUE, ORANGE, GREEN), strict=False):
        averaged = history[history.samples > 1]
        axis.plot(history.iteration, history.psnr, color=colour, linewidth=0.7, alpha=0.6, label=f"{name}: iterate")
        axis.plot(averaged.iteration, averaged.psnr_average, "--", color=colour, label=f"{name}: exponential average")
        axis.plot(averaged.iteration, averaged.psnr_mean, color=colour, linewidth=2.2, label=f"{name}: mean")
    for (of, scores), marker in zip(means.items(), "os", strict=False):
        axis.plot(whole * scores.index, scores, f"{marker}:", color=INK, linewidth=1, label=f"k runs: mean of {of}")
    lowest = min(history.psnr[history.iteration > whole / 5].min() for history in runs.values())
    axis.set(xlabel="iterations, of all runs together", ylabel="PSNR (dB)", ylim=(lowest, None))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def calibration(spreads: dict[str, Samples], truth: Tensor) -> Figure:
    """Draw the map of each spread over that of the error, both in grey levels, and predicted against true error."""
    names = list(spreads)
    layout: list[HashableList[str]] = [
        [*(f"{name} {what}" for name in names), "diagram", "diagram"] for what in ("spread", "error")
    ]
    size = (2.2 * len(names) + 5, 4.6)
    figure, axes = plt.subplot_mosaic(layout, figsize=size, layout="constrained")
    for (name, samples), colour in zip(spreads.items(), (BLUE, ORANGE, INK), strict=False):
        maps = {"spread": samples.std, "error": samples.mean - truth}
        for what, values in maps.items():
            axis = axes[f"{name} {what}"]
            drawn = axis.imshow(255 * values.square().mean(0).sqrt(), cmap="magma", vmin=0, vmax=30)
            axis.set(xticks=[], yticks=[])
        axes[f"{name} spread"].set_title(name, fontsize=10)
        table = 255 * samples.reliability(truth)
        axes["diagram"].plot(table.predicted, table.error, "o-", color=colour, markersize=4, label=name)
    for what in ("spread", "error"):
        axes[f"{names[0]} {what}"].set_ylabel(what)
    figure.colorbar(drawn, ax=[axes[f"{names[-1]} {what}"] for what in ("spread", "error")], label="grey levels")
    top = max(axes["diagram"].dataLim.max) * 1.05
    axes["diagram"].plot([0, top], [0, top], color=GREY, linewidth=0.8)
    axes["diagram"].set(xlabel="spread (grey levels)", ylabel="error of the mean (grey levels)")
    axes["diagram"].set(xlim=(0, top), ylim=(0, top), box_aspect=1)
    axes["diagram"].spines[["top", "right"]].set_visible(False)
    axes["diagram"].legend(frameon=False, fontsize=9, loc="lower right")
    return figure
