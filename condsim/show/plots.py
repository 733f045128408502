"""Figures for files, drawn by Matplotlib: the same numbers as in the terminal and the browser."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from condsim.files import is_stream, write_whole
from condsim.predict.waterfall import bars
from condsim.show.escape import figure_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from condsim.predict.prediction import Prediction
    from condsim.serve.serving import Serving

KINDS = ("svg", "pdf", "png")
"""Of files that figures can be written to."""
COLOURS = {
    "total": "#4c72b0",
    "gain": "#55a868",
    "loss": "#c44e52",
    "none": "#8c8c8c",
    "measured": "#8172b3",
}
"""Kind of a waterfall's bar → its colour; they read on white and on black."""
SHARES_DRAWN = 501
"""Points of a curve of latencies."""
SPANS_DRAWN = 120
"""Spans of time whose mean queue is drawn."""
LEGEND_ENTRIES = 12
"""A legend of more lines says nothing."""


def waterfall_figure(
    prediction: Prediction, measured: Mapping[str, Any] | None = None, title: str = ""
) -> Figure:
    """The waterfall of a prediction on a log axis, where equal heights are equal factors.

    Totals start at 1x, the dense baseline. measured: of `condsim.study.answer.measured_beside`, a
    last bar; None for none. title: empty = the name of the trace.
    """
    p = prediction
    rows = bars(p.waterfall, p.speedup, p.speedup_interval, measured)
    figure, axes = _empty(10.5, 4.2)
    for place, row in enumerate(rows.to_dict("records")):
        _draw_bar(axes, place, row)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    _mark_as_speedups(axes.yaxis)
    values = [1.0, *p.speedup_interval, *rows["start"], *rows["end"]]
    axes.set_ylim(min(values) / 1.12, max(values) * 1.22)
    names = [effect.replace("_", "\n") for effect in rows["effect"]]
    if measured is not None:
        names[-1] = figure_text(f"measured\n{measured['protocol']}")
    axes.set_xticks(range(len(rows)), names, fontsize=8)
    axes.set_ylabel(f"speedup over {p.baseline}")
    trace = title or p.trace
    case = f"{trace} · {p.profile} · {p.strategy} · batch {p.batch} · {p.dtype} · {p.protocol}"
    axes.set_title(figure_text(case), fontsize=10, loc="left")
    return figure


def _draw_bar(axes: Axes, place: int, row: Mapping[Any, Any]) -> None:
    """One bar of a waterfall with its label. row: of `condsim.predict.waterfall.bars`."""
    bottom, top = sorted((row["start"], row["end"]))
    colour = COLOURS[row["kind"]]
    axes.bar(place, top - bottom, bottom=bottom, width=0.72, color=colour)
    if row["effect"] == "predicted":
        low, high = row["low"], row["high"]
        axes.plot([place, place], [low, high], color="black", linewidth=1.2)
        top = max(top, high)
    axes.annotate(
        row["label"],
        (place, top),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        fontsize=8,
    )


def accuracy_figure(table: pd.DataFrame, by: str = "mechanism", band: float = 0.1) -> Figure:
    """Predicted against measured speedup on log axes.

    table: of `condsim.compare`; a case that was measured on another machine than the profile's is
    drawn hollow. by: the column that colours. band: the |error| of the grey band.
    """
    figure, axes = _empty(5.6, 5.2)
    for number, (name, group) in enumerate(table.groupby(by)):
        same_machine = group["same_machine"].astype(bool)
        colour = f"C{number}"
        _scatter_with_intervals(axes, group[same_machine], colour, colour, figure_text(name))
        _scatter_with_intervals(axes, group[~same_machine], colour, "none", None)
    values = [*table["measured_speedup"], *table["low"], *table["high"]]
    ends = [min(values) / 1.1, max(values) * 1.1]
    _draw_diagonal(axes, ends, band)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _mark_as_speedups(axes.xaxis)
    _mark_as_speedups(axes.yaxis)
    axes.set(xlabel="measured speedup", ylabel="predicted speedup", xlim=ends, ylim=ends)
    if table["same_machine"].any():  # cases of another machine have no label of their own
        axes.legend(frameon=False, fontsize=8)
    return figure


