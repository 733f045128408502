"""Is it true?"""

from __future__ import annotations

import re
import shlex
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure, take_away
from condsim.dashboard.parts.layers import gpu_layers
from condsim.dashboard.parts.scenario import Scenario, python
from condsim.dashboard.parts.shell import the_scenario
from condsim.resources import resource
from condsim.show.plots import accuracy_figure, residual_figure
from condsim.show.text import error_line
from condsim.study.compare import cause_of, compare, errors_by, errors_of

BY = ("mechanism", "profile", "strategy", "batch", "baseline", "phase")
CASES, SUITE, LAYERS = (
    ("this trace", "all traces"),
    "36 models of make accuracy",
    "GPU layers of others",
)
RUNS = sorted(
    (
        r
        for r in resource("benchmarks").glob("runs/*/cases.parquet")
        if re.fullmatch(r"[\d-]+(-[a-z])?", r.parent.name)
    ),
    reverse=True,
)
"""What `make accuracy` wrote, the newest first; in the repository, not in the wheel. Runs in other dtypes, threads and runtimes say so in their names."""
NUMBER = st.column_config.NumberColumn
COLUMNS: dict[str, Any] = {
    "bias": NUMBER(format="percent", help="Median of predicted / measured - 1, with its sign."),
    "median_abs_error": NUMBER("median |error|", format="percent"),
    "p90_abs_error": NUMBER("90th percentile", format="percent"),
    "worst_abs_error": NUMBER("worst", format="percent"),
    "error": NUMBER(format="percent", help="predicted / measured - 1"),
    "predicted_speedup": NUMBER("predicted", format="%.2fx"),
    "measured_speedup": NUMBER("measured", format="%.2fx"),
}
WORST = 5


def compared(name: str) -> pd.DataFrame:
    """Every measured case of one trace, predicted on the profile that it was measured under."""
    return library.kept(
        "compare",
        Scenario(name, library.where(name)),
        lambda trace, profile: compare([trace], profile),
    )


def of_traces(names: list[str]) -> tuple[pd.DataFrame, str, str]:
    """(table of `compare` over the traces that were measured, command, Python). Ends the page where nothing was."""
    bar = st.progress(0.0, "predicting what was measured")
    tables = []
    for done, name in enumerate(names):
        bar.progress(done / len(names), f"predicting what was measured of {name}")
        tables.append(compared(name))
    bar.empty()
    measured = [t for t in tables if len(t)]
    if not measured:
        st.info(
            f"Nothing was measured yet. `condsim measure {scenario.where}` times this model here, against both baselines."
        )
        st.stop()
    where = [library.where(n) for n, t in zip(names, tables, strict=True) if len(t)]
    call = f"table = condsim.compare({'[trace]' if len(where) == 1 else 'traces'})"
    return (
        pd.concat(measured, ignore_index=True),
        shlex.join(["condsim", "compare", *where]),
        python(where, call, "print(table)"),
    )


def of_a_run() -> tuple[pd.DataFrame, str, str]:
    """(table of a run of `make accuracy`, command, Python)."""
    run = st.selectbox("Run", RUNS, format_func=lambda r: r.parent.name, width=200)
    st.caption(
        f"Measured and predicted by `make accuracy` in fresh processes (run {run.parent.name}); docs/accuracy.md names the causes of its errors."
    )
    path = f"benchmarks/runs/{run.parent.name}"
    return (
        pd.read_parquet(run),
        f"python -m benchmarks.accuracy {path}",
        f"import pandas as pd\n\ntable = pd.read_parquet('{path}/cases.parquet')\nprint(table)",
    )


scenario = the_scenario()
with st.container(horizontal=True, vertical_alignment="bottom"):
    chosen = st.segmented_control(
        "Cases",
        (*CASES, *([SUITE] if RUNS else []), LAYERS),
        default=CASES[0],
        required=True,
        key="cases",
        bind="query-params",
    )
    if chosen != LAYERS:
        by = st.selectbox("Group by", BY, key="by", bind="query-params", width=200)
        own_only = st.checkbox(
            "Only what was measured on the machine of its profile", key="own", bind="query-params"
        )
if chosen == LAYERS:
    gpu_layers(scenario, COLUMNS)
    st.stop()
if chosen == SUITE:
    table, command, code = of_a_run()
else:
    table, command, code = of_traces(
        [n for n in library.traces() if chosen == CASES[1] or n == scenario.name]
    )
table = table[table["same_machine"].astype(bool)] if own_only else table

line = error_line(errors_of(table))
st.markdown(f"#### {line[:1].upper()}{line[1:]}")
left, right = st.columns([5, 6], gap="medium")
with left:
    figure(
        "accuracy",
        charts.accuracy(table, by),
        table,
        lambda: accuracy_figure(table, by),
        scenario,
        "Predicted against measured speedup",
        command,
        code,
    )
    st.caption(
        "Filled: measured on the machine of the profile. Hollow: on another, not in the statistics. Band: 10 %. Lines: 90 % intervals."
    )
with right:
    groups = errors_by(table, by)
    st.dataframe(
        groups, hide_index=True, column_config=COLUMNS, key="groups", alt=f"Errors by {by}"
    )
    take_away(
        "groups",
        groups,
        scenario,
        command,
        code + f"\nfrom condsim.study.compare import errors_by\nprint(errors_by(table, {by!r}))",
    )
    figure(
        "residuals",
        charts.residuals(table, by),
        table,
        lambda: residual_figure(table, by),
        scenario,
        "Errors against batch",
        command,
        code,
    )
st.markdown("**The worst cases, and what they say themselves**")
worst = table.loc[table["error"].abs().sort_values(ascending=False).index[:WORST]]
alike = [c for c in ("trace", "phase") if table[c].nunique() == 1]
columns = [
    "trace",
    "strategy",
    "phase",
    "batch",
    "baseline",
    "predicted_speedup",
    "measured_speedup",
    "error",
]
shown = (
    worst[columns].drop(columns=alike).assign(cause=[cause_of(r) for r in worst.to_dict("records")])
)
st.dataframe(
    shown,
    hide_index=True,
    column_config=COLUMNS,
    key="worst",
    alt="The cases with the largest errors",
)
