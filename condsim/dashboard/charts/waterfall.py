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
    lowest, highest = _range_of(both)
    scale = elements.log_scale(lowest / 1.12, highest * 1.25)
    axis = elements.times_axis(lowest, highest)
    x = _effects()
    start = alt.Y("start:Q", scale=scale, title=f"speedup over {baseline}", axis=axis)
    end = alt.Y2("end:Q")
    top = alt.Y("top:Q", scale=scale)
    low = alt.Y("low:Q", scale=scale)
    high = alt.Y2("high:Q")

    highest_of_bar = bars[["start", "end", "high"]].max(axis=1)
    base = alt.Chart(bars.assign(top=highest_of_bar))
    bar = base.mark_bar(minBandSize=2)
    drawn = bar.encode(x=x, y=start, y2=end, color=_colour_of_kind(), tooltip=_tooltip())
    has_interval = base.transform_filter("isValid(datum.low)")
    rule = has_interval.mark_rule(color="gray", strokeWidth=2)
    interval = rule.encode(x=x, y=low, y2=high)
    text = base.mark_text(dy=-8, color="gray")
    label = text.encode(x=x, y=top, text=alt.Text("label:N"))
    dense = elements.level(1.0, scale)
    layers = alt.layer(drawn, interval, label, dense)
    return layers.properties(height=height)


def _range_of(bars: pd.DataFrame) -> tuple[float, float]:
    """The smallest and the largest speedup that is drawn, 1x among them."""
    ends = bars[["start", "end", "low", "high"]].to_numpy(float)
    known = ends[np.isfinite(ends)].tolist()
    values = [1.0, *known]
    return min(values), max(values)


def _effects() -> alt.X:
    """Effects from left to right, in the order of the table."""
    axis = alt.Axis(labelAngle=-30, labelOverlap=False, labelLimit=120, labelExpr=elements.SPOKEN)
    return alt.X("effect:N", sort=None, title=None, axis=axis)


def _colour_of_kind() -> alt.Color:
    kinds = list(COLOURS)
    colours = list(COLOURS.values())
    scale = alt.Scale(domain=kinds, range=colours)
    return alt.Color("kind:N", scale=scale, legend=None)


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("effect:N"),
        alt.Tooltip("label:N", title="factor"),
        alt.Tooltip("end:Q", title="speedup after", format=".4g"),
        alt.Tooltip("meaning:N"),
    ]
