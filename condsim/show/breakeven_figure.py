"""The figure of a break-even: a line over one axis, or a map over two."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from condsim.show.axes import empty_figure, mark_as_speedups
from condsim.show.escape import figure_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


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
    figure, axes = empty_figure(7.2, 4.4)
    line = points.sort_values("x")
    axes.fill_between(line["x"], line["low"], line["high"], alpha=0.2)
    axes.plot(line["x"], line["speedup"], marker="o", markersize=4)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    axes.set(yscale="log", xlabel=x_label, ylabel="speedup")
    if (line["x"] > 0).all():
        axes.set_xscale("log")
    mark_as_speedups(axes.yaxis)
    return figure


def _breakeven_map(points: pd.DataFrame, x_label: str, y_label: str) -> Figure:
    """A heat map of log2 of the speedup; a cell that is too close to call has a question mark."""
    figure, axes = empty_figure(7.2, 4.4)
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
