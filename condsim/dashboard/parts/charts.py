"""Altair charts for the browser. Each takes the table that its picture in `condsim.show.plots` and its CSV are made of."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from condsim.show.plots import COLOURS

Chart = alt.Chart | alt.LayerChart | alt.FacetChart
UNSURE = "too close to call"
POINT = [
    *(alt.Tooltip(f"{c}:Q", format=".3f") for c in ("speedup", "low", "high")),
    alt.Tooltip("verdict:N"),
]
SPOKEN = "replace(datum.label, '_', ' ')"
"""A name as a label."""
SLICES = 2000
"""How many slices of a timeline a browser is given."""


def _colours(kinds: list[str]) -> alt.Color:
    return alt.Color(
        "kind:N", scale=alt.Scale(domain=kinds, range=[COLOURS[k] for k in kinds]), legend=None
    )


def waterfall(
    bars: pd.DataFrame, baseline: str, height: int = 380, beside: pd.DataFrame | None = None
) -> Chart:
    """Bars of `condsim.predict.waterfall.bars` on a log axis; dashed: the dense baseline. beside: bars of another waterfall that is to have the same axis."""
    table = bars.assign(top=bars[["start", "end", "high"]].max(axis=1))
    ends = pd.concat([bars, beside])[["start", "end", "low", "high"]].to_numpy(float)
    values = [1.0, *ends[np.isfinite(ends)].tolist()]
    scale = alt.Scale(type="log", domain=[min(values) / 1.12, max(values) * 1.25], nice=False)
    x = alt.X(
        "effect:N",
        sort=None,
        title=None,
        axis=alt.Axis(labelAngle=-30, labelOverlap=False, labelLimit=120, labelExpr=SPOKEN),
    )
    y = alt.Y(
        "start:Q",
        scale=scale,
        title=f"speedup over {baseline}",
        axis=alt.Axis(values=ticks(min(values), max(values)), labelExpr="datum.label + 'x'"),
    )
    tooltip = [
        alt.Tooltip("effect:N"),
        alt.Tooltip("label:N", title="factor"),
        alt.Tooltip("end:Q", title="speedup after", format=".4g"),
        alt.Tooltip("meaning:N"),
    ]
    base = alt.Chart(table)
    drawn = base.mark_bar(minBandSize=2).encode(
        x=x, y=y, y2=alt.Y2("end:Q"), color=_colours(list(COLOURS)), tooltip=tooltip
    )
    text = base.mark_text(dy=-8, color="gray").encode(
        x=x, y=alt.Y("top:Q", scale=scale), text=alt.Text("label:N")
    )
    dense = (
        alt.Chart(pd.DataFrame({"y": [1.0]}))
        .mark_rule(strokeDash=[4, 4], color="gray")
        .encode(y=alt.Y("y:Q", scale=scale))
    )
    interval = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(color="gray", strokeWidth=2)
        .encode(x=x, y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q"))
    )
    return alt.layer(drawn, interval, text, dense).properties(height=height)


def ticks(low: float, high: float) -> list[float]:
    """Round values of a log axis between two values, few enough to read."""
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [
            m * 10.0**e
            for e in range(-9, 10)
            for m in steps
            if low / 1.12 <= m * 10.0**e <= high * 1.25
        ]
        if len(found) <= 8:
            break
    return found


def _log(title: str, low: float, high: float, field: str, channel: type = alt.X) -> Any:
    """A log axis of speedups."""
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return channel(
        f"{field}:Q",
        scale=scale,
        title=title,
        axis=alt.Axis(values=ticks(low, high), labelExpr="datum.label + 'x'", grid=True),
    )


def accuracy(table: pd.DataFrame, by: str, height: int = 420, band: float = 0.1) -> Chart:
    """Predicted against measured speedup, both axes log, with the identity and a band. table: of `condsim.compare`."""
    ends = (
        min(table["measured_speedup"].min(), table["low"].min()) / 1.1,
        max(table["measured_speedup"].max(), table["high"].max()) * 1.1,
    )
    x, y = (
        _log("measured speedup", *ends, "measured_speedup"),
        _log("predicted speedup", *ends, "predicted_speedup", alt.Y),
    )
    frame = pd.DataFrame(
        {
            "measured_speedup": ends,
            "predicted_speedup": ends,
            "low": [e * (1 - band) for e in ends],
            "high": [e * (1 + band) for e in ends],
        }
    )
    scale = alt.Scale(type="log", domain=list(ends), nice=False)
    within = (
        alt.Chart(frame)
        .mark_area(opacity=0.12, color="gray", clip=True)
        .encode(x=x, y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q"))
    )
    identity = alt.Chart(frame).mark_line(color="gray", strokeWidth=1, clip=True).encode(x=x, y=y)
    tooltip: list[Any] = [
        alt.Tooltip(f"{c}:N")
        for c in ("trace", "strategy", "batch", "baseline", "phase", "profile")
    ]
    tooltip += [
        alt.Tooltip(f"{c}:Q", format=".3g")
        for c in ("predicted_speedup", "measured_speedup", "low", "high")
    ]
    tooltip += [alt.Tooltip("error:Q", format="+.1%")]
    colour = alt.Color(
        f"{by}:N",
        title=None,
        legend=alt.Legend(orient="top", columns=3, symbolOpacity=1, labelLimit=200),
    )
    base = alt.Chart(table.drop(columns=["roofline", "hot_sum", "flop_ratio"], errors="ignore"))
    interval = base.mark_rule(opacity=0.35, clip=True).encode(
        x=x, y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q"), color=colour
    )
    hollow = alt.condition("datum.same_machine", alt.value(1.0), alt.value(0.0))
    points = base.mark_point(filled=True, size=45, clip=True).encode(
        x=x, y=y, color=colour, fillOpacity=hollow, stroke=colour, tooltip=tooltip
    )
    return alt.layer(within, identity, interval, points).properties(height=height)


def seconds(table: pd.DataFrame, by: str, height: int = 420, band: float = 0.1) -> Chart:
    """Predicted against measured seconds, both axes log, with the identity and a band. table: predicted_s, measured_s and what else a row says."""
    values = table[["predicted_s", "measured_s"]].to_numpy()
    ends = [values.min() / 1.1, values.max() * 1.1]
    scale = alt.Scale(type="log", domain=ends, nice=False)
    axis = alt.Axis(format="~s", tickCount=5)
    frame = pd.DataFrame(
        {
            "measured_s": ends,
            "predicted_s": ends,
            "low": [e * (1 - band) for e in ends],
            "high": [e * (1 + band) for e in ends],
        }
    )
    x = alt.X("measured_s:Q", scale=scale, title="measured, s", axis=axis)
    y = alt.Y("predicted_s:Q", scale=scale, title="predicted, s", axis=axis)
    within = (
        alt.Chart(frame)
        .mark_area(opacity=0.12, color="gray", clip=True)
        .encode(x=x, y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q"))
    )
    identity = alt.Chart(frame).mark_line(color="gray", strokeWidth=1, clip=True).encode(x=x, y=y)
    tooltip: list[Any] = [
        alt.Tooltip(f"{c}:N") for c in ("profile", "engine", "shape", "tp", "ep", "routing")
    ] + [alt.Tooltip("batch:Q", title="tokens")]
    tooltip += [
        alt.Tooltip("predicted_s:Q", format=".3s"),
        alt.Tooltip("measured_s:Q", format=".3s"),
        alt.Tooltip("error:Q", format="+.1%"),
    ]
    colour = alt.Color(
        f"{by}:N",
        title=None,
        legend=alt.Legend(orient="top", columns=2, symbolOpacity=1, labelLimit=200),
    )
    points = (
        alt.Chart(table)
        .mark_point(filled=True, size=30, clip=True)
        .encode(x=x, y=y, color=colour, tooltip=tooltip)
    )
    return alt.layer(within, identity, points).properties(height=height)


def residuals(table: pd.DataFrame, by: str, height: int = 260, x: str = "batch") -> Chart:
    """Error of the predicted speedup against batch; colours are those of `accuracy`, which stands beside it."""
    base = alt.Chart(table)
    across = alt.X("batch:Q", scale=alt.Scale(type="log", base=2), title=x)
    up = alt.Y("error:Q", axis=alt.Axis(format="+.0%"), title="predicted / measured - 1")
    tooltip: list[Any] = [
        alt.Tooltip(f"{c}:N")
        for c in dict.fromkeys((by, "trace", "strategy", "baseline", "shape"))
        if c in table
    ]
    tooltip += [alt.Tooltip("batch:Q", title=x), alt.Tooltip("error:Q", format="+.1%")]
    points = base.mark_point(filled=True, size=45).encode(
        x=across, y=up, color=alt.Color(f"{by}:N", legend=None), tooltip=tooltip
    )
    zero = (
        alt.Chart(pd.DataFrame({"y": [0.0]}))
        .mark_rule(color="gray", strokeDash=[4, 4])
        .encode(y=alt.Y("y:Q"))
    )
    return alt.layer(zero, points).properties(height=height)


def load(table: pd.DataFrame, value: str, width: int = 900) -> Chart:
    """Load of each branch at each site: whole cells, so that no seams show. value: relative (diverging at 1) or share."""
    sites, branches = list(dict.fromkeys(table["site"])), list(dict.fromkeys(table["branch"]))
    few = len(branches) <= 12 and len(sites) <= 30  # few enough to write the numbers into the cells
    cell = min(100, 700 // len(branches)) if few else max(4, min(40, width // len(branches)))
    tall = max(5, min(24, 420 // max(len(sites), 1)))
    relative = value == "relative"
    scale = (
        alt.Scale(scheme="blueorange", domain=[0, 2], domainMid=1, clamp=True)
        if relative
        else alt.Scale(scheme="viridis", domain=[0, 1])
    )
    base = alt.Chart(table).encode(
        x=alt.X(
            "branch:O",
            sort=branches,
            title="branch",
            scale=alt.Scale(padding=0),
            axis=alt.Axis(labelOverlap=True, labelAngle=0),
        ),
        y=alt.Y(
            "site:N",
            sort=sites,
            title=None,
            scale=alt.Scale(padding=0),
            axis=alt.Axis(labelLimit=180, labelOverlap=len(sites) > 30),
        ),
        tooltip=[
            alt.Tooltip("site:N"),
            alt.Tooltip("branch:O"),
            alt.Tooltip("rows:Q", format=","),
            alt.Tooltip("share:Q", format=".1%"),
            alt.Tooltip("relative:Q", title="load / mean", format=".2f"),
        ],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            f"{value}:Q", scale=scale, title="load / mean" if relative else "share of rows"
        )
    )
    size = {"width": alt.Step(cell), "height": alt.Step(tall)}
    chart: Chart = cells.properties(**size)
    if not few:
        return chart
    dark = "abs(datum.relative - 1) > 0.7" if relative else "datum.share < 0.6"
    text = base.mark_text(fontSize=11).encode(
        text=alt.Text(f"{value}:Q", format=".2f" if relative else ".0%"),
        color=alt.condition(dark, alt.value("white"), alt.value("black")),
    )
    return alt.layer(cells, text).properties(**size)


def lines(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    labels: tuple[str, str],
    log2: bool = False,
    zero: bool = False,
    height: int = 260,
    level: pd.DataFrame | None = None,
) -> Chart:
    """One line a value of `by`; y is a share. level: dashed lines to compare with, a row a value of `by`."""
    drawn: Chart = (
        alt.Chart(table)
        .mark_line(point=alt.OverlayMarkDef(size=25), strokeWidth=1.5)
        .encode(
            x=alt.X(
                f"{x}:Q",
                title=labels[0],
                scale=alt.Scale(type="log", base=2) if log2 else alt.Scale(),
            ),
            y=alt.Y(
                f"{y}:Q",
                title=labels[1],
                axis=alt.Axis(format=".0%"),
                scale=alt.Scale(zero=zero, nice=True),
            ),
            color=alt.Color(f"{by}:N", sort=None, title=by, legend=alt.Legend(symbolLimit=20)),
            tooltip=[
                alt.Tooltip(f"{by}:N"),
                alt.Tooltip(f"{x}:Q"),
                alt.Tooltip(f"{y}:Q", format=".1%"),
            ],
        )
        .properties(height=height)
    )
    if level is None:
        return drawn
    dashed = (
        alt.Chart(level)
        .mark_rule(strokeDash=[4, 4], strokeWidth=1.5)
        .encode(
            y=alt.Y(f"{y}:Q"),
            color=alt.Color(f"{by}:N"),
            tooltip=[alt.Tooltip(f"{by}:N"), alt.Tooltip(f"{y}:Q", format=".1%")],
        )
    )
    return alt.layer(dashed, drawn)


def timeline(table: pd.DataFrame, height: int = 300) -> Chart:
    """Slices on lanes; zoom by scrolling, move by dragging. table: start_ms, end_ms, lane, part, operator, module, guard, basis."""
    zoom = alt.selection_interval(bind="scales", encodings=["x"])
    chart: Chart = (
        alt.Chart(table)
        .mark_bar(strokeWidth=0)
        .encode(
            x=alt.X("start_ms:Q", title="ms"),
            x2=alt.X2("end_ms:Q"),
            y=alt.Y("lane:N", sort=None, title=None, axis=alt.Axis(labelLimit=200)),
            color=alt.Color("part:N", title=None, legend=alt.Legend(orient="top")),
            tooltip=[
                *(alt.Tooltip(f"{c}:N") for c in ("operator", "module", "guard", "part", "basis")),
                alt.Tooltip("duration_us:Q", title="µs", format=".2f"),
            ],
        )
        .add_params(zoom)
        .properties(height=height)
    )
    return chart


def pareto(
    table: pd.DataFrame, x: str, y: str, labels: tuple[str, str], height: int = 380
) -> Chart:
    """Every row as a point; the ones that no other beats are joined. table: with a bool column front, kind and name."""
    log, plain = alt.Scale(type="log"), alt.Axis(format="~s", grid=False, tickCount=6)
    axes = {
        "x": alt.X(f"{x}:Q", scale=log, title=labels[0], axis=plain),
        "y": alt.Y(f"{y}:Q", scale=log, title=labels[1], axis=plain),
    }
    tooltip = [
        alt.Tooltip("name:N"),
        alt.Tooltip(f"{x}:Q", format=".3g"),
        alt.Tooltip(f"{y}:Q", format=".3g"),
        alt.Tooltip("speedup:Q", format=".3f"),
        alt.Tooltip("verdict:N"),
        alt.Tooltip("basis:N"),
    ]
    base = alt.Chart(table)
    points = base.mark_point(filled=True, size=70).encode(
        **axes,
        color=alt.Color("kind:N", title="device"),
        opacity=alt.condition("datum.front", alt.value(1), alt.value(0.45)),
        tooltip=tooltip,
    )
    best = base.transform_filter("datum.front")
    return alt.layer(
        best.mark_line(color="gray", strokeWidth=1).encode(**axes),
        points,
        best.mark_text(align="left", dx=7, dy=-7, color="gray").encode(
            **axes, text=alt.Text("name:N")
        ),
    ).properties(height=height)


def breakeven(points: pd.DataFrame, labels: tuple[str, str | None], height: int = 380) -> Chart:
    """A line with its interval, or a map of the speedup. points: rows of `condsim.study.breakeven.grid` that have a speedup."""
    low, high = min(1.0, points["low"].min()) / 1.05, max(1.0, points["high"].max()) * 1.05
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    if labels[1] is None:
        x = alt.X(
            "x:Q",
            title=labels[0],
            scale=alt.Scale(type="log") if (points["x"] > 0).all() else alt.Scale(),
        )
        base = alt.Chart(points)
        one = (
            alt.Chart(pd.DataFrame({"y": [1.0]}))
            .mark_rule(color="gray", strokeDash=[4, 4])
            .encode(y=alt.Y("y:Q", scale=scale))
        )
        band = base.mark_area(opacity=0.2).encode(
            x=x, y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q")
        )
        line = base.mark_line(point=True).encode(
            x=x,
            y=_log("speedup", low, high, "speedup", alt.Y),
            tooltip=[alt.Tooltip("x:Q", title=labels[0]), *POINT],
        )
        return alt.layer(band, one, line).properties(height=height)
    table = points.assign(
        log2=np.log2(points["speedup"]),
        label=[
            f"{s:.2f}" + ("?" if v == UNSURE else "")
            for s, v in zip(points["speedup"], points["verdict"], strict=True)
        ],
    )
    limit = max(float(table["log2"].abs().max()), 0.1)
    base = alt.Chart(table).encode(
        x=alt.X("x:O", title=labels[0], scale=alt.Scale(padding=0), axis=alt.Axis(labelAngle=0)),
        y=alt.Y("y:O", title=labels[1], sort="descending", scale=alt.Scale(padding=0)),
    )
    unsure = f"datum.verdict == '{UNSURE}'"
    tooltip = [
        *(alt.Tooltip(f"{c}:Q", title=label) for c, label in zip("xy", labels, strict=True)),
        *POINT,
    ]
    legend = alt.Legend(title="speedup", labelExpr="format(pow(2, datum.value), '.2~f') + 'x'")
    cells = base.mark_rect(strokeDash=[3, 3], strokeWidth=2).encode(
        color=alt.Color(
            "log2:Q",
            scale=alt.Scale(scheme="redblue", domain=[-limit, limit], domainMid=0),
            legend=legend,
        ),
        stroke=alt.condition(unsure, alt.value("black"), alt.value(None)),
        tooltip=tooltip,
    )
    strong = f"abs(datum.log2) > {0.5 * limit}"
    text = base.mark_text().encode(
        text=alt.Text("label:N"),
        color=alt.condition(strong, alt.value("white"), alt.value("black")),
    )
    return alt.layer(cells, text).properties(height=height)
