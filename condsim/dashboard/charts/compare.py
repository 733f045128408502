"""Devices and strategies against each other."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt
import pandas as pd

from condsim.dashboard.charts import elements


@dataclass(frozen=True)
class Axes:
    """Two columns of a table, of which less is better, and their titles."""

    x: str
    y: str
    x_title: str
    y_title: str

    @property
    def titles(self) -> tuple[str, str]:
        """(of x, of y)."""
        return self.x_title, self.y_title


def pareto(table: pd.DataFrame, axes: Axes) -> elements.Chart:
    """Every row as a point; the rows that no other beats are named and joined.

    table: name, kind, verdict, basis, speedup, both axes, and a bool column front.
    """
    log = alt.Scale(type="log")
    plain = alt.Axis(format="~s", grid=False, tickCount=6)
    x = alt.X(f"{axes.x}:Q", scale=log, title=axes.x_title, axis=plain)
    y = alt.Y(f"{axes.y}:Q", scale=log, title=axes.y_title, axis=plain)
    tooltip = [
        *elements.words("name"),
        *elements.numbers((axes.x, axes.y), ".3g"),
        *elements.numbers(("speedup",), ".3f"),
        *elements.words("verdict", "basis"),
    ]
    base = alt.Chart(table)
    point = base.mark_point(filled=True, size=70)
    legend = alt.Legend(orient="top", title=None)
    colour = alt.Color("kind:N", legend=legend)
    opacity = alt.condition("datum.front", alt.value(1), alt.value(0.45))
    points = point.encode(x=x, y=y, color=colour, opacity=opacity, tooltip=tooltip)
    best = base.transform_filter("datum.front")
    line = best.mark_line(color="gray", strokeWidth=1)
    joined = line.encode(x=x, y=y)
    text = best.mark_text(align="left", dx=7, dy=-7, color="gray")
    named = text.encode(x=x, y=y, text=alt.Text("name:N"))
    chart = alt.layer(joined, points, named)
    return chart.properties(height=380)
