"""The figures of the notebooks: rows of pictures, curves, comparisons. Each function returns a Matplotlib figure."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, DisplayHandle, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import HashableList
from PIL import Image as Picture
from PIL import ImageSequence
from torch import Tensor

from dip_repro import images
from dip_repro.config import NetworkConfig
from dip_repro.fitting import Fit, Report
from dip_repro.images import to_8bit
from dip_repro.runtime import ROOT, written_whole
from dip_repro.study import records
from dip_repro.study.runs import RESULTS, Run, finished, problem_of, stored
from dip_repro.study.samples import Samples
from dip_repro.study.tasks import Problem

FIGURES = ROOT / "figures"
INK, BLUE, ORANGE, GREEN, GREY = "#222222", "#2166ac", "#d95f02", "#1b7837", "#888888"
COLOURS = (BLUE, ORANGE, GREEN, "#7b3294", GREY, "#b2182b", "#8c510a")
DASHES: Any = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))  # tells curves apart without colour
STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
}


def displayed(figure: Figure) -> dict[str, bytes | str]:
    """Return what a notebook shows, by media type: pictures as JPEG, a quarter of the size of a PNG; else PNG."""
    kind = "jpeg" if any(axis.images for axis in figure.axes) else "png"
    how: Any = {"pil_kwargs": {"quality": 85}} if kind == "jpeg" else {}
    drawn = io.BytesIO()
    figure.savefig(drawn, format=kind, dpi=80, bbox_inches="tight", facecolor="white", **how)
    return {f"image/{kind}": drawn.getvalue(), "text/plain": repr(figure)}


class Drawn(Figure):
    """A figure that Jupyter shows as `displayed`."""

    def _ipython_display_(self) -> None:
        display(displayed(self), raw=True)


def panels(rows: int = 1, columns: int = 1, size: tuple[float, float] = (7, 3.6), **named) -> tuple[Figure, np.ndarray]:
    """Return a figure of this size in inches, and its axes, (rows, columns)."""
    # Outside of the context: Jupyter shows no figure that is made in one.
    figure = plt.figure(figsize=size, layout="constrained", FigureClass=Drawn)
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
    """Draw images (C, H, W) in rows, each with its title; the name of a row stands at its left."""
    columns = max(map(len, rows.values()))
    figure, axes = panels(len(rows), columns, (height * columns, (height + 0.25) * len(rows)))
    for line, (name, shown) in zip(axes, rows.items(), strict=True):
        for axis, (title, image) in zip(line, shown.items(), strict=False):
            picture(axis, image, title)
        for axis in line[len(shown) :]:
            axis.remove()
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


def curves(histories: dict[str, pd.DataFrame], levels: dict[str, float] | None = None, logx: bool = False) -> Figure:
    """Draw the PSNR of the iterate (thin) and the average (thick) of each history; `levels` are dashed lines."""
    figure, ((axis,),) = panels()
    for (label, history), colour, style in zip(histories.items(), COLOURS, ("-", "--", "-.", ":") * 2, strict=False):
        look: dict = {"color": colour, "linestyle": style}
        axis.plot(history.iteration, history.psnr, linewidth=1.2, alpha=0.8, label=f"{label}, iterate", **look)
        if "psnr_average" in history:
            axis.plot(history.iteration, history.psnr_average, linewidth=2.6, label=f"{label}, average", **look)
    for label, level in (levels or {}).items():
        axis.axhline(level, color=GREY, linestyle="--", linewidth=1)
        axis.annotate(label, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=GREY)
    axis.set(xlabel="iteration", ylabel="PSNR (dB)", xscale="log" if logx else "linear")
    legend(axis)
    return figure


def live(reports: Iterable[Report], every: float = 3.0) -> Iterator[Report]:
    """Pass `reports` on, and show below the notebook's cell where the fit is, drawn again every `every` seconds.

    Jupyter's stop button ends the fit there, and keeps what was done.
    """

    def drawn() -> Figure:
        shown = {f"iteration {report.iteration}": report.image, "average": report.average}
        return with_curve(shown, pd.DataFrame(rows))

    handle, rows, due = DisplayHandle(), [], 0.0
    handle.display(HTML("…"))
    try:
        for report in reports:
            rows.append(report.row)
            if time.monotonic() > due:
                handle.update(displayed(drawn()), raw=True)
                due = time.monotonic() + every
            yield report
    except KeyboardInterrupt:
        where = f"at iteration {rows[-1]['iteration']}; what was done so far is kept" if rows else "before a report"
        print(f"stopped {where}")
    if rows:
        handle.update(displayed(drawn()), raw=True)


def lines(
    tables: Mapping[str, Mapping[str, pd.Series] | pd.DataFrame],
    label: str,
    x: str = "iteration",
    margin: float = 0.0,
    lowest: float | None = None,
) -> Figure:
    """Draw a line for each column over the index `x`, a panel for each table; a band ± `margin`; cut at `lowest`."""
    columns = min(4, len(tables))
    named = {title: {fill(name, 44): curve for name, curve in table.items()} for title, table in tables.items()}
    rows, most = -(-len(named) // columns), max("\n".join(table).count("\n") + 1 for table in named.values())
    width = 3.4 * columns if columns > 1 else 7
    figure, axes = panels(rows, columns, (width, (3.2 + 0.15 * most) * rows), sharey=True)
    names = list(dict.fromkeys(name for table in named.values() for name in table))
    many = plt.get_cmap("turbo")(np.linspace(0.05, 0.95, len(names))) if len(names) > len(COLOURS) else COLOURS
    colours = dict(zip(names, many, strict=False))
    markers = dict(zip(names, "osD^vPX" * len(names), strict=False))
    for axis in axes.flat[len(named) :]:
        axis.set_visible(False)
    for axis, (title, table) in zip(axes.flat, named.items(), strict=False):
        if margin or min(curve.min() for curve in table.values()) < 0:
            axis.axhspan(-margin, margin, color=GREY, alpha=0.25, linewidth=0)
            axis.axhline(0, color=GREY, linewidth=0.8)
        for name, curve in table.items():
            look = {"color": colours[name], "marker": markers[name], "markevery": 1 if len(curve) < 30 else 0.1}
            axis.plot(curve.index, curve, linewidth=1.4, markersize=5, label=name, **look)
        axis.set_xlabel(x)
        axis.set_title(title, fontsize=10, color=INK)
        legend(axis, 7, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    for axis in axes[:, 0]:
        axis.set_ylabel(fill(label, 24))
    axes[0, 0].set_ylim(bottom=lowest)
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
    figure, (axes,) = panels(1, len(kinds), (11, 2.6), sharey=True)
    largest = found.gap[found.rule.isin(rules)].max()
    for axis, kind in zip(axes, kinds, strict=True):
        for row, rule in enumerate(rules):
            gap = found.gap[(found.kind == kind) & (found.rule == rule)]
            axis.plot(gap, [row] * len(gap), "o", color=BLUE, alpha=0.6, markeredgewidth=0)
            axis.plot(gap.median(), row, "|", color=INK, markersize=14, markeredgewidth=1.6)
        for limit in limits:
            axis.axvline(limit, color=GREY, linestyle="--", linewidth=0.8)
        axis.set(title=kind, xlim=(-0.1, max(2.0, 1.05 * largest)), ylim=(len(rules) - 0.5, -0.5))
    axes[0].set_yticks(range(len(rules)), [fill(rule, 20) for rule in rules])
    figure.supxlabel("gap to the best moment (dB)", fontsize=10)
    return figure


def evidence(
    run: Run,
    baseline: str = "",
    zoom: tuple[int, int, int] | None = None,
    others: dict[str, Tensor] | None = None,
    folder: Path = RESULTS,
) -> Figure:
    """Draw what the record of a run shows: the input, a baseline of its task, `others`, the result and the truth.

    Each has its PSNR as title, where the truth is known. Below they are enlarged at `zoom` = (top, left, side), or in
    the middle; beside them stands the curve.
    """
    record = finished([run], folder).get(run)
    if record is None:
        return no_record(run.name)
    problem, result = problem_of(run), "last iterate" if run.scored == "image" else "average"
    shown = {"given": problem.corrupted}
    if baseline:
        shown[baseline] = problem.baselines[baseline]()
    shown |= (others or {}) | {result: stored([run], folder)[0]}
    return pictures_and_curve(with_psnr(shown, problem), records.history(record), zoom)


def with_psnr(shown: dict[str, Tensor], problem: Problem) -> dict[str, Tensor]:
    """Return images with their PSNR below their titles, and then the truth; as they are where it is not known."""
    truth = problem.truth
    if truth is None:
        return shown
    return titled(shown, lambda image: problem.score(image, truth)) | {"truth\n": truth}


def no_record(name: str) -> Figure:
    """Say how the missing records are made, in the place of a picture: of a run, or of an experiment's runs."""
    figure, ((axis,),) = panels(size=(7, 0.5))
    axis.set_axis_off()
    axis.text(0, 0, f"No record yet: dip-repro study run '{name}' --profile laptop", fontsize=10, color=INK)
    return figure