def _scatter_with_intervals(
    axes: Axes, cases: pd.DataFrame, colour: str, face: str, label: str | None
) -> None:
    """Cases as points with their predicted intervals. face: the colour inside of a point."""
    if cases.empty:
        return
    measured, predicted = cases["measured_speedup"], cases["predicted_speedup"]
    interval = [predicted - cases["low"], cases["high"] - predicted]
    axes.errorbar(
        measured, predicted, interval, fmt="none", ecolor=colour, alpha=0.3, linewidth=0.8
    )
    axes.scatter(measured, predicted, 18, edgecolors=colour, facecolors=face, label=label)


def _draw_diagonal(axes: Axes, ends: list[float], band: float) -> None:
    """The line of no error, with a grey band of so much relative error around it."""
    low = [end * (1 - band) for end in ends]
    high = [end * (1 + band) for end in ends]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.fill_between(ends, low, high, color="black", alpha=0.07)


def layers_figure(table: pd.DataFrame, by: str, band: float = 0.1) -> Figure:
    """Predicted against measured seconds on log axes.

    table: columns predicted_s, measured_s and `by`, which colours. band: the |error| of the grey
    band.
    """
    figure, axes = _empty(5.6, 5.2)
    for name, group in table.groupby(by):
        axes.scatter(group["measured_s"], group["predicted_s"], 10, label=figure_text(name))
    values = table[["predicted_s", "measured_s"]].to_numpy()
    ends = [values.min() / 1.1, values.max() * 1.1]
    _draw_diagonal(axes, ends, band)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel="measured, s", ylabel="predicted, s")
    axes.legend(frameon=False, fontsize=8)
    return figure


def residual_figure(table: pd.DataFrame, by: str = "mechanism", x: str = "batch") -> Figure:
    """Error of a prediction against batch.

    table: columns batch, error and `by`, which colours. x: what the axis is called.
    """
    figure, axes = _empty(6.4, 3.6)
    for name, group in table.groupby(by):
        axes.scatter(group["batch"], group["error"] * 100, 18, label=figure_text(name))
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set(xlabel=x, ylabel="predicted / measured - 1 (%)")
    axes.legend(frameon=False, fontsize=8)
    return figure


def load_figure(table: pd.DataFrame, value: str = "relative") -> Figure:
    """Load of each branch at each site, a heat map.

    table: of `condsim.study.routing.load`. value: relative (to the mean) or share.
    """
    sites = list(dict.fromkeys(table["site"]))
    cells = table.pivot(index="site", columns="branch", values=value)
    grid = cells.reindex(sites)
    branches = grid.shape[1]
    width = min(2.5 + 0.12 * branches, 16)
    height = min(1.6 + 0.18 * len(sites), 12)
    figure, axes = _empty(width, height)
    if value == "relative":
        label, colours, largest = "load / mean", "RdBu_r", 2
    else:
        label, colours, largest = "share of rows", "viridis", 1
    image = axes.imshow(
        grid.to_numpy(float),
        aspect="auto",
        interpolation="nearest",
        cmap=colours,
        vmin=0,
        vmax=largest,
    )
    axes.set(xlabel="branch", ylabel="site")
    font_size = 6 if len(sites) > 20 else 8
    axes.set_yticks(range(len(sites)), [figure_text(site) for site in sites], fontsize=font_size)
    figure.colorbar(image, label=label)
    return figure


def lines_figure(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    labels: tuple[str, str],
    log2: bool = False,
    level: pd.DataFrame | None = None,
) -> Figure:
    """One line a value of the column `by`. x, y: columns. labels: of the two axes.

    log2: whether x is on a log axis. level: rows with `by` and `y`, dashed lines to compare with.
    """
    figure, axes = _empty(6.4, 3.6)
    for number, (name, group) in enumerate(table.groupby(by, sort=False)):
        colour = f"C{number}"
        label = figure_text(name)
        axes.plot(
            group[x], group[y], marker="o", markersize=3, linewidth=1, label=label, color=colour
        )
        if level is not None:
            for value in level.loc[level[by] == name, y]:
                axes.axhline(value, linewidth=0.8, linestyle="--", color=colour)
    if log2:
        axes.set_xscale("log", base=2)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    if table[by].nunique() <= LEGEND_ENTRIES:
        axes.legend(frameon=False, fontsize=7)
    return figure


