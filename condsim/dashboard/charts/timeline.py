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
    tooltip = [
        *elements.words("operator", "module", "guard", "part", "basis"),
        alt.Tooltip("duration_us:Q", title="µs", format=".2f"),
    ]
    slices = alt.Chart(table).mark_bar(strokeWidth=0)
    encoded = slices.encode(
        x=alt.X("start_ms:Q", title="ms"),
        x2=alt.X2("end_ms:Q"),
        y=alt.Y("lane:N", sort=None, title=None, axis=alt.Axis(labelLimit=200)),
        color=alt.Color("part:N", title=None, legend=alt.Legend(orient="top")),
        tooltip=tooltip,
    )
    zoom = alt.selection_interval(bind="scales", encodings=["x"])
    chart: elements.Chart = encoded.add_params(zoom).properties(height=300)
    return chart
