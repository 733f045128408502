"""What fills the memory: a bar a side, cut into parts."""

from __future__ import annotations

import altair as alt
import pandas as pd

from condsim.dashboard.charts import elements

STEP = 56
"""Pixels of a bar."""
BYTES = alt.Axis(labelExpr="format(datum.value, '~s') + 'B'")


def memory(table: pd.DataFrame, device_bytes: float | None) -> elements.Chart:
    """Bars of bytes. table: side, part, bytes, place (order of the parts). device_bytes: where a
    dashed line stands; None where it is far to the right of the bars."""
    order = list(dict.fromkeys(table["part"]))
    legend = alt.Legend(orient="top", title=None, columns=4, labelLimit=220)
    place = alt.Y("side:N", sort=None, title=None)
    along = alt.X("bytes:Q", title="bytes at the peak of a step", axis=BYTES, stack="zero")
    tooltip = [*elements.words("side", "part"), *elements.numbers(["bytes"], ".4s")]
    drawn = alt.Chart(table).mark_bar(stroke="white", strokeWidth=0.5)
    bars = drawn.encode(
        x=along,
        y=place,
        color=alt.Color("part:N", sort=order, legend=legend),
        order=alt.Order("place:Q"),
        tooltip=tooltip,
    )
    layers = [bars]
    if device_bytes is not None:
        there = pd.DataFrame({"bytes": [device_bytes], "what": ["the device's memory"]})
        rule = alt.Chart(there).mark_rule(strokeDash=[4, 4], strokeWidth=2, color="#c44e52")
        layers.append(rule.encode(x="bytes:Q", tooltip=elements.words("what")))
    return alt.layer(*layers).properties(height=alt.Step(STEP))
