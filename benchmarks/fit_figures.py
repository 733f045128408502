"""Draws the figures of `benchmarks.fits`: what was measured beside what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from condsim.show.figure_files import rendered

Point = dict[str, Any]
"""group, x, predicted, measured: what an effect costs at x, in the unit of its axis."""
COLOURS = (
    "#4c8bd6",
    "#e08030",
    "#3ca35c",
    "#d05060",
    "#9070d0",
    "#a07850",
    "#d070b0",
    "#40a0a8",
    "#909020",
)
GREY = "#808080"  # reads on white and on black


@dataclass(frozen=True)
class Chart:
    """Labels of the axes, and what x and seconds are multiplied by.

    ratio: whether predicted / measured is drawn, instead of both.
    """

    x_label: str
    y_label: str
    x_scale: float = 1.0
    y_scale: float = 1.0
    ratio: bool = False


def draw(chart: Chart, points: Sequence[Point], title: str) -> bytes:
    """The SVG of a chart: dots are measured, lines predicted; of operators dots are the ratio."""
    matplotlib.rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    groups = dict.fromkeys(p["group"] for p in points)
    for colour, group in zip(COLOURS, groups, strict=False):
        of_group = sorted((p for p in points if p["group"] == group), key=lambda p: p["x"])
        if chart.ratio:
            _draw_ratios(axes, chart, of_group, colour)
        else:
            _draw_measured(axes, chart, of_group, colour)
            _draw_predicted(axes, chart, of_group, colour)
    if chart.ratio:
        _ratio_axes(axes)
    else:
        lowest = min(p["measured"] * chart.y_scale for p in points)
        axes.set_ylim(bottom=min(0.0, lowest))
    _decorate(axes, chart, title)
    figure.patch.set_alpha(0.0)
    return rendered(figure, "svg")


def _draw_ratios(axes: Axes, chart: Chart, points: Sequence[Point], colour: str) -> None:
    x = [p["x"] * chart.x_scale for p in points]
    y = [p["predicted"] / p["measured"] for p in points]
    axes.scatter(x, y, 14, color=colour, label=points[0]["group"], linewidths=0)


def _draw_measured(axes: Axes, chart: Chart, points: Sequence[Point], colour: str) -> None:
    x = [p["x"] * chart.x_scale for p in points]
    y = [p["measured"] * chart.y_scale for p in points]
    axes.scatter(x, y, 14, color=colour, label=points[0]["group"], linewidths=0)


def _draw_predicted(axes: Axes, chart: Chart, points: Sequence[Point], colour: str) -> None:
    """A line through the predictions, their mean where there are several at one x."""
    at_x: dict[float, list[float]] = {}
    for p in points:
        at_x.setdefault(p["x"] * chart.x_scale, []).append(p["predicted"])
    y = [float(np.mean(predicted)) * chart.y_scale for predicted in at_x.values()]
    axes.plot(list(at_x), y, color=colour, linewidth=1.2, alpha=0.8)


def _ratio_axes(axes: Axes) -> None:
    axes.axhspan(0.9, 1.1, color=GREY, alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_yticks([0.5, 0.7, 0.9, 1.1, 1.5, 2.0], ["0.5", "0.7", "0.9", "1.1", "1.5", "2"])
    axes.set_yticks([], minor=True)
    axes.set_ylim(0.45, 2.2)


def _decorate(axes: Axes, chart: Chart, title: str) -> None:
    axes.set_xlabel(chart.x_label, color=GREY)
    axes.set_ylabel(chart.y_label, color=GREY)
    axes.set_title(title, fontsize=8, color=GREY, loc="left")
    axes.tick_params(colors=GREY, which="both", labelsize=8)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(GREY)
    legend = axes.legend(frameon=False, fontsize=7, ncols=2 if chart.ratio else 1)
    for text in legend.get_texts():
        text.set_color(GREY)
    axes.patch.set_alpha(0.0)
