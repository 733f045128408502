"""Kernels in time."""

from __future__ import annotations

import altair as alt
import pandas as pd

from condsim.dashboard.charts import elements

MOST_SLICES = 2000
"""How many slices of a timeline a browser is given."""


def timeline(table: pd.DataFrame) -> elements.Chart:
    """Slices on lanes; scrolling zooms, dragging moves.

    table: start_ms, end_ms, duration_us, lane, part, operator, module, guard, basis.
    """
    start = alt.X("start_ms:Q", title="ms")
    end = alt.X2("end_ms:Q")
    lane_axis = alt.Axis(labelLimit=200)
    lane = alt.Y("lane:N", sort=None, title=None, axis=lane_axis)
    legend = alt.Legend(orient="top")
    part = alt.Color("part:N", title=None, legend=legend)
    words = elements.words("operator", "module", "guard", "part", "basis")
    duration = alt.Tooltip("duration_us:Q", title="µs", format=".2f")
    tooltip = [*words, duration]

    slices = alt.Chart(table).mark_bar(strokeWidth=0)
    placed = slices.encode(x=start, x2=end, y=lane, color=part, tooltip=tooltip)
    zoom = alt.selection_interval(bind="scales", encodings=["x"])
    zoomable = placed.add_params(zoom)
    chart: elements.Chart = zoomable.properties(height=300)
    return chart