def timeline_figure(table: pd.DataFrame) -> Figure:
    """The kernels of a step on their lanes. table: rows of a prediction's timeline with a lane."""
    lanes = list(dict.fromkeys(table["lane"]))
    parts = list(dict.fromkeys(table["part"]))
    figure, axes = _empty(10.5, 1.2 + 0.6 * len(lanes))
    for row in table.to_dict("records"):
        lane = lanes.index(row["lane"])
        part = parts.index(row["part"])
        start_ms = row["start_s"] * 1e3
        duration_ms = row["duration_s"] * 1e3
        axes.barh(lane, duration_ms, left=start_ms, color=f"C{part}", height=0.7, linewidth=0)
    for number, name in enumerate(parts):
        axes.barh(0, 0, color=f"C{number}", label=figure_text(name))
    axes.set_yticks(range(len(lanes)), [figure_text(lane) for lane in lanes])
    axes.invert_yaxis()
    axes.set(xlabel="ms")
    corner = (1, 1.25)
    axes.legend(
        frameon=False, fontsize=8, ncols=len(parts), loc="upper right", bbox_to_anchor=corner
    )
    return figure


def pareto_figure(table: pd.DataFrame, x: str, y: str, labels: tuple[str, str]) -> Figure:
    """Every row as a point, those that no other row beats joined by a line.

    table: columns x, y, name, and front, true where no other row beats it. labels: of the axes.
    """
    figure, axes = _empty(7.2, 4.4)
    axes.scatter(table[x], table[y], 16, color="#8c8c8c")
    front = table[table["front"]].sort_values(x)
    axes.plot(front[x], front[y], marker="o", markersize=4, linewidth=1, color=COLOURS["total"])
    for row in front.to_dict("records"):
        point = (row[x], row[y])
        name = figure_text(row["name"])
        axes.annotate(name, point, (4, 4), textcoords="offset points", fontsize=7)
    axes.set(xscale="log", yscale="log", xlabel=labels[0], ylabel=labels[1])
    return figure


def breakeven_figure(points: pd.DataFrame, labels: tuple[str, str | None]) -> Figure:
    """A line with its interval over one axis, or a map of the speedup over two.

    points: rows of `condsim.study.breakeven.grid`. labels: of the axes; the second is None for a
    line.
    """
    simulated = points.dropna(subset=["speedup"])
    x_label, y_label = labels
    if y_label is None:
        return _breakeven_line(simulated, figure_text(x_label))
    return _breakeven_map(simulated, figure_text(x_label), figure_text(y_label))


def _breakeven_line(points: pd.DataFrame, x_label: str) -> Figure:
    figure, axes = _empty(7.2, 4.4)
    line = points.sort_values("x")
    axes.fill_between(line["x"], line["low"], line["high"], alpha=0.2)
    axes.plot(line["x"], line["speedup"], marker="o", markersize=4)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    axes.set(yscale="log", xlabel=x_label, ylabel="speedup")
    if (line["x"] > 0).all():
        axes.set_xscale("log")
    _mark_as_speedups(axes.yaxis)
    return figure


