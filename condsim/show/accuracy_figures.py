"""Figures of predictions beside measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from condsim.show.axes import empty_figure, mark_as_speedups
from condsim.show.escape import figure_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def accuracy_figure(table: pd.DataFrame, by: str = "mechanism", band: float = 0.1) -> Figure:
    """Predicted against measured speedup on log axes.

    table: of `condsim.compare`; a case that was measured on another machine than the profile's is
    drawn hollow. by: the column that colours. band: the |error| of the grey band.
    """
    figure, axes = empty_figure(5.6, 5.2)
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
    mark_as_speedups(axes.xaxis)
    mark_as_speedups(axes.yaxis)
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
    figure, axes = empty_figure(5.6, 5.2)
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
    figure, axes = empty_figure(6.4, 3.6)
    for name, group in table.groupby(by):
        axes.scatter(group["batch"], group["error"] * 100, 18, label=figure_text(name))
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set(xlabel=x, ylabel="predicted / measured - 1 (%)")
    axes.legend(frameon=False, fontsize=8)
    return figure
