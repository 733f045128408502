"""A figure of a page, with its data, its picture, and the command and Python that reproduce it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urlencode

import altair as alt
import pandas as pd
import streamlit as st

from condsim.dashboard.parts.inputs import BOUND
from condsim.dashboard.parts.scenario import Scenario
from condsim.show.plots import rendered

alt.data_transformers.disable_max_rows()
MIME = {"svg": "image/svg+xml", "pdf": "application/pdf"}


def figure(
    name: str,
    chart: alt.Chart | alt.LayerChart | alt.FacetChart,
    table: pd.DataFrame,
    draw: Callable[[], Any],
    scenario: Scenario,
    alt_text: str,
    command: str,
    python: str,
    width: Literal["stretch", "content"] = "stretch",
) -> None:
    """Show a chart and what belongs to it.

    table: its data. draw: makes its Matplotlib figure, called when a picture is asked for. command, python: what gives the same numbers.
    """
    st.vega_lite_chart(None, spec(chart), width=width, alt=alt_text, key=f"chart-{name}")
    take_away(name, table, scenario, command, python, draw)


def spec(chart: Any) -> dict[str, Any]:
    """A chart as Vega-Lite. It is not validated here, which took longer than all else on a page: a test validates every chart."""
    found: dict[str, Any] = chart.to_dict(validate=False)
    found.pop("config", None)  # Altair's own theme
    return found


def take_away(
    name: str,
    table: pd.DataFrame,
    scenario: Scenario,
    command: str,
    python: str,
    draw: Callable[[], Any] | None = None,
) -> None:
    """Data, picture, link and recipe of a figure or table, behind one button."""
    file = f"{scenario.name}-{name}"
    with st.popover("Data, picture, reproduce", icon=":material/ios_share:"):
        with st.container(horizontal=True):
            data = table.to_csv(index=False).encode
            st.download_button(
                "CSV",
                data,
                f"{file}.csv",
                "text/csv",
                key=f"csv-{name}",
                on_click="ignore",
                icon=":material/table:",
            )
            for kind in MIME if draw is not None else ():
                picture = _picture(draw, kind)
                st.download_button(
                    kind.upper(),
                    picture,
                    f"{file}.{kind}",
                    MIME[kind],
                    key=f"{kind}-{name}",
                    on_click="ignore",
                    icon=":material/image:",
                )
        st.caption("On the command line")
        st.code(command, language="bash", wrap_lines=True)
        st.caption("In Python")
        st.code(python, wrap_lines=True)
        st.caption("As a link")
        st.code(link(scenario), language=None, wrap_lines=True)


def _picture(draw: Callable[[], Any] | None, kind: str) -> Callable[[], bytes]:
    assert draw is not None
    return lambda: rendered(draw(), kind)


def link(scenario: Scenario) -> str:
    """A link to this page with these inputs."""
    own = urlencode(
        [(k, v) for k in st.query_params for v in st.query_params.get_all(k) if k not in BOUND]
    )
    page = (st.context.url or "http://127.0.0.1:8501/").partition("?")[0]
    return f"{page}?{scenario.query()}" + (f"&{own}" if own else "")