def _breakeven_map(points: pd.DataFrame, x_label: str, y_label: str) -> Figure:
    """A heat map of log2 of the speedup; a cell that is too close to call has a question mark."""
    figure, axes = _empty(7.2, 4.4)
    speedups = points.pivot(index="y", columns="x", values="speedup")
    verdicts = points.pivot(index="y", columns="x", values="verdict")
    largest = max(abs(math.log2(speedup)) for speedup in points["speedup"])
    limit = largest or 1.0
    image = axes.imshow(
        speedups.map(math.log2).to_numpy(float),
        aspect="auto",
        origin="lower",
        cmap="RdBu",
        vmin=-limit,
        vmax=limit,
    )
    cells = speedups.to_numpy(float)
    rows, columns = cells.shape
    for row in range(rows):
        for column in range(columns):
            speedup = float(cells[row, column])
            if not math.isnan(speedup):
                unsure = verdicts.iloc[row, column] == "too close to call"
                mark = "?" if unsure else ""
                text = f"{speedup:.2f}{mark}"
                is_dark = abs(math.log2(speedup)) > limit / 2
                colour = "white" if is_dark else "black"
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    x_ticks = [f"{x:g}" for x in speedups.columns.tolist()]
    y_ticks = [f"{y:g}" for y in speedups.index.tolist()]
    axes.set_xticks(range(columns), x_ticks)
    axes.set_yticks(range(rows), y_ticks)
    axes.set(xlabel=x_label, ylabel=y_label)
    figure.colorbar(image, label="log2 of the speedup; ?: too close to call")
    return figure


def serving_figure(serving: Serving) -> Figure:
    """How many requests are done by when, and how many wait, of every side."""
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(10.5, 4.2), layout="constrained")
    latency, queue = figure.subplots(1, 2)
    for name, side in serving.sides.items():
        shares = np.linspace(0, 1, SHARES_DRAWN)
        latency_s = np.quantile(side.latency_s, shares)
        latency.plot(latency_s * 1e3, shares * 100, label=figure_text(name))
        table = side.over_time
        spans = table.groupby(np.arange(len(table)) * SPANS_DRAWN // len(table)).mean()
        queue.step(spans["start_s"], spans["waiting"], where="post", label=figure_text(name))
    latency.set_xscale("log")
    _mark_in_halves(latency.xaxis)
    latency.set(xlabel="latency, ms", ylabel="% of requests answered")
    queue.set(xlabel="s", ylabel="requests that wait")
    for axes in (latency, queue):
        for side_of_axes in ("top", "right"):
            axes.spines[side_of_axes].set_visible(False)
    latency.legend(frameon=False, fontsize=8)
    rate = serving.requests.rate
    case = f"{serving.trace} · {serving.profile} · {rate:.3g} requests/s"
    latency.set_title(figure_text(case), fontsize=10, loc="left")
    return figure


def save_serving(serving: Serving, path: Path) -> Path:
    """Write `serving_figure` to a file, as `save_waterfall` does with its own."""
    return save_figure(serving_figure(serving), path)


def _empty(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with axes on the left and below only."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _mark_as_speedups(axis: Axis) -> None:
    """Mark a log axis with 1x, 2x, ..."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    round_values = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    axis.set_major_locator(LogLocator(base=10, subs=round_values))
    axis.set_major_formatter(FuncFormatter(_speedup_label))
    axis.set_minor_formatter(NullFormatter())


def _mark_in_halves(axis: Axis) -> None:
    """Mark a log axis with 1, 2, 5, 10, ..."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def _speedup_label(value: float, _position: int | None) -> str:
    return f"{value:g}x"


def save_waterfall(
    prediction: Prediction,
    path: Path,
    measured: Mapping[str, Any] | None = None,
    title: str = "",
) -> Path:
    """Write the waterfall to a file (.svg, .pdf or .png), whole or not at all.

    The same prediction gives the same bytes. A device or a pipe whose name says no kind gets SVG.
    Raises CondsimError where it cannot be written.
    """
    return save_figure(waterfall_figure(prediction, measured, title), path)


def save_figure(figure: Figure, path: Path) -> Path:
    kind = path.suffix.lower().removeprefix(".")
    if is_stream(path) and kind not in KINDS:
        kind = "svg"
    return write_whole(path, rendered(figure, kind))


def rendered(figure: Figure, kind: str) -> bytes:
    """A figure as the bytes of a file. kind: svg, pdf or png.

    The same figure gives the same bytes.
    """
    import matplotlib

    no_date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "condsim"}):
        figure.savefig(file, format=kind, dpi=150, metadata=no_date.get(kind, {}))
    return file.getvalue()
