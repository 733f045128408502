"""Latencies and queues of a served model."""

from __future__ import annotations

import altair as alt
import pandas as pd

from condsim.dashboard.charts import elements

SIDE = alt.Color("side:N", title=None, legend=alt.Legend(orient="top"), sort=None)


def latencies(table: pd.DataFrame) -> elements.Chart:
    """The share of requests that are answered within a time. table: side, latency_ms, percent."""
    latency = alt.X("latency_ms:Q", title="latency, ms", scale=alt.Scale(type="log", nice=False))
    percent = alt.Y("percent:Q", title="% of requests answered")
    tooltip = [*elements.words("side"), *elements.numbers(["latency_ms", "percent"], ".4g")]
    lines = alt.Chart(table).mark_line()
    chart: elements.Chart = lines.encode(x=latency, y=percent, color=SIDE, tooltip=tooltip)
    return chart.properties(height=300)


def queues(table: pd.DataFrame) -> elements.Chart:
    """How many requests wait, over time. table: side, start_s, waiting."""
    start = alt.X("start_s:Q", title="s")
    waiting = alt.Y("waiting:Q", title="requests that wait")
    tooltip = [*elements.words("side"), *elements.numbers(["start_s", "waiting"], ".4g")]
    lines = alt.Chart(table).mark_line(interpolate="step-after")
    chart: elements.Chart = lines.encode(x=start, y=waiting, color=SIDE, tooltip=tooltip)
    return chart.properties(height=300)
