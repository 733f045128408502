"""What a model decided: heat maps of load, and lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from condsim.dashboard.charts import elements

WIDTH_PIXELS = 900
"""About what a heat map may take."""


def has_few_cells(table: pd.DataFrame) -> bool:
    """Whether a number fits into each cell: then the cells are as wide as there is room."""
    return table["branch"].nunique() <= 12 and table["site"].nunique() <= 30


def load(table: pd.DataFrame, value: str) -> elements.Chart:
    """Load of each branch at each site.

    table: of `condsim.study.routing.load`. value: the column that gives the colour: relative
    (diverging at 1) or share. Many cells are of whole pixels, so that no seams show.
    """
    sites = list(dict.fromkeys(table["site"]))
    branches = list(dict.fromkeys(table["branch"]))
    fits_numbers = has_few_cells(table)
    height = _between(5, 420 // max(len(sites), 1), 24)
    size: dict[str, Any] = {"height": alt.Step(height)}
    if not fits_numbers:
        size["width"] = alt.Step(_between(4, WIDTH_PIXELS // len(branches), 40))

    if value == "relative":
        colour = _relative_colour()
        is_dark = "abs(datum.relative - 1) > 0.7"
        number = alt.Text("relative:Q", format=".2f")
    else:
        colour = _share_colour()
        is_dark = "datum.share < 0.6"
        number = alt.Text(f"{value}:Q", format=".0%")
    base = _cells(table, sites, branches)
    cells: elements.Chart = base.mark_rect().encode(color=colour)
    if not fits_numbers:
        return cells.properties(**size)
    readable = alt.condition(is_dark, alt.value("white"), alt.value("black"))
    text = base.mark_text(fontSize=11)
    numbers = text.encode(text=number, color=readable)
    return alt.layer(cells, numbers).properties(**size)


def _between(least: int, pixels: int, most: int) -> int:
    return max(least, min(most, pixels))


def _cells(table: pd.DataFrame, sites: list[str], branches: list[Any]) -> alt.Chart:
    """Sites below each other, branches beside each other, without a mark yet."""
    no_gap = alt.Scale(padding=0)
    branch_axis = alt.Axis(labelOverlap=True, labelAngle=0)
    site_axis = alt.Axis(labelLimit=180, labelOverlap=len(sites) > 30)
    x = alt.X("branch:O", sort=branches, title="branch", scale=no_gap, axis=branch_axis)
    y = alt.Y("site:N", sort=sites, title=None, scale=no_gap, axis=site_axis)
    tooltip = [
        alt.Tooltip("site:N"),
        alt.Tooltip("branch:O"),
        alt.Tooltip("rows:Q", format=","),
        alt.Tooltip("share:Q", format=".1%"),
        alt.Tooltip("relative:Q", title="load / mean", format=".2f"),
    ]
    return alt.Chart(table).encode(x=x, y=y, tooltip=tooltip)


def _relative_colour() -> alt.Color:
    scale = alt.Scale(scheme="blueorange", domain=[0, 2], domainMid=1, clamp=True)
    legend = alt.Legend(orient="bottom", title="load / mean")
    return alt.Color("relative:Q", scale=scale, legend=legend)


def _share_colour() -> alt.Color:
    scale = alt.Scale(scheme="viridis", domain=[0, 1])
    legend = alt.Legend(orient="bottom", title="share of rows")
    return alt.Color("share:Q", scale=scale, legend=legend)


@dataclass(frozen=True)
class Lines:
    """One line a site; y is a share.

    x, y: columns of `table`. x_title, y_title: of the axes. x_doubles: each step of the x axis
    doubles it. y_from_zero: the y axis begins at 0. levels: dashed lines to compare with, a row a
    site.
    """

    table: pd.DataFrame
    x: str
    y: str
    x_title: str
    y_title: str
    x_doubles: bool = False
    y_from_zero: bool = False
    levels: pd.DataFrame | None = None


def lines(of: Lines) -> elements.Chart:
    """The lines of some sites."""
    x_scale = alt.Scale(type="log", base=2) if of.x_doubles else alt.Scale()
    y_scale = alt.Scale(zero=of.y_from_zero, nice=True)
    percent = alt.Axis(format=".0%")
    legend = alt.Legend(symbolLimit=20, orient="top", columns=3, title=None)
    x = alt.X(f"{of.x}:Q", title=of.x_title, scale=x_scale)
    y = alt.Y(f"{of.y}:Q", title=of.y_title, axis=percent, scale=y_scale)
    colour = alt.Color("site:N", sort=None, title="site", legend=legend)
    site = alt.Tooltip("site:N")
    share = alt.Tooltip(f"{of.y}:Q", format=".1%")
    tooltip = [site, alt.Tooltip(f"{of.x}:Q"), share]

    dots = alt.OverlayMarkDef(size=25)
    line = alt.Chart(of.table).mark_line(point=dots, strokeWidth=1.5)
    encoded = line.encode(x=x, y=y, color=colour, tooltip=tooltip)
    solid: elements.Chart = encoded.properties(height=260)
    if of.levels is None:
        return solid
    level = alt.Y(f"{of.y}:Q")
    rule = alt.Chart(of.levels).mark_rule(strokeDash=[4, 4], strokeWidth=1.5)
    dashed = rule.encode(y=level, color=alt.Color("site:N"), tooltip=[site, share])
    return alt.layer(dashed, solid)
