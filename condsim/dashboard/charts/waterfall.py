"""The waterfall of a speedup, as it is drawn in the browser."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from condsim.dashboard.charts import elements
from condsim.show.plots import COLOURS


def waterfall(
    bars: pd.DataFrame, baseline: str, height: int = 380, beside: pd.DataFrame | None = None
) -> elements.Chart:
    """Bars on a log axis; dashed: the dense baseline.

    bars: of `condsim.predict.waterfall.bars`. baseline: its name. beside: bars of another
    waterfall that is to have the same axis.
    """
    both = pd.concat([bars, beside])
    ends = both[["start", "end", "low", "high"]].to_numpy(float)
    values = [1.0, *ends[np.isfinite(ends)].tolist()]
    lowest, highest = min(values), max(values)
    scale = elements.log_scale(lowest / 1.12, highest * 1.25)
    x = _effects()
    y = alt.Y(
        "start:Q",
        scale=scale,
        title=f"speedup over {baseline}",
        axis=elements.times_axis(lowest, highest),
    )

    table = bars.assign(top=bars[["start", "end", "high"]].max(axis=1))
    base = alt.Chart(table)
    drawn = base.mark_bar(minBandSize=2).encode(
        x=x, y=y, y2=alt.Y2("end:Q"), color=_colour_of_kind(), tooltip=_tooltip()
    )
    low = alt.Y("low:Q", scale=scale)
    known = base.transform_filter("isValid(datum.low)")
    interval = known.mark_rule(color="gray", strokeWidth=2).encode(x=x, y=low, y2=alt.Y2("high:Q"))
    top = alt.Y("top:Q", scale=scale)
    text = base.mark_text(dy=-8, color="gray").encode(x=x, y=top, text=alt.Text("label:N"))
    dense = elements.level(1.0, scale)
    return alt.layer(drawn, interval, text, dense).properties(height=height)


def _effects() -> alt.X:
    """Effects from left to right, in the order of the table."""
    axis = alt.Axis(labelAngle=-30, labelOverlap=False, labelLimit=120, labelExpr=elements.SPOKEN)
    return alt.X("effect:N", sort=None, title=None, axis=axis)


def _colour_of_kind() -> alt.Color:
    scale = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    return alt.Color("kind:N", scale=scale, legend=None)


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("effect:N"),
        alt.Tooltip("label:N", title="factor"),
        alt.Tooltip("end:Q", title="speedup after", format=".4g"),
        alt.Tooltip("meaning:N"),
    ]
