"""Predicted against measured."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt
import pandas as pd

from condsim.dashboard.charts import elements

BAND = 0.1
"""Relative width of the shaded band, on either side of the identity."""
HEIGHT = 420
RIVALS = ["roofline", "hot_sum", "flop_ratio"]
"""Columns of `condsim.compare` that no chart shows: a browser is not given them."""


@dataclass(frozen=True)
class Axes:
    """Measured across, predicted up, both on the same log scale.

    measured, predicted: columns. quantity: with its comma or space, as it stands in a title after
    "measured". ends: of the scale. axis: how both are drawn.
    """

    measured: str
    predicted: str
    quantity: str
    ends: tuple[float, float]
    axis: alt.Axis

    @property
    def scale(self) -> alt.Scale:
        """Of both axes."""
        return elements.log_scale(*self.ends)

    @property
    def x(self) -> alt.X:
        """The measured column."""
        title = f"measured{self.quantity}"
        return alt.X(f"{self.measured}:Q", scale=self.scale, title=title, axis=self.axis)

    @property
    def y(self) -> alt.Y:
        """The predicted column."""
        title = f"predicted{self.quantity}"
        return alt.Y(f"{self.predicted}:Q", scale=self.scale, title=title, axis=self.axis)

    def identity_and_band(self) -> list[elements.Chart]:
        """[a shaded band around the identity, the identity]."""
        columns = {
            self.measured: self.ends,
            self.predicted: self.ends,
            "low": [end * (1 - BAND) for end in self.ends],
            "high": [end * (1 + BAND) for end in self.ends],
        }
        base = alt.Chart(pd.DataFrame(columns))
        low = alt.Y("low:Q", scale=self.scale)
        high = alt.Y2("high:Q")
        area = base.mark_area(opacity=0.12, color="gray", clip=True)
        band = area.encode(x=self.x, y=low, y2=high)
        line = base.mark_line(color="gray", strokeWidth=1, clip=True)
        identity = line.encode(x=self.x, y=self.y)
        return [band, identity]


def speedups(table: pd.DataFrame, by: str) -> elements.Chart:
    """Predicted against measured speedup, with the identity and a band.

    table: of `condsim.compare`. by: the column that gives the colour. Hollow points were measured
    on another machine than the profile's.
    """
    low = min(table["measured_speedup"].min(), table["low"].min()) / 1.1
    high = max(table["measured_speedup"].max(), table["high"].max()) * 1.1
    axis = elements.times_axis(low, high)
    axes = Axes("measured_speedup", "predicted_speedup", " speedup", (low, high), axis)
    colour = _colour(by, legend_columns=3)

    shown = table.drop(columns=RIVALS, errors="ignore")
    base = alt.Chart(shown)
    lower = alt.Y("low:Q", scale=axes.scale)
    upper = alt.Y2("high:Q")
    rule = base.mark_rule(opacity=0.35, clip=True)
    interval = rule.encode(x=axes.x, y=lower, y2=upper, color=colour)
    tooltip = [
        *elements.words("trace", "strategy", "batch", "baseline", "phase", "profile"),
        *elements.numbers(("predicted_speedup", "measured_speedup", "low", "high"), ".3g"),
        *elements.numbers(("error",), "+.1%"),
    ]
    opaque, hollow = alt.value(1.0), alt.value(0.0)
    filled = alt.condition("datum.same_machine", opaque, hollow)
    points = base.mark_point(filled=True, size=45, clip=True)
    cases = points.encode(
        x=axes.x, y=axes.y, color=colour, fillOpacity=filled, stroke=colour, tooltip=tooltip
    )
    chart = alt.layer(*axes.identity_and_band(), interval, cases)
    return chart.properties(height=HEIGHT)


def seconds(table: pd.DataFrame, by: str) -> elements.Chart:
    """Predicted against measured seconds, with the identity and a band.

    table: predicted_s, measured_s, and what else a tooltip says. by: the column that gives the
    colour.
    """
    values = table[["predicted_s", "measured_s"]].to_numpy()
    ends = (values.min() / 1.1, values.max() * 1.1)
    axis = alt.Axis(format="~s", tickCount=5)
    axes = Axes("measured_s", "predicted_s", ", s", ends, axis)
    tooltip = [
        *elements.words("profile", "engine", "shape", "tp", "ep", "routing"),
        alt.Tooltip("batch:Q", title="tokens"),
        *elements.numbers(("predicted_s", "measured_s"), ".3s"),
        *elements.numbers(("error",), "+.1%"),
    ]
    colour = _colour(by, legend_columns=2)
    points = alt.Chart(table).mark_point(filled=True, size=30, clip=True)
    layers = points.encode(x=axes.x, y=axes.y, color=colour, tooltip=tooltip)
    chart = alt.layer(*axes.identity_and_band(), layers)
    return chart.properties(height=HEIGHT)


def residuals(table: pd.DataFrame, by: str, rows: str = "batch") -> elements.Chart:
    """Error of each prediction against batch.

    table: batch, error and the column `by`. rows: what the batch counts, the title of its axis.
    Colours are those of the chart that stands beside it, which has their legend.
    """
    doubling = alt.Scale(type="log", base=2)
    signed_percent = alt.Axis(format="+.0%")
    x = alt.X("batch:Q", scale=doubling, title=rows)
    y = alt.Y("error:Q", axis=signed_percent, title="predicted / measured - 1")
    columns = dict.fromkeys((by, "trace", "strategy", "baseline", "shape"))
    shown = [column for column in columns if column in table]
    tooltip = [
        *elements.words(*shown),
        alt.Tooltip("batch:Q", title=rows),
        *elements.numbers(("error",), "+.1%"),
    ]
    colour = alt.Color(f"{by}:N", legend=None)
    points = alt.Chart(table).mark_point(filled=True, size=45)
    errors = points.encode(x=x, y=y, color=colour, tooltip=tooltip)
    chart = alt.layer(elements.level(0.0), errors)
    return chart.properties(height=260)


def _colour(by: str, legend_columns: int) -> alt.Color:
    legend = alt.Legend(orient="top", columns=legend_columns, symbolOpacity=1, labelLimit=200)
    return alt.Color(f"{by}:N", title=None, legend=legend)
