"""Figures for files, drawn by Matplotlib: the same numbers as in the terminal and the browser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from condsim.predict.waterfall import bars
from condsim.show.axes import empty_figure, mark_as_speedups, mark_in_halves
from condsim.show.escape import figure_text
from condsim.show.figure_files import save_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from condsim.predict.prediction import Prediction
    from condsim.serve.serving import Serving

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
    figure, axes = empty_figure(10.5, 4.2)
    for place, row in enumerate(rows.to_dict("records")):
        _draw_bar(axes, place, row)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    mark_as_speedups(axes.yaxis)
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
    figure, axes = empty_figure(width, height)
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
    figure, axes = empty_figure(6.4, 3.6)
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
    figure, axes = empty_figure(10.5, 1.2 + 0.6 * len(lanes))
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
    figure, axes = empty_figure(7.2, 4.4)
    axes.scatter(table[x], table[y], 16, color="#8c8c8c")
    front = table[table["front"]].sort_values(x)
    axes.plot(front[x], front[y], marker="o", markersize=4, linewidth=1, color=COLOURS["total"])
    for row in front.to_dict("records"):
        point = (row[x], row[y])
        name = figure_text(row["name"])
        axes.annotate(name, point, (4, 4), textcoords="offset points", fontsize=7)
    axes.set(xscale="log", yscale="log", xlabel=labels[0], ylabel=labels[1])
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
    mark_in_halves(latency.xaxis)
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
