"""The figures of the notebooks: rows of pictures, curves, comparisons. Each function returns a Matplotlib figure."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
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
COLOURS = (BLUE, ORANGE, GREEN, "#7b3294", GREY, "#b2182b", "#8c510a")
STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
}


def panels(rows: int = 1, columns: int = 1, size: tuple[float, float] = (7, 3.6), **named) -> tuple[Figure, np.ndarray]:
    """Return a figure of this size in inches, and its axes, (rows, columns)."""
    figure = plt.figure(figsize=size, layout="constrained")  # outside: Jupyter shows none that is made in a context
    with plt.rc_context(STYLE):
        return figure, figure.subplots(rows, columns, squeeze=False, **named)


def legend(axis: Axes, size: float = 9, **named) -> None:
    axis.legend(frameon=False, fontsize=size, **named)


def write(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, without the date and the version of the library."""
    figure.savefig(path, format="png", dpi=110, facecolor="white", metadata={"Software": None})


def picture(axis: Axes, image: Tensor, title: str = "") -> None:
    """Draw an image (C, H, W) in [0, 1]."""
    axis.imshow(to_8bit(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=10, color=INK)
    axis.spines[:].set(visible=True, color=GREY)


def grid(rows: dict[str, dict[str, Tensor]], height: float = 2.2) -> Figure:
    """Draw images (C, H, W) in rows of equal length, each with its title; the name of a row stands at its left."""
    columns = max(map(len, rows.values()))
    figure, axes = panels(len(rows), columns, (height * columns, (height + 0.25) * len(rows)))
    for line, (name, shown) in zip(axes, rows.items(), strict=True):
        for axis, (title, image) in zip(line, shown.items(), strict=True):
            picture(axis, image, title)
        line[0].set_ylabel(name, fontsize=11, color=INK)
    return figure


def pictures(shown: dict[str, Tensor], zoom: tuple[int, int, int] | None = None, height: float = 2.6) -> Figure:
    """Draw images (C, H, W) in a row, each with its title; `zoom` = (top, left, side) is enlarged below each."""
    if not zoom:
        return grid({"": shown}, height)
    top, left, side = zoom
    enlarged = {title: image[..., top : top + side, left : left + side] for title, image in shown.items()}
    figure = grid({"": shown, " ": enlarged}, height)
    for axis, below in zip(figure.axes[: len(shown)], figure.axes[len(shown) :], strict=True):
        axis.add_patch(plt.Rectangle((left, top), side, side, fill=False, color=ORANGE, linewidth=1.2))
        below.set_title("")
    return figure


def curves(
    histories: dict[str, pd.DataFrame],
    levels: dict[str, float] | None = None,
    y: str = "psnr",
    logx: bool = False,
) -> Figure:
    """Draw the iterate (thin) and the average (thick) of column `y` of each history; `levels` are dashed lines."""
    figure, ((axis,),) = panels()
    averaged = f"{y}_average"
    for (label, history), colour in zip(histories.items(), COLOURS, strict=False):
        axis.plot(history.iteration, history[y], color=colour, linewidth=0.9, alpha=0.8, label=f"{label}, iterate")
        if averaged in history:
            axis.plot(history.iteration, history[averaged], color=colour, linewidth=2.2, label=f"{label}, average")
    for label, level in (levels or {}).items():
        axis.axhline(level, color=GREY, linestyle="--", linewidth=1)
        axis.annotate(label, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=GREY)
    axis.set(xlabel="iteration", ylabel="PSNR (dB)" if y == "psnr" else y, xscale="log" if logx else "linear")
    legend(axis)
    return figure


def live(reports: Iterable[Report], every: float = 3.0) -> Iterator[Report]:
    """Pass `reports` on, and show below the notebook's cell where the fit is, drawn again every `every` seconds."""
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


def lines(tables: dict[str, dict[str, pd.Series]], label: str, margin: float = 0.0) -> Figure:
    """Draw differences in dB by iteration: a panel for each table, a line for each column, a band ± `margin`."""
    columns = min(4, len(tables))
    rows = -(-len(tables) // columns)
    figure, axes = panels(rows, columns, (max(3.4 * columns, 5), 3.2 * rows), sharey=True)
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    colours = dict(zip(names, plt.get_cmap("turbo")(np.linspace(0.05, 0.95, len(names))), strict=True))
    for axis in axes.flat[len(tables) :]:
        axis.set_visible(False)
    for axis, (title, table) in zip(axes.flat, tables.items(), strict=False):
        axis.axhspan(-margin, margin, color=GREY, alpha=0.25, linewidth=0)
        axis.axhline(0, color=GREY, linewidth=0.8)
        for name, curve in table.items():
            axis.plot(curve.index, curve, color=colours[name], linewidth=1.2, label=name)
        axis.set_xlabel("iteration")
        axis.set_title(title, fontsize=10, color=INK)
        legend(axis, 7, ncols=2, loc="lower right")
    for axis in axes[:, 0]:
        axis.set_ylabel(label)
    return figure


def differences(tables: dict[str, dict[str, pd.Series]], margin: float, below: float = 5.0) -> Figure:
    """Draw PSNR less the authors', in dB: a panel for each table, a line for each image, cut off at −`below`."""
    figure = lines(tables, "PSNR less the authors' (dB)", margin)
    figure.axes[0].set_ylim(bottom=-below)
    return figure


def drifts(tables: dict[str, pd.DataFrame]) -> Figure:
    """Draw `ambiguities.drift`: a panel for each task, a line for each reading."""
    return lines({task: dict(table.items()) for task, table in tables.items()}, "PSNR less that of the base (dB)")


def against(points: dict[str, pd.DataFrame], margin: float) -> Figure:
    """Draw the PSNR here against the authors', in dB: a colour for each table, a point for each image, ± `margin`.

    Each frame has the columns authors, scored (filled) and ours (open), NaN where there is none.
    """
    figure, ((axis,),) = panels(size=(6.4, 5.6))
    values = pd.concat(points.values())[["authors", "scored", "ours"]].dropna(how="all", subset=["scored", "ours"])
    ends = np.array([values.min().min() - 0.7, values.max().max() + 0.7])
    axis.fill_between(ends, ends - margin, ends + margin, color=GREY, alpha=0.25, linewidth=0)
    axis.plot(ends, ends, color=GREY, linewidth=0.8)
    for (title, frame), colour in zip(points.items(), mpl.color_sequences["Dark2"], strict=False):
        axis.scatter(frame.authors, frame.scored, s=26, color=colour, label=title)
        axis.scatter(frame.authors, frame.ours, s=34, facecolors="none", edgecolors=colour, linewidths=1)
    axis.scatter([], [], s=26, color=INK, label="filled: the paper's settings")
    axis.scatter([], [], s=34, facecolors="none", edgecolors=INK, label="open: our rule")
    axis.set(xlabel="PSNR of the authors' output (dB)", ylabel="PSNR here (dB)", aspect="equal", xlim=ends, ylim=ends)
    legend(axis, loc="upper left")
    return figure


def stops(history: pd.DataFrame, kept: dict[str, tuple[int, float]]) -> Figure:
    """Draw the PSNR of iterate and average, and a point for each rule: the iteration kept, the PSNR of its image."""
    figure = curves({"fit": history})
    (axis,) = figure.axes
    for (rule, (iteration, psnr)), marker in zip(kept.items(), "osD^v", strict=False):
        axis.plot(iteration, psnr, marker, markersize=8, markeredgecolor="white", color=ORANGE, label=rule, zorder=3)
    legend(axis, loc="lower right")
    return figure


def gaps(found: pd.DataFrame, rules: list[str], kinds: list[str], limits: tuple[float, float] = (0.3, 1.0)) -> Figure:
    """Draw the gap of every run to its best moment, in dB: a panel for each kind of damage, a row for each rule.

    found : columns rule, kind, gap. A tick is the median; the dashed lines are `limits`.
    """
    figure, (axes,) = panels(1, len(kinds), (12, 2.6), sharey=True)
    for axis, kind in zip(axes, kinds, strict=True):
        for row, rule in enumerate(rules):
            gap = found.gap[(found.kind == kind) & (found.rule == rule)]
            axis.plot(gap, [row] * len(gap), "o", color=BLUE, alpha=0.6, markeredgewidth=0)
            axis.plot(gap.median(), row, "|", color=INK, markersize=14, markeredgewidth=1.6)
        for limit in limits:
            axis.axvline(limit, color=GREY, linestyle="--", linewidth=0.8)
        axis.set(title=kind, xlim=(-0.1, max(2.0, 1.05 * found.gap.max())), ylim=(len(rules) - 0.5, -0.5))
    axes[0].set_yticks(range(len(rules)), rules)
    figure.supxlabel("gap to the best moment (dB)", fontsize=10)
    return figure


def save(figure: Figure, name: str) -> Path:
    """Write figures/<name>.png."""
    FIGURES.mkdir(exist_ok=True)
    path = FIGURES / f"{name}.png"
    write(figure, path)
    return path


def of_run(run: Run, record: dict, folder: Path) -> Path:
    """Draw the input of a run, its result, the truth where that is known, and the curve, beside its record.

    The images are shown as they are: do not publish the figure if their licence does not allow it.
    """
    problem = problem_of(run)
    restored = images.open_image(folder / f"{run.name}.png")
    what = "last iterate" if run.scored == "image" else "average"
    score = f", {records.score(record):.2f} dB" if record["scores"] else ""
    shown = {"given": problem.corrupted, f"{what}{score}": restored}
    shown |= {"truth": problem.truth} if problem.truth is not None else {}
    path = folder / f"{run.name}.figure.png"
    with written_whole(path) as partial:
        write(with_curve(shown, records.history(record)), partial)
    return path


def with_curve(shown: dict[str, Tensor], history: pd.DataFrame) -> Figure:
    """Draw images (C, H, W) and, beside them, the curves of their fit: PSNR where the truth is known, else the loss."""
    figure, (axes,) = panels(1, len(shown) + 1, (3.2 * (len(shown) + 1), 3.2))
    for axis, (title, image) in zip(axes, shown.items(), strict=False):
        picture(axis, image, title)
    scored = [name for name in ("psnr", "psnr_average") if name in history] or ["loss"]
    for name in scored:
        axes[-1].plot(history.iteration, history[name], label=name.replace("_", ", "))
    axes[-1].set(xlabel="iteration", ylabel="PSNR (dB)" if "psnr" in scored else "loss")
    legend(axes[-1])
    plt.close(figure)  # the caller saves or shows it
    return figure


def forest(table: pd.DataFrame) -> Figure:
    """Draw `ambiguities.effects`: a row for each reading and task, its effect in dB with the 95 % interval."""
    rows = table.sort_values("effect", ignore_index=True)
    figure, ((axis,),) = panels(size=(8, 0.24 * len(rows) + 1))
    for (task, group), colour in zip(rows.groupby("task", sort=False), COLOURS, strict=False):
        error = [group.effect - group.low, group.high - group.effect]
        axis.errorbar(group.effect, group.index, xerr=error, fmt="o", color=colour, markersize=4, label=task)
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.axvspan(-0.1, 0.1, color=GREY, alpha=0.15, linewidth=0)
    axis.set_yticks(rows.index, [row.reading + (" *" if row.p < 0.05 else "") for row in rows.itertuples()], fontsize=8)
    axis.set(xlabel="PSNR less that of the base (dB); * Holm-corrected p < 0.05", ylim=(-1, len(rows)))
    legend(axis, loc="lower right")
    return figure


def learning_curves(histories: dict[str, list[pd.DataFrame]], y: str = "loss") -> Figure:
    """Draw the geometric mean of column `y` over each list of histories, with its range as a band, on log axes."""
    figure, ((axis,),) = panels(size=(7, 3.8))
    for label, group in histories.items():
        logs = pd.concat([history.set_index("iteration")[y] for history in group], axis=1).map(math.log10)
        (line,) = axis.plot(logs.index, 10 ** logs.mean(axis=1), linewidth=2, label=label)
        band = 10 ** logs.min(axis=1), 10 ** logs.max(axis=1)
        axis.fill_between(logs.index, *band, color=line.get_color(), alpha=0.15, lw=0)
    axis.set(xlabel="iteration", ylabel=y, xscale="log", yscale="log")
    legend(axis)
    return figure


def by_band(histories: dict[str, list[pd.DataFrame]], bands: list[str]) -> Figure:
    """Draw the error of each frequency band by iteration, the mean over each list of histories, a panel each."""
    figure, (axes,) = panels(1, len(histories), (2.6 * len(histories), 3), sharey=True)
    for axis, (label, group) in zip(axes, histories.items(), strict=True):
        mean = sum(history.set_index("iteration")[bands] for history in group) / len(group)
        for i, band in enumerate(bands, 1):
            axis.plot(mean.index, mean[band], color=plt.cm.viridis_r(i / len(bands)), label=f"to {band}")
        axis.set(xscale="log", xlabel="iteration", ylim=(0, 1.3), title=label)
    axes[0].set_ylabel("share of the band not explained")
    legend(axes[-1], 8, title="cycles a pixel", title_fontsize=8)
    return figure


def samples(rows: dict[str, list[Tensor]], spectra: dict[str, tuple], natural: tuple) -> Figure:
    """Draw images of random networks, a column for each network, over the power spectra (frequency, power).

    natural : (frequency, lowest, median, highest power over pictures). The contrast of the images is stretched, and
    spectra are relative to their first ring.
    """
    count = max(map(len, rows.values()))
    size, heights = (1.75 * len(rows), 1.75 * count + 2.2), [1] * count + [1.2]
    figure, axes = panels(count + 1, len(rows), size, height_ratios=heights)
    frequency, low, middle, high = natural
    for column, (label, shown) in zip(axes.T, rows.items(), strict=True):
        for axis, image in zip(column, shown, strict=False):
            floor, ceiling = image.quantile(0.01), image.quantile(0.99)
            picture(axis, (image - floor) / (ceiling - floor))
        column[0].set_title(label, fontsize=10)
        axis = column[-1]
        axis.fill_between(frequency, low, high, color=GREY, alpha=0.3, lw=0, label="pictures")
        axis.plot(frequency, middle, color=GREY, lw=1)
        axis.plot(*spectra[label], color=ORANGE, lw=2, label="network")
        axis.set(xscale="log", yscale="log", ylim=(1e-7, 10), xlabel="cycles a pixel")
        axis.set_xticks([1 / 32, 1 / 8, 1 / 2], ["1/32", "1/8", "1/2"])
        axis.set_xticks([], minor=True)
        axis.label_outer()
    axes[-1, 0].set_ylabel("relative power")
    legend(axes[-1, 0], 8, loc="lower left")
    return figure


def fronts(scores: dict[str, pd.DataFrame], costs: list[str]) -> Figure:
    """Draw PSNR against each cost, a row for each task; the Pareto front (column "<cost> front") is joined."""
    figure, axes = panels(len(scores), len(costs), (5 * len(costs), 3.2 * len(scores)))
    for row, (task, table) in zip(axes, scores.items(), strict=True):
        table = table.dropna(subset="psnr")
        for axis, cost in zip(row, costs if len(table) else (), strict=False):
            on = table[f"{cost} front"]
            front = table[on].sort_values(cost)
            axis.plot(front[cost], front.psnr, color=ORANGE, lw=1.2, zorder=1)
            areas = [80 if name == "paper" else 28 for name in table.index]
            axis.scatter(table[cost], table.psnr, color=on.map({True: ORANGE, False: BLUE}), s=areas)
            for name, x, y in zip(table.index, table[cost], table.psnr, strict=True):
                axis.annotate(name, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8, color=INK)
            axis.set(xscale="log", xlabel=cost, ylabel="PSNR (dB)", title=task)
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x >= 1000 else f"{x:g}")
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.margins(x=0.15, y=0.12)
    return figure


def against_share(table: pd.DataFrame, label: str) -> Figure:
    """Draw PSNR in dB against a share in per cent, the index of the table: a line for each column."""
    figure, ((axis,),) = panels(size=(6, 3.6))
    for (name, values), colour in zip(table.items(), (GREY, INK, BLUE, ORANGE), strict=False):
        axis.plot(values.index, values, "o-", color=colour, linewidth=1.6, markersize=4, label=name)
    axis.set(xlabel=label, ylabel="PSNR (dB)")
    legend(axis)
    return figure


def compute(runs: dict[str, pd.DataFrame], means: dict[str, pd.Series], whole: int) -> Figure:
    """Draw PSNR against all iterations spent: of each history as it goes on, and of the mean of k runs of `whole`.

    means : the PSNR in dB by k, for each kind of image that is averaged.
    """
    figure, ((axis,),) = panels(size=(8, 4.4))
    for (name, history), colour in zip(runs.items(), COLOURS, strict=False):
        averaged = history[history.samples > 1]
        axis.plot(history.iteration, history.psnr, color=colour, linewidth=0.7, alpha=0.6, label=f"{name}: iterate")
        axis.plot(averaged.iteration, averaged.psnr_average, "--", color=colour, label=f"{name}: exponential average")
        axis.plot(averaged.iteration, averaged.psnr_mean, color=colour, linewidth=2.2, label=f"{name}: mean")
    for (of, scores), marker in zip(means.items(), "os", strict=False):
        axis.plot(whole * scores.index, scores, f"{marker}:", color=INK, linewidth=1, label=f"k runs: mean of {of}")
    lowest = min(history.psnr[history.iteration > whole / 5].min() for history in runs.values())
    axis.set(xlabel="iterations, of all runs together", ylabel="PSNR (dB)", ylim=(lowest, None))
    legend(axis, 8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def calibration(spreads: dict[str, Samples], truth: Tensor) -> Figure:
    """Draw the map of each spread over that of the error, both in grey levels, and the error against the spread."""
    names, kinds = list(spreads), ("spread", "error")
    layout: list[HashableList[str]] = [[*(f"{name} {what}" for name in names), *["diagram"] * 2] for what in kinds]
    figure = plt.figure(figsize=(2.2 * len(names) + 5, 4.6), layout="constrained")
    with plt.rc_context(STYLE):
        axes = figure.subplot_mosaic(layout)
    diagram = axes["diagram"]
    for (name, seen), colour in zip(spreads.items(), (BLUE, ORANGE, INK), strict=False):
        for what, values in zip(kinds, (seen.std, seen.mean - truth), strict=True):
            axis = axes[f"{name} {what}"]
            drawn = axis.imshow(255 * values.square().mean(0).sqrt(), cmap="magma", vmin=0, vmax=30)
            axis.set(xticks=[], yticks=[])
        axes[f"{name} spread"].set_title(name, fontsize=10)
        table = 255 * seen.reliability(truth)
        diagram.plot(table.predicted, table.error, "o-", color=colour, markersize=4, label=name)
    for what in kinds:
        axes[f"{names[0]} {what}"].set_ylabel(what)
    figure.colorbar(drawn, ax=[axes[f"{names[-1]} {what}"] for what in kinds], label="grey levels")
    top = max(diagram.dataLim.max) * 1.05
    diagram.plot([0, top], [0, top], color=GREY, linewidth=0.8)
    diagram.set(xlabel="spread (grey levels)", ylabel="error of the mean (grey levels)")
    diagram.set(xlim=(0, top), ylim=(0, top), box_aspect=1)
    legend(diagram, loc="lower right")
    return figure
