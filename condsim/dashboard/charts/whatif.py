"""What the speedup becomes with half and with twice as much of each number of a device."""

from __future__ import annotations

import altair as alt
import pandas as pd

from condsim.dashboard.charts import elements
from condsim.dashboard.charts.decisions import GAIN, LOSS, PLAIN

STEP = 26
"""Pixels of a row."""
WIDER = 1.06


def moves(table: pd.DataFrame, now: float) -> elements.Chart:
    """A line a number between the two speedups. table: of `condsim.decide.knobs.moves`. now: the
    speedup as it is, where a dashed line stands."""
    low = min(float(table["speedup"].min()), now) / WIDER
    high = max(float(table["speedup"].max()), now) * WIDER
    scale = elements.log_scale(low, high)
    axis = elements.times_axis(low, high)
    place = alt.Y("number:N", sort=None, title=None, axis=alt.Axis(labelLimit=230))
    along = alt.X("speedup:Q", title="speedup", scale=scale, axis=axis)
    ends = table.pivot_table("speedup", "number", "factor", sort=False).reset_index()
    ends.columns = ["number", "half", "twice"]
    rule = alt.Chart(ends).mark_rule(strokeWidth=4, opacity=0.4, color=PLAIN)
    lines = rule.encode(y=place, x=alt.X("half:Q", scale=scale), x2="twice:Q")
    with_words = table.assign(amount=table["factor"].map({0.5: "half", 2.0: "twice"}))
    colours = alt.Scale(domain=["half", "twice"], range=[LOSS, GAIN])
    legend = alt.Legend(orient="top", title=None)
    points = alt.Chart(with_words).mark_point(size=90, filled=True, opacity=1)
    tooltip = [
        *elements.words("number", "amount"),
        *elements.numbers(["speedup", "low", "high"], ".3g"),
    ]
    dots = points.encode(
        y=place,
        x=along,
        color=alt.Color("amount:N", scale=colours, legend=legend),
        shape=alt.Shape("amount:N", legend=legend),
        tooltip=tooltip,
    )
    here = pd.DataFrame({"x": [now]})
    mark = alt.Chart(here).mark_rule(strokeDash=[4, 4], color="gray")
    line = mark.encode(x=alt.X("x:Q", scale=scale))
    return alt.layer(line, lines, dots).properties(height=alt.Step(STEP))
