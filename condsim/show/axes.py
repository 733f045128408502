"""Axes of figures: where they stand, and how log axes are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure


def empty_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with axes on the left and below only."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def mark_as_speedups(axis: Axis) -> None:
    """Mark a log axis with 1x, 2x, ..."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    round_values = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    axis.set_major_locator(LogLocator(base=10, subs=round_values))
    axis.set_major_formatter(FuncFormatter(_speedup_label))
    axis.set_minor_formatter(NullFormatter())


def mark_in_halves(axis: Axis) -> None:
    """Mark a log axis with 1, 2, 5, 10, ..."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def _speedup_label(value: float, _position: int | None) -> str:
    return f"{value:g}x"
