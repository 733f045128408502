"""The speedup over one axis or two."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from condsim.dashboard.charts import elements

UNSURE = "too close to call"
"""The verdict of a point whose interval holds 1x."""
HEIGHT = 380


def line(points: pd.DataFrame, x_title: str) -> elements.Chart:
    """The speedup along one axis, with its interval; dashed: 1x.

    points: rows of `condsim.study.breakeven.grid` that have a speedup.
    """
    low = min(1.0, points["low"].min()) / 1.05
    high = max(1.0, points["high"].max()) * 1.05
    scale = elements.log_scale(low, high)
    axis = elements.times_axis(low, high)
    all_positive = (points["x"] > 0).all()
    x_scale = alt.Scale(type="log") if all_positive else alt.Scale()
    x = alt.X("x:Q", title=x_title, scale=x_scale)
    y = alt.Y("speedup:Q", scale=scale, title="speedup", axis=axis)
    tooltip = [alt.Tooltip("x:Q", title=x_title), *_tooltip_of_a_point()]

    base = alt.Chart(points)
    lower = alt.Y("low:Q", scale=scale)
    upper = alt.Y2("high:Q")
    interval = base.mark_area(opacity=0.2).encode(x=x, y=lower, y2=upper)
    speedup = base.mark_line(point=True).encode(x=x, y=y, tooltip=tooltip)
    dense = elements.level(1.0, scale)
    chart = alt.layer(interval, dense, speedup)
    return chart.properties(height=HEIGHT)


def heat_map(points: pd.DataFrame, x_title: str, y_title: str) -> elements.Chart:
    """The speedup over two axes. A point that is too close to call has a dashed frame and a "?".

    points: rows of `condsim.study.breakeven.grid` that have a speedup.
    """
    log2 = np.log2(points["speedup"])
    table = points.assign(log2=log2, label=_labels(points))
    largest = float(table["log2"].abs().max())
    limit = max(largest, 0.1)
    no_gap = alt.Scale(padding=0)
    upright = alt.Axis(labelAngle=0)
    x = alt.X("x:O", title=x_title, scale=no_gap, axis=upright)
    y = alt.Y("y:O", title=y_title, sort="descending", scale=no_gap)
    base = alt.Chart(table).encode(x=x, y=y)
    tooltip = [
        alt.Tooltip("x:Q", title=x_title),
        alt.Tooltip("y:Q", title=y_title),
        *_tooltip_of_a_point(),
    ]
    colour = _colour_of_speedup(limit)
    is_unsure = f"datum.verdict == '{UNSURE}'"
    frame = alt.condition(is_unsure, alt.value("black"), alt.value(None))
    cell = base.mark_rect(strokeDash=[3, 3], strokeWidth=2)
    cells = cell.encode(color=colour, stroke=frame, tooltip=tooltip)
    is_dark = f"abs(datum.log2) > {0.5 * limit}"
    readable = alt.condition(is_dark, alt.value("white"), alt.value("black"))
    labels = base.mark_text().encode(text=alt.Text("label:N"), color=readable)
    chart = alt.layer(cells, labels)
    return chart.properties(height=HEIGHT)


def _labels(points: pd.DataFrame) -> list[str]:
    """What a cell says: its speedup, with a "?" where that is too close to call."""
    labels = []
    for speedup, verdict in zip(points["speedup"], points["verdict"], strict=True):
        mark = "?" if verdict == UNSURE else ""
        labels.append(f"{speedup:.2f}{mark}")
    return labels


def _colour_of_speedup(limit: float) -> alt.Color:
    """Red below 1x, blue above. limit: |log2 of the speedup| that has the full colour."""
    scale = alt.Scale(scheme="redblue", domain=[-limit, limit], domainMid=0)
    times = "format(pow(2, datum.value), '.2~f') + 'x'"
    legend = alt.Legend(title="speedup", labelExpr=times)
    return alt.Color("log2:Q", scale=scale, legend=legend)


def _tooltip_of_a_point() -> list[alt.Tooltip]:
    numbers = elements.numbers(("speedup", "low", "high"), ".3f")
    verdict = elements.words("verdict")
    return [*numbers, *verdict]
