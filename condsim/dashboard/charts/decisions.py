"""Charts of advice, sweeps, coverage and drift."""

from __future__ import annotations

import altair as alt
import pandas as pd

from condsim.dashboard.charts import elements

GAIN, LOSS, PLAIN = "#55a868", "#c44e52", "#4c72b0"
BAR = 22
"""Pixels of a bar."""
LABEL = 150
"""Pixels of the longest label beside a bar: half a narrow page has room for bars, too. What is cut
off stands in the tooltip, and in the table below."""
DOUBLES = ("batch", "context")
MOST_LINES = 12


def bars(table: pd.DataFrame, name: str, value: str, title: str) -> elements.Chart:
    """A bar a row. name, value: columns. title: of the values."""
    places = alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(labelLimit=LABEL))
    tooltip = [*elements.words(name), *elements.numbers([value], ".4g")]
    drawn = alt.Chart(table).mark_bar(color=PLAIN)
    chart: elements.Chart = drawn.encode(
        x=alt.X(f"{value}:Q", title=title), y=places, tooltip=tooltip
    )
    return chart.properties(height=alt.Step(BAR))


def signed_bars(table: pd.DataFrame, name: str, value: str, title: str) -> elements.Chart:
    """A bar a row, green above 0 and red below. name, value: columns. title: of the values."""
    colour = alt.condition(f"datum['{value}'] < 0", alt.value(LOSS), alt.value(GAIN))
    places = alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(labelLimit=LABEL))
    drawn = alt.Chart(table).mark_bar()
    tooltip = [*elements.words(name), *elements.numbers([value], ".4g")]
    chart: elements.Chart = drawn.encode(
        x=alt.X(f"{value}:Q", title=title), y=places, color=colour, tooltip=tooltip
    )
    return chart.properties(height=alt.Step(BAR))


def ranges(table: pd.DataFrame, x: str, by: str | None) -> elements.Chart:
    """Speedups with their intervals along an axis.

    table: rows of a sweep that have a prediction. x: a column of numbers. by: of the lines, None
    for one.
    """
    doubles = x in DOUBLES or "." in x
    scale = alt.Scale(type="log", base=2) if doubles else alt.Scale()
    along = alt.X(f"{x.replace('.', BACKSLASH_DOT)}:Q", title=x, scale=scale)
    low, high = float(table["low"].min()), float(table["high"].max())
    axis = elements.times_axis(low, high)
    y_scale = elements.log_scale(min(low, 0.95), max(high, 1.05))
    speedup = alt.Y("speedup:Q", title="speedup", scale=y_scale, axis=axis)
    shown = [name for name in ("device", "strategy", "batch", "verdict") if name in table]
    tooltip = [*elements.words(*shown), *elements.numbers(["speedup", "low", "high"], ".3g")]
    base = alt.Chart(table).encode(x=along, tooltip=tooltip)
    if by is not None:
        legend = alt.Legend(orient="top", columns=4, labelLimit=220)
        base = base.encode(color=alt.Color(f"{by}:N", title=None, sort=None, legend=legend))
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", scale=y_scale), y2="high:Q")
    line = base.mark_line(point=True).encode(y=speedup)
    return alt.layer(band, line, elements.level(1.0, y_scale)).properties(height=360)


BACKSLASH_DOT = "\\."
"""A point in the name of a column, which Vega-Lite takes for a field of a field."""


def pairs(table: pd.DataFrame, name: str, value: str, beside: str, title: str) -> elements.Chart:
    """A bar a row and a tick beside it: what is, and what would be by chance.

    name, value, beside: columns. title: of the values.
    """
    places = alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(labelLimit=LABEL))
    tooltip = [*elements.words(name), *elements.numbers([value, beside], ".3g")]
    base = alt.Chart(table).encode(y=places, tooltip=tooltip)
    x = alt.X(f"{value}:Q", title=title, axis=alt.Axis(format="%"))
    drawn = base.mark_bar(color=PLAIN).encode(x=x)
    ticks = base.mark_tick(color="#dd8452", thickness=3, height=BAR - 4).encode(x=f"{beside}:Q")
    return alt.layer(drawn, ticks).properties(height=alt.Step(BAR))


def costs(table: pd.DataFrame) -> elements.Chart:
    """How many inputs cost how much. table: milliseconds (the middle of a bin), inputs."""
    x = alt.X("milliseconds:Q", title="milliseconds of an input alone", scale=alt.Scale(zero=False))
    tooltip = elements.numbers(["milliseconds", "inputs"], ".4g")
    drawn = alt.Chart(table).mark_bar(color=PLAIN, size=14)
    chart: elements.Chart = drawn.encode(x=x, y=alt.Y("inputs:Q", title="inputs"), tooltip=tooltip)
    return chart.properties(height=220)
