"""A speedup over each dense model, on one axis that is split where it starts to pay."""

from __future__ import annotations

import altair as alt
import pandas as pd

from condsim.dashboard.charts import elements
from condsim.dashboard.charts.decisions import GAIN, LOSS

STEP = 34
"""Pixels of a row."""
WIDER = 1.25
"""So much the axis goes on beyond the outermost value."""
COLOUR = alt.condition("datum.speedup < 1", alt.value(LOSS), alt.value(GAIN))


def against(table: pd.DataFrame, beside: pd.DataFrame | None = None) -> elements.Chart:
    """A point a row with its interval; left of 1x it does not pay. table: of
    `condsim.decide.against`. beside: another one that is to have the same axis."""
    both = pd.concat([table, beside])
    values = pd.concat([both["speedup"], both["low"], both["high"]]).dropna()
    low = min(float(values.min()), 0.8) / WIDER
    high = max(float(values.max()), 1.25) * WIDER
    scale = elements.log_scale(low, high)
    axis = elements.times_axis(low, high)
    place = alt.Y("against:N", sort=None, title=None, axis=alt.Axis(labelLimit=230))
    along = alt.X("speedup:Q", title="speedup: left of 1x it does not pay", scale=scale, axis=axis)
    tooltip = [
        *elements.words("against", "basis"),
        *elements.numbers(["speedup", "low", "high"], ".3g"),
    ]
    base = alt.Chart(table).encode(y=place, tooltip=tooltip)
    rule = base.mark_rule(strokeWidth=3, opacity=0.55).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q", color=COLOUR
    )
    point = base.mark_point(size=130, filled=True, opacity=1).encode(x=along, color=COLOUR)
    label = base.mark_text(dy=-13, fontSize=12).encode(
        x=along, text=alt.Text("speedup:Q", format=".2f"), color=COLOUR
    )
    zones = _zones(low, high, scale)
    return alt.layer(zones, rule, point, label).properties(height=alt.Step(STEP))


def _zones(low: float, high: float, scale: alt.Scale) -> alt.Chart:
    """What lies left of 1x in red, what lies right of it in green."""
    table = pd.DataFrame({"from": [low, 1.0], "to": [1.0, high], "pays": [LOSS, GAIN]})
    drawn = alt.Chart(table).mark_rect(opacity=0.07)
    zones: alt.Chart = drawn.encode(
        x=alt.X("from:Q", scale=scale), x2="to:Q", color=alt.Color("pays:N", scale=None)
    )
    return zones