def titled(shown: dict[str, Tensor], score: Callable[[Tensor], float | Tensor]) -> dict[str, Tensor]:
    """Return the same images, each with its score in dB in its title."""
    return {f"{name}\n{float(score(image)):.2f} dB": image for name, image in shown.items()}


def pictures_and_curve(
    shown: dict[str, Tensor], history: pd.DataFrame, zoom: tuple[int, int, int] | None = None
) -> Figure:
    """Draw images (C, H, W) in a row, enlarged below at `zoom` or in their middle; beside them the curve of a fit."""
    side = min(next(iter(shown.values())).shape[-2:])
    top, left, side = zoom or (side // 3, side // 3, side // 4)
    ratios = [1.0] * len(shown) + [1.5]
    figure = plt.figure(figsize=(2.5 * sum(ratios), 5.4), layout="constrained", FigureClass=Drawn)
    with plt.rc_context(STYLE):
        cells = figure.add_gridspec(2, len(ratios), width_ratios=ratios)
        for column, (title, image) in enumerate(shown.items()):
            whole, enlarged = (figure.add_subplot(cells[row, column]) for row in range(2))
            picture(whole, image, title)
            whole.add_patch(plt.Rectangle((left, top), side, side, fill=False, color=ORANGE, linewidth=1.2))
            picture(enlarged, image[..., top : top + side, left : left + side])
        curve(figure.add_subplot(cells[:, -1]), history)
    return figure


def film(fitting: Fit, problem: Problem, path: Path, frames: int = 32) -> None:
    """Run a fit, and write `path`, a GIF: the iterate at `frames` moments in geometric steps, a dot on its curve."""
    every, last = fitting.settings.report_every, fitting.settings.iterations
    moments = {round(at / every) * every for at in np.geomspace(every, last, frames)}
    seen = {report.iteration: report.image.cpu() for report in fitting if report.iteration in moments}
    history, drawn = fitting.result.history.set_index("iteration"), []
    for iteration, image in seen.items():
        shown = {"given": problem.corrupted, f"iteration {iteration}": image}
        figure = with_curve(shown, history.reset_index())
        figure.axes[-1].plot(iteration, history.psnr[iteration], "o", color=INK, markersize=9)
        figure.savefig(buffer := io.BytesIO(), format="png", dpi=80)
        drawn.append(Picture.open(buffer).convert("RGB").quantize(128))
    with written_whole(path) as partial:
        pauses = [160] * (len(drawn) - 1) + [2500]
        drawn[0].save(partial, "GIF", save_all=True, append_images=drawn[1:], duration=pauses, loop=0)


def slider(path: Path) -> Any:
    """Return a slider over the frames of a GIF, above the one that is chosen, for Jupyter."""
    from ipywidgets import Image, IntSlider, VBox

    frames = []
    for frame in ImageSequence.Iterator(Picture.open(path)):
        frame.convert("RGB").save(buffer := io.BytesIO(), "PNG")
        frames.append(buffer.getvalue())
    chosen = IntSlider((len(frames) - 1) // 2, 0, len(frames) - 1, description="frame")
    image = Image(value=frames[chosen.value])
    chosen.observe(lambda change: setattr(image, "value", frames[change["new"]]), "value")
    return VBox([chosen, image])


def curve(axis: Axes, history: pd.DataFrame) -> None:
    """Draw the PSNR of iterate and average by iteration where the truth is known, else the loss."""
    scored = [name for name in ("psnr", "psnr_average") if name in history] or ["loss"]
    names = {"psnr": "iterate", "psnr_average": "average", "loss": "loss"}
    for name in scored:
        axis.plot(history.iteration, history[name], linewidth=1 if name == "psnr" else 2.2, label=names[name])
    axis.set(xlabel="iteration", ylabel="PSNR (dB)" if "psnr" in scored else "loss")
    legend(axis)


def save(figure: Figure, name: str) -> Path:
    """Write figures/<name>.png."""
    FIGURES.mkdir(exist_ok=True)
    path = FIGURES / f"{name}.png"
    write(figure, path)
    return path


def thumbnail(before: Tensor, after: Tensor, name: str) -> Path:
    """Write figures/<name>.png: the left half of one image (C, H, W), and the right half of another; twice as large."""
    left, right = (to_8bit(image.expand(3, -1, -1)) for image in (before, after))
    middle = left.shape[1] // 2
    right[:, :middle] = left[:, :middle]
    right[:, middle - 1 : middle + 1] = 255
    right = right.repeat(2, axis=0).repeat(2, axis=1)
    FIGURES.mkdir(exist_ok=True)
    path = FIGURES / f"{name}.png"
    Picture.fromarray(right).save(path)
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
    curve(axes[-1], history)
    plt.close(figure)  # the caller saves or shows it
    return figure


def hourglass(config: NetworkConfig, side: int) -> Figure:
    """Draw the blocks of a network for side × side pixels: d_i down the left, u_i up the right, s_i across."""
    figure, ((axis,),) = panels(size=(10, 1.05 * config.depth + 1.4))
    arrow: Any = {"arrowstyle": "->", "color": GREY, "shrinkA": 0, "shrinkB": 0}

    def box(x: float, y: float, text: str, colour: str) -> None:
        style = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": colour, "linewidth": 1.5}
        axis.text(x, y, text, ha="center", va="center", fontsize=9, color=INK, bbox=style)

    box(0, 0, f"z: {config.in_channels} channels, {side}²", GREY)
    box(4, 0, f"x: {config.out_channels} channels, {side}²", GREY)
    for i in range(config.depth):
        x, y, smaller = 0.25 * i, -(i + 1), side // 2 ** (i + 1)
        box(x, y, f"$d_{i + 1}$: {config.n_d[i]} filters {config.k_d[i]}×{config.k_d[i]}, {smaller}²", BLUE)
        box(4 - x, y, f"$u_{i + 1}$: {config.n_u[i]} filters {config.k_u[i]}×{config.k_u[i]}, {2 * smaller}²", ORANGE)
        axis.annotate("", (x, y + 0.3), (x, y + 0.7), arrowprops=arrow)
        axis.annotate("", (4 - x, y + 0.7), (4 - x, y + 0.3), arrowprops=arrow)
        if config.n_s[i]:
            axis.annotate("", (4 - x - 0.65, y + 0.1), (x + 0.1, y + 0.5), arrowprops=arrow | {"color": GREEN})
            label = f"$s_{i + 1}$: {config.n_s[i]} filters {config.k_s[i]}×{config.k_s[i]}"
            axis.text(2, y + 0.42, label, ha="center", fontsize=8, color=GREEN)
    x, y = 0.25 * (config.depth - 1), -config.depth
    axis.annotate("", (4 - x - 0.65, y), (x + 0.65, y), arrowprops=arrow)
    axis.set(xlim=(-0.8, 4.8), ylim=(y - 0.5, 0.5))
    axis.set_axis_off()
    return figure


def ranked(found: pd.DataFrame, limits: tuple[float, ...]) -> Figure:
    """Draw an effect in dB with its 95 % interval for each row of `found`, the first row on top.

    found : name, effect, low, high; small, the effect in a smaller study, an open dot; list: rows of one list stand
    together, below its name.

    limits : dB, dashed lines on both sides of 0.
    """
    lists = [(name, rows) for name, rows in found.groupby("list", sort=False, observed=True)]
    figure, ((axis,),) = panels(size=(11, 0.2 * (len(found) + 1.6 * len(lists)) + 0.8))
    places, names, y = [], [], 0.0
    for name, rows in lists:
        axis.annotate(name, (0.005, y + 0.1), xycoords=("axes fraction", "data"), fontsize=9, color=INK, weight="bold")
        for row in rows.itertuples():
            y += 1
            axis.errorbar(
                row.effect, y, xerr=[[row.effect - row.low], [row.high - row.effect]], fmt="o", color=BLUE, ms=5
            )
            if row.small != row.effect:
                axis.plot(row.small, y, "o", color=ORANGE, markerfacecolor="none", markersize=6)
            places.append(y)
            names.append(row.name)
        y += 1.6
    axis.axvline(0, color=INK, linewidth=0.8)
    for limit in (side * limit for limit in limits for side in (-1, 1)):
        axis.axvline(limit, color=GREY, linewidth=0.8, linestyle="--")
    axis.errorbar([], [], xerr=[], fmt="o", color=BLUE, markersize=5, label="largest runs, 95 % interval")
    axis.plot([], [], "o", color=ORANGE, markerfacecolor="none", markersize=6, label="small study: 64², 32 filters")
    axis.set_yticks(places, names, fontsize=8)
    axis.set(ylim=(y - 0.6, -0.9), xlabel="PSNR with the other reading less that with the base (dB)")
    legend(axis, 8, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


def learning_curves(histories: dict[str, list[pd.DataFrame]]) -> Figure:
    """Draw the geometric mean of the loss over each list of histories, with its range as a band, on log axes."""
    figure, ((axis,),) = panels(size=(8.6, 3.8))
    for (label, group), dash in zip(histories.items(), DASHES, strict=False):
        logs = pd.concat([history.set_index("iteration").loss for history in group], axis=1).map(math.log10)
        (line,) = axis.plot(logs.index, 10 ** logs.mean(axis=1), linewidth=2, linestyle=dash, label=label)
        band = 10 ** logs.min(axis=1), 10 ** logs.max(axis=1)
        axis.fill_between(logs.index, *band, color=line.get_color(), alpha=0.15, lw=0)
    axis.set(xlabel="iteration", ylabel="loss", xscale="log", yscale="log")
    legend(axis, loc="center left", bbox_to_anchor=(1, 0.5), handlelength=3.5)
    return figure


def by_band(histories: dict[str, list[pd.DataFrame]], bands: list[str]) -> Figure:
    """Draw the error of each frequency band by iteration, the mean over each list of histories, a panel each."""
    figure, (axes,) = panels(1, len(histories), (2.6 * len(histories) + 1.6, 3.2), sharey=True)
    for axis, (label, group) in zip(axes, histories.items(), strict=True):
        mean = sum(history.set_index("iteration")[bands] for history in group) / len(group)
        for i, (band, dash) in enumerate(zip(bands, reversed(DASHES), strict=True), 1):
            colour = plt.cm.viridis_r(i / len(bands))
            axis.plot(mean.index, mean[band], color=colour, linestyle=dash, linewidth=1.8, label=f"to {band}")
        axis.set(xscale="log", xlabel="iteration", ylim=(0, 1.3))
        axis.set_title(label, fontsize=10, color=INK)
    axes[0].set_ylabel("fraction not yet explained")
    named = {"title": "cycles a pixel", "title_fontsize": 9, "handlelength": 3.5}
    legend(axes[-1], 9, loc="center left", bbox_to_anchor=(1, 0.5), **named)
    return figure


def samples(blocks: list[dict[str, Tensor]], spectra: dict[str, tuple], natural: tuple) -> Figure:
    """Draw images above their power spectra (frequency, power), in blocks of equal length, one below the other.

    natural : (frequency, lowest, median, highest power over pictures), drawn behind each spectrum. The contrast of the
    images is stretched, and spectra are relative to their first ring.
    """
    columns = max(map(len, blocks))
    size, heights = (2.7 * columns, 4.6 * len(blocks)), [1, 0.6] * len(blocks)
    figure, axes = panels(2 * len(blocks), columns, size, height_ratios=heights)
    frequency, low, middle, high = natural
    for i, block in enumerate(blocks):
        for column, (label, image) in enumerate(block.items()):
            floor, ceiling = image.quantile(0.01), image.quantile(0.99)
            picture(axes[2 * i, column], (image - floor) / (ceiling - floor), label)
            axis = axes[2 * i + 1, column]
            axis.fill_between(frequency, low, high, color=GREY, alpha=0.3, lw=0, label="photographs")
            axis.plot(frequency, middle, color=GREY, lw=1)
            axis.plot(*spectra[label], color=ORANGE, lw=2, label="the picture above")
            axis.set(xscale="log", yscale="log", ylim=(1e-7, 10), xlabel="cycles a pixel")
            axis.set_xticks([1 / 32, 1 / 8, 1 / 2], ["1/32", "1/8", "1/2"])
            axis.set_xticks([], minor=True)
        axes[2 * i + 1, 0].set_ylabel("relative power")
        for axis in axes[2 * i + 1, 1:]:
            axis.tick_params(labelleft=False)
    legend(axes[1, 0], 8, loc="lower left")
    return figure


AVERAGED = {"iterate": "psnr", "exponential average": "psnr_average", "mean": "psnr_mean"}  # columns of histories


def compute(
    runs: dict[str, pd.DataFrame], means: dict[str, pd.Series], whole: int, kinds: Iterable[str] = tuple(AVERAGED)
) -> Figure:
    """Draw PSNR against all iterations spent: of each history as it goes on, and of the mean of k runs of `whole`.

    means : the PSNR in dB by k, for each kind of image that is averaged.
    kinds : which of `AVERAGED` are drawn.
    """
    figure, ((axis,),) = panels(size=(8.6, 4.2))
    looks: dict[str, dict] = {"iterate": {"linewidth": 0.7, "alpha": 0.7}, "exponential average": {"linestyle": "--"}}
    for i, ((name, history), colour) in enumerate(zip(runs.items(), COLOURS, strict=False)):
        for kind in kinds:
            drawn = history if kind == "iterate" else history[history.samples > 1]
            marks = {"marker": "osD^v"[i], "markevery": 0.15, "markersize": 6} if len(runs) > 1 else {}
            look = {"linewidth": 2.0, "color": colour} | marks | looks.get(kind, {})
            axis.plot(drawn.iteration, drawn[AVERAGED[kind]], label=f"{name}: {kind}", **look)
    for (of, scores), marker in zip(means.items(), "os", strict=False):
        axis.plot(whole * scores.index, scores, f"{marker}:", color=INK, linewidth=1, label=of)
    lowest = min(history.psnr[history.iteration > whole / 5].min() for history in runs.values())
    spent = "iterations, of all runs together" if means else "iteration"
    axis.set(xlabel=spent, ylabel="PSNR (dB)", ylim=(lowest, None))
    legend(axis, 9, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def calibration(spreads: dict[str, Samples], truth: Tensor) -> Figure:
    """Draw the map of each spread over that of the error, both in grey levels, and the error against the spread."""
    names, kinds = list(spreads), ("spread", "error")
    layout: list[HashableList[str]] = [[*(f"{name} {what}" for name in names), *["diagram"] * 2] for what in kinds]
    figure = plt.figure(figsize=(2.2 * len(names) + 5, 4.6), layout="constrained", FigureClass=Drawn)
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
