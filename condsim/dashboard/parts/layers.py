"""Mixture-of-experts layers that others measured on GPUs, predicted: a part of the accuracy page.

Their rows are in the repository, not in the wheel.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import accuracy as charts
from condsim.dashboard.parts import boxes, columns
from condsim.dashboard.parts.figure import Figure, Recipe, show, take_away
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.work import Job, results_of
from condsim.show.accuracy_figures import layers_figure, residual_figure

BY = ("profile", "engine", "routing", "tp", "ep")
"""Columns that layers can be grouped by."""
ROWS = 60
"""Of each table: its predictions take a second or two."""
WORST = 5
COMMAND = "python -m benchmarks.gpu_tables"
WORST_COLUMNS = (
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
)
COLUMNS: Mapping[str, Any] = {
    **columns.OF_ERRORS,
    "batch": "tokens",
    "shape": st.column_config.TextColumn(help="hidden x inner x experts x top-k"),
    "tp": "TP",
    "ep": "EP",
    "predicted_s": columns.NUMBER("predicted, s", format="%.2e"),
    "measured_s": columns.NUMBER("measured, s", format="%.2e"),
}


def show_layers(scenario: Scenario) -> None:
    """Predict the layers when the user asks for it, and show the errors."""
    tables = tables_of_the_repository()
    if tables is None:
        st.info(
            "The measured layers are not in the installed package. In the repository:"
            " `make accuracy-gpu`, or `condsim app` there."
        )
        return
    by = boxes.one_of("Group layers by", BY, BY[0], "layers-by", width=200)
    st.caption(
        "Measured: one layer on one rank, NVIDIA's tables (aiconfigurator-core 0.12.0,"
        " Apache-2.0). Estimated: predicted from data sheets, with no fitted constant."
        f" About {ROWS} layers of each table; all of them, and what each effect is worth:"
        " `make accuracy-gpu`."
    )

    def predict_tables() -> Iterator[pd.DataFrame]:
        return (tables.beside(table, ROWS) for table in tables.TABLES)

    count = len(tables.TABLES)
    job = Job("layers", ROWS, count, predict_tables, at_once=False, noun="tables")
    predicted = results_of(job)
    if predicted:
        table = pd.concat(predicted, ignore_index=True)
        show_errors(table, by, recipe(scenario))


def tables_of_the_repository() -> ModuleType | None:
    """The module that reads the tables, None in an installed package."""
    if importlib.util.find_spec("benchmarks") is None:
        return None
    return importlib.import_module("benchmarks.gpu_tables")


def recipe(scenario: Scenario) -> Recipe:
    """How to get the same rows."""
    code = (
        "from benchmarks.gpu_tables import TABLES, beside\n\n"
        f"for of in TABLES:\n    print(beside(of, {ROWS}))"
    )
    return Recipe(scenario, COMMAND, code)


def show_errors(table: pd.DataFrame, by: str, recipe: Recipe) -> None:
    """Show the errors of layers, in all, by group and the worst.

    table: rows of `benchmarks.gpu_tables.beside`.
    """
    st.markdown(headline(table))
    left, right = st.columns([5, 6], gap="medium")
    with left:
        show(scatter_of(table, by), recipe)
        st.caption("Band: 10 %. Both axes in seconds.")
    with right:
        groups = errors_of_groups(table, by)
        st.dataframe(
            groups,
            hide_index=True,
            column_config=columns.OF_ERRORS,
            key="layer-groups",
            alt=f"Errors by {by}",
        )
        take_away("layer-groups", groups, recipe)
        show(residuals_of(table, by), recipe)
    st.markdown("**The worst layers**")
    st.dataframe(
        worst_layers(table),
        hide_index=True,
        column_order=WORST_COLUMNS,
        column_config=COLUMNS,
        key="worst-layers",
        alt="The layers with the largest errors",
    )
    st.caption(
        "Why, table by table: the end of docs/gpu-tables.md. TP, EP: ranks of tensor and expert"
        " parallelism that share the layer."
    )


def headline(table: pd.DataFrame) -> str:
    """The errors of all layers in one sentence."""
    errors = table["error"].abs()
    median, tail, worst = errors.median(), errors.quantile(0.9), errors.max()
    return (
        f"#### Seconds of {len(table)} layers: median |error| {median:.1%},"
        f" 90th percentile {tail:.1%}, worst {worst:.1%}"
    )


def scatter_of(table: pd.DataFrame, by: str) -> Figure:
    """Predicted against measured seconds."""
    return Figure(
        "layers",
        charts.seconds(table, by),
        table,
        draw=lambda: layers_figure(table, by),
        says="Predicted against measured seconds",
    )


def residuals_of(table: pd.DataFrame, by: str) -> Figure:
    """Errors against tokens."""
    return Figure(
        "layer-residuals",
        charts.residuals(table, by, rows="tokens"),
        table,
        draw=lambda: residual_figure(table, by, "tokens"),
        says="Errors against tokens",
    )


def errors_of_groups(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """A row a value of the column `by`: cases, bias, median, 90th percentile and worst |error|."""
    with_size = table.assign(off=table["error"].abs())
    groups = with_size.groupby(by, as_index=False)
    return groups.agg(
        cases=("off", "size"),
        bias=("error", "median"),
        median_abs_error=("off", "median"),
        p90_abs_error=("off", _ninetieth_percentile),
        worst_abs_error=("off", "max"),
    )


def _ninetieth_percentile(errors: pd.Series) -> float:
    return float(errors.quantile(0.9))


def worst_layers(table: pd.DataFrame) -> pd.DataFrame:
    """The layers with the largest errors, the worst first."""
    errors = table["error"].abs()
    worst_first = errors.sort_values(ascending=False)
    return table.loc[worst_first.index[:WORST]]
