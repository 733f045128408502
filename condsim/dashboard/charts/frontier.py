"""Quality against speed as a chart."""

from __future__ import annotations

import altair as alt
import pandas as pd

from condsim.dashboard.charts import elements

ROLES = {"setting": "settings", "dense": "own dense network", "rival": "dense rivals"}
COLOURS = ("#4c72b0", "#222222", "#dd8452")
TARGET = "#c44e52"


def points(
    table: pd.DataFrame, quality: str, target: float, higher_is_better: bool
) -> elements.Chart:
    """Settings joined by a line, dense networks as points, and the speed that is claimed.

    table: rows of a frontier on one device. quality: what it is called.
    """
    known = table[table["latency_s"].notna()].copy()
    known["kind"] = known["role"].map(ROLES)
    low, high = float(known["speed"].min()), max(float(known["speed"].max()), target)
    x_scale = elements.log_scale(low * 0.95, high * 1.05)
    x = alt.X(
        "speed:Q",
        title="speed, times the reference",
        scale=x_scale,
        axis=elements.times_axis(low, high),
    )
    reverse = not higher_is_better
    y = alt.Y("quality:Q", title=quality, scale=alt.Scale(zero=False, reverse=reverse))
    shown = list(ROLES.values())
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=shown, range=list(COLOURS)),
        legend=alt.Legend(orient="top"),
    )
    numbers = ["quality", "loss", "speed", "low", "high", "measured_speed"]
    tooltip = [*elements.words("point", "strategy"), *elements.numbers(numbers, ".4g")]
    base = alt.Chart(known).encode(x=x, y=y, color=colour, tooltip=tooltip)
    of_settings = base.transform_filter("datum.role == 'setting'")
    line = of_settings.mark_line(opacity=0.5).encode(order="speed:Q")
    marks = base.mark_point(filled=True, size=70)
    edge = alt.Chart(pd.DataFrame({"speed": [target]})).encode(x=alt.X("speed:Q", scale=x_scale))
    rule = edge.mark_rule(color=TARGET, strokeDash=[4, 3])
    return alt.layer(line, marks, rule).properties(height=340)
