"""What several charts are made of."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import numpy as np
import pandas as pd

Chart = alt.Chart | alt.LayerChart | alt.FacetChart
TIMES = "datum.label + 'x'"
"""Vega expression of a speedup as the label of an axis: 2x."""
SPOKEN = "replace(datum.label, '_', ' ')"
"""Vega expression of an identifier as the label of an axis."""
MOST_TICKS = 8
"""Labels of an axis that can be read."""
ALIKE = 1.001
"""Times that a value is at most another one, to be the same on an axis."""


def words(*columns: str) -> list[alt.Tooltip]:
    """Columns of a tooltip that are words."""
    return [alt.Tooltip(f"{column}:N") for column in columns]


def numbers(columns: Iterable[str], form: str) -> list[alt.Tooltip]:
    """Columns of a tooltip that are numbers. form: of d3-format."""
    return [alt.Tooltip(f"{column}:Q", format=form) for column in columns]


def level(value: float, scale: alt.Scale | None = None) -> alt.Chart:
    """A dashed line across a chart at one value of y. scale: of the chart's y axis."""
    table = pd.DataFrame({"y": [value]})
    y = alt.Y("y:Q") if scale is None else alt.Y("y:Q", scale=scale)
    rule = alt.Chart(table).mark_rule(strokeDash=[4, 4], color="gray")
    line: alt.Chart = rule.encode(y=y)
    return line


def log_scale(low: float, high: float) -> alt.Scale:
    """A log scale from exactly `low` to exactly `high`."""
    return alt.Scale(type="log", domain=[low, high], nice=False)


def times_axis(low: float, high: float) -> alt.Axis:
    """An axis of speedups, with round labels."""
    return alt.Axis(values=ticks(low, high), labelExpr=TIMES, grid=True)


def ticks(low: float, high: float) -> list[float]:
    """Round values of a log axis between two values: few enough to read, and two at least where
    they are not all but the same."""
    for digits in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        values = _multiples_of_powers(digits)
        inside = [v for v in values if low / 1.12 <= v <= high * 1.25]
        if len(inside) <= MOST_TICKS:
            break
    between = [value for value in inside if low <= value <= high]
    if len(between) > 1 or high < low * ALIKE:
        return inside
    return _even_steps(low, high)


def _even_steps(low: float, high: float) -> list[float]:
    """Round values in even steps between two values that are near each other."""
    rough = (high - low) / 4
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * max(digit for digit in (1, 2, 5) if digit * power <= rough)
    first = np.ceil(low / step)
    last = np.floor(high / step)
    values = np.arange(first, last + 1) * step
    return [float(f"{value:.6g}") for value in values]


def _multiples_of_powers(digits: tuple[float, ...]) -> list[float]:
    """Each digit times each power of ten, ascending."""
    powers = [10.0**exponent for exponent in range(-9, 10)]
    return [digit * power for power in powers for digit in digits]
