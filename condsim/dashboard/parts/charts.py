"""Altair charts for the browser. Each takes the table that its picture in `condsim.plots` and its CSV are made of."""

from __future__ import annotations

import altair as alt
import pandas as pd

from condsim.plots import COLOURS

SPEEDUP = "speedup (log axis)"


def _colours(kinds: list[str]) -> alt.Color:
    return alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[COLOURS[k] for k in kinds]), legend=None)


def waterfall(bars: pd.DataFrame, baseline: str, height: int = 380) -> alt.LayerChart | alt.FacetChart:
    """Bars of `condsim.waterfall.bars` on a log axis; dashed: the dense baseline."""
    table = bars.assign(top=bars[["start", "end", "high"]].max(axis=1))
    values = [1.0, *bars[["start", "end", "low", "high"]].stack()]
    scale = alt.Scale(type="log", domain=[min(values) / 1.12, max(values) * 1.25], nice=False)
    x = alt.X("effect:N", sort=None, title=None, axis=alt.Axis(labelAngle=-30, labelOverlap=False, labelLimit=120))
    y = alt.Y("start:Q", scale=scale, title=f"speedup over {baseline}", axis=alt.Axis(values=ticks(min(values), max(values)), labelExpr="datum.label + 'x'"))
    tooltip = [alt.Tooltip("effect:N"), alt.Tooltip("label:N", title="factor"), alt.Tooltip("end:Q", title="speedup after", format=".4g"), "meaning:N"]
    base = alt.Chart(table)
    drawn = base.mark_bar(minBandSize=2).encode(x=x, y=y, y2="end:Q", color=_colours(list(COLOURS)), tooltip=tooltip)
    text = base.mark_text(dy=-8, color="gray").encode(x=x, y=alt.Y("top:Q", scale=scale), text="label:N")
    dense = alt.Chart(pd.DataFrame({"y": [1.0]})).mark_rule(strokeDash=[4, 4], color="gray").encode(y=alt.Y("y:Q", scale=scale))
    interval = base.transform_filter("isValid(datum.low)").mark_rule(color="gray", strokeWidth=2).encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q")
    return alt.layer(drawn, interval, text, dense).properties(height=height)


def ticks(low: float, high: float) -> list[float]:
    """Round values of a log axis between two values, few enough to read."""
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**e for e in range(-9, 10) for m in steps if low / 1.12 <= m * 10.0**e <= high * 1.25]
        if len(found) <= 8:
            break
    return found
