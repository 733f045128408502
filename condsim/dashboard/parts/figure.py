"""A figure of a page, with its data, its picture, and the command and Python that reproduce it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

import altair as alt
import pandas as pd
import streamlit as st

from condsim.dashboard.charts.elements import Chart
from condsim.dashboard.parts.scenario import IN_LINK, Scenario
from condsim.show.escape import csv
from condsim.show.figure_files import rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

alt.data_transformers.disable_max_rows()
MIME = {"svg": "image/svg+xml", "pdf": "application/pdf"}
"""Kind of picture → its media type."""
INWARD = {"axisX": {"labelFlush": False}}
"""Every label of an axis stands under its tick."""
PADDING = {"left": 5, "top": 5, "right": 16, "bottom": 5}
"""Pixels around a chart: half of the last label fits beside the axis."""


@dataclass(frozen=True)
class Figure:
    """A chart and what belongs to it.

    name: of its widgets and files; no two of a page are alike. table: its data. draw: makes the
    same figure in Matplotlib, when a picture is asked for. says: what the chart shows, in words.
    """

    name: str
    chart: Chart
    table: pd.DataFrame
    draw: Callable[[], Picture]
    says: str
    width: Literal["stretch", "content"] = "stretch"


@dataclass(frozen=True)
class Recipe:
    """How to get the same numbers elsewhere: a link, a command line, and Python.

    address: of a page whose link is no scenario's; None for that of the scenario on this page.
    """

    scenario: Scenario
    command: str
    python: str
    address: str | None = None


def show(figure: Figure, recipe: Recipe) -> None:
    """Show a figure, and a button for what belongs to it."""
    key = f"chart-{figure.name}"
    drawn = vega_lite(figure.chart)
    st.vega_lite_chart(None, drawn, width=figure.width, alt=figure.says, key=key)
    take_away(figure.name, figure.table, recipe, figure.draw)


def vega_lite(chart: Chart) -> dict[str, Any]:
    """A chart as Vega-Lite.

    Validating it would take longer than all else on a page; a test validates every chart.
    """
    specification: dict[str, Any] = chart.to_dict(validate=False)
    specification["config"] = INWARD  # and not Altair's own theme
    specification["padding"] = PADDING
    return specification


def take_away(
    name: str,
    table: pd.DataFrame,
    recipe: Recipe,
    draw: Callable[[], Picture] | None = None,
) -> None:
    """Data, picture, link and recipe of a figure or table, behind one button."""
    file_name = f"{recipe.scenario.name}-{name}"
    with st.popover("Data, picture, reproduce", icon=":material/ios_share:"):
        with st.container(horizontal=True):
            _table_button(name, file_name, table)
            if draw is not None:
                _picture_buttons(name, file_name, draw)
        st.caption("On the command line")
        st.code(recipe.command, language="bash", wrap_lines=True)
        st.caption("In Python")
        st.code(recipe.python, wrap_lines=True)
        st.caption("As a link")
        st.code(recipe.address or link(recipe.scenario), language=None, wrap_lines=True)


def _table_button(name: str, file_name: str, table: pd.DataFrame) -> None:
    st.download_button(
        "CSV",
        csv(table).encode,
        f"{file_name}.csv",
        "text/csv",
        key=f"csv-{name}",
        on_click="ignore",
        icon=":material/table:",
    )


def _picture_buttons(name: str, file_name: str, draw: Callable[[], Picture]) -> None:
    for kind, media_type in MIME.items():
        st.download_button(
            kind.upper(),
            _picture(draw, kind),
            f"{file_name}.{kind}",
            media_type,
            key=f"{kind}-{name}",
            on_click="ignore",
            icon=":material/image:",
        )


def _picture(draw: Callable[[], Picture], kind: str) -> Callable[[], bytes]:
    """What makes the picture's file once it is asked for."""
    return lambda: rendered(draw(), kind)


def current_address() -> str:
    """The address of this page, without its query."""
    return (st.context.url or "http://127.0.0.1:8501/").partition("?")[0]


def link(scenario: Scenario) -> str:
    """A link to this page with the same inputs: the scenario's, and the page's own."""
    page = current_address()
    of_the_page = []
    for name in st.query_params:
        if name not in IN_LINK:
            of_the_page += [(name, value) for value in st.query_params.get_all(name)]
    query = scenario.query()
    if of_the_page:
        query += "&" + urlencode(of_the_page)
    return f"{page}?{query}"
