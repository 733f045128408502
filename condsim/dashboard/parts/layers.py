"""Mixture-of-experts layers that others measured on GPUs, predicted here: a part of the accuracy page. The rows are in the repository, not in the wheel."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.parts import charts
from condsim.dashboard.parts.figure import figure, take_away
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.work import through
from condsim.show.plots import layers_figure, residual_figure

BY = ("profile", "engine", "routing", "tp", "ep")
ROWS = 60
"""Of each table: its predictions take a second or two."""
COMMAND = "python -m benchmarks.gpu_tables"


def gpu_layers(scenario: Scenario, columns: dict[str, Any]) -> None:
    """Show them. columns: how errors are shown."""
    if importlib.util.find_spec("benchmarks") is None:
        st.info(
            "The measured layers are not in the installed package. In the repository: `make accuracy-gpu`, or `condsim app` there."
        )
        return
    tables = importlib.import_module("benchmarks.gpu_tables")
    by = st.selectbox("Group layers by", BY, key="layers-by", bind="query-params", width=200)
    st.caption(
        "Measured: one layer on one rank, NVIDIA's tables (aiconfigurator-core 0.12.0, Apache-2.0). Estimated: predicted from data sheets, with no fitted "
        f"constant. About {ROWS} layers of each table; all of them, and what each effect is worth: `make accuracy-gpu`."
    )

    def rows() -> Iterator[pd.DataFrame]:
        return (tables.beside(of, ROWS) for of in tables.TABLES)

    done = through("layers", ROWS, len(tables.TABLES), rows, auto=False, noun="tables")
    if not done:
        return
    table = pd.concat(done, ignore_index=True)
    off = table["error"].abs()
    st.markdown(
        f"#### Seconds of {len(table)} layers: median |error| {off.median():.1%}, 90th percentile {off.quantile(0.9):.1%}, worst {off.max():.1%}"
    )
    code = f"from benchmarks.gpu_tables import TABLES, beside\n\nfor of in TABLES:\n    print(beside(of, {ROWS}))"
    left, right = st.columns([5, 6], gap="medium")
    with left:
        figure(
            "layers",
            charts.seconds(table, by),
            table,
            lambda: layers_figure(table, by),
            scenario,
            "Predicted against measured seconds",
            COMMAND,
            code,
        )
        st.caption("Band: 10 %. Both axes in seconds.")
    with right:
        groups = (
            table.assign(off=off)
            .groupby(by, as_index=False)
            .agg(
                cases=("off", "size"),
                bias=("error", "median"),
                median_abs_error=("off", "median"),
                p90_abs_error=("off", lambda e: e.quantile(0.9)),
                worst_abs_error=("off", "max"),
            )
        )
        st.dataframe(
            groups,
            hide_index=True,
            column_config=columns,
            key="layer-groups",
            alt=f"Errors by {by}",
        )
        take_away("layer-groups", groups, scenario, COMMAND, code)
        figure(
            "layer-residuals",
            charts.residuals(table, by, x="tokens"),
            table,
            lambda: residual_figure(table, by, "tokens"),
            scenario,
            "Errors against tokens",
            COMMAND,
            code,
        )
    st.markdown("**The worst layers**")
    worst = table.loc[off.sort_values(ascending=False).index[:5]]
    shown = [
        "profile",
        "engine",
        "shape",
        "tp",
        "ep",
        "routing",
        "batch",
        "predicted_s",
        "measured_s",
        "error",
    ]
    more = {
        "batch": "tokens",
        "shape": st.column_config.TextColumn(help="hidden x inner x experts x top-k"),
        "tp": "TP",
        "ep": "EP",
    } | {
        f"{word}_s": st.column_config.NumberColumn(f"{word}, s", format="%.2e")
        for word in ("predicted", "measured")
    }
    st.dataframe(
        worst,
        hide_index=True,
        column_order=shown,
        column_config=columns | more,
        key="worst-layers",
        alt="The layers with the largest errors",
    )
    st.caption(
        "Why, table by table: the end of docs/gpu-tables.md. TP, EP: ranks of tensor and expert parallelism that share the layer."
    )
