"""Is it true?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import accuracy as charts
from condsim.dashboard.parts import boxes, columns, fields, library
from condsim.dashboard.parts.current import captured_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show, take_away
from condsim.dashboard.parts.layers import show_layers
from condsim.dashboard.parts.reproduce import python
from condsim.dashboard.parts.scenario import Scenario
from condsim.hardware import HardwareProfile
from condsim.resources import resource
from condsim.show.accuracy import accuracy_line, machines, not_checked_line
from condsim.show.accuracy_figures import accuracy_figure, residual_figure
from condsim.show.escape import code, markdown
from condsim.study.compare import cause_of, compare, errors_by
from condsim.trace import Trace

BY = ("mechanism", "profile", "strategy", "batch", "baseline", "phase")
"""Columns that cases can be grouped by."""
THIS_TRACE, ALL_TRACES = "this trace", "all traces"
SUITE = "models of make accuracy"
LAYERS = "GPU layers of others"
NAME_OF_A_RUN = re.compile(r"[\d-]+(-[a-z])?")
"""Runs in other dtypes, threads and runtimes say so in their names."""
WORST = 5
WORST_COLUMNS = (
    "trace",
    "strategy",
    "phase",
    "batch",
    "baseline",
    "predicted_speedup",
    "measured_speedup",
    "error",
)


@dataclass(frozen=True)
class Cases:
    """Measured cases with their predictions.

    table: of `condsim.compare`. command, python: what gives the same table.
    """

    table: pd.DataFrame
    command: str
    python: str


@dataclass(frozen=True)
class Choice:
    """What is shown. by: one of BY. own_only: only what was measured on the profile's machine."""

    cases: str
    by: str = BY[0]
    own_only: bool = False


def page() -> None:
    """Lay the page out."""
    scenario = captured_scenario()
    runs = runs_of_make_accuracy()
    choice = choice_input(runs)
    if choice.cases == LAYERS:
        show_layers(scenario)
        return
    if choice.cases == SUITE:
        cases = cases_of_a_run(run_input(runs))
    else:
        every_trace = choice.cases == ALL_TRACES
        names = list(library.traces()) if every_trace else [scenario.name]
        cases = cases_of_traces(names)
    if cases.table.empty:
        measure = shlex.join(["condsim", "measure", scenario.where])
        st.info(
            f"Nothing was measured yet. {code(measure)} times this model here,"
            " against both baselines."
        )
        return
    show_cases(cases, choice, scenario)


def runs_of_make_accuracy() -> list[Path]:
    """Tables that `make accuracy` wrote, the newest first; in the repository, not in the wheel."""
    tables = resource("benchmarks").glob("runs/*/cases.parquet")
    named = [table for table in tables if NAME_OF_A_RUN.fullmatch(table.parent.name)]
    return sorted(named, reverse=True)


def choice_input(runs: Sequence[Path]) -> Choice:
    """Let the user choose cases. runs: of `make accuracy`."""
    suite = [SUITE] if runs else []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cases = boxes.one_of_few("Cases", (THIS_TRACE, ALL_TRACES, *suite, LAYERS), "cases")
        if cases == LAYERS:
            return Choice(LAYERS)
        by = boxes.one_of("Group by", BY, BY[0], "by", width=200)
        own_only = boxes.ticked("Only what was measured on the machine of its profile", "own")
    return Choice(cases, by, own_only)


def run_input(runs: Sequence[Path]) -> Path:
    """Let the user choose a run of `make accuracy`."""
    run = boxes.one_of("Run", runs, runs[0], "run", lambda table: str(table.parent.name), width=200)
    st.caption(
        f"Measured and predicted by `make accuracy` in fresh processes (run {run.parent.name});"
        " docs/accuracy.md names the causes of its errors."
    )
    return run


def cases_of_a_run(run: Path) -> Cases:
    """The cases of a run of `make accuracy`. run: its table."""
    folder = f"benchmarks/runs/{run.parent.name}"
    reading = f"table = pd.read_parquet('{folder}/cases.parquet')"
    return Cases(
        pd.read_parquet(run),
        f"python -m benchmarks.accuracy {folder}",
        f"import pandas as pd\n\n{reading}\nprint(table)",
    )


def cases_of_traces(names: Sequence[str]) -> Cases:
    """The cases of those of the traces that were measured; an empty table where none was."""
    tables = {}
    bar = st.progress(0.0, "predicting what was measured")
    for done, name in enumerate(names):
        bar.progress(done / len(names), f"predicting what was measured of {markdown(name)}")
        table = compared(name)
        if len(table):
            tables[name] = table
    bar.empty()
    if not tables:
        return Cases(pd.DataFrame(), "", "")
    where = [library.where(name) for name in tables]
    of = "[trace]" if len(where) == 1 else "traces"
    return Cases(
        pd.concat(tables.values(), ignore_index=True),
        shlex.join(["condsim", "compare", *where]),
        python(where, f"table = condsim.compare({of})", "print(table)"),
    )


def compared(name: str) -> pd.DataFrame:
    """Every measured case of a trace, predicted on the profile that it was measured under."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> pd.DataFrame:
        return compare([trace], profile)

    scenario = Scenario(name=name, where=library.where(name))
    return library.computed_once("compare", scenario, compute)


def show_cases(cases: Cases, choice: Choice, scenario: Scenario) -> None:
    """Show the errors of cases, in all, by group and the worst."""
    table, by = cases.table, choice.by
    if choice.own_only:
        table = table[table["same_machine"].astype(bool)]
    recipe = Recipe(scenario, cases.command, cases.python)
    st.markdown(headline(table))
    profile = fields.profile_of(library.open_trace(scenario.name), scenario.device)
    note = note_on_device(table, profile)
    if note:
        st.warning(markdown(note))
    left, right = st.columns([5, 6], gap="medium")
    with left:
        show(scatter_of(table, by), recipe)
        st.caption(
            "Filled: measured on the machine of the profile. Hollow: on another, not in the"
            " statistics. Band: 10 %. Lines: 90 % intervals."
        )
    with right:
        show_groups(table, by, recipe)
        show(residuals_of(table, by), recipe)
    st.markdown("**The worst cases, and what they say themselves**")
    st.dataframe(
        worst_cases(table),
        hide_index=True,
        column_config=columns.OF_ERRORS,
        key="worst",
        alt="The cases with the largest errors",
    )


def headline(table: pd.DataFrame) -> str:
    """The errors of all cases in one sentence."""
    line = accuracy_line(table)
    return f"#### {markdown(line[:1].upper() + line[1:])}"


def note_on_device(table: pd.DataFrame, profile: HardwareProfile) -> str:
    """That the chosen device is not among those that were checked; empty where it is.

    profile: of the chosen device.
    """
    if profile.name in machines(table):
        return ""
    return not_checked_line(profile.name, "calibrated" if profile.calibrated else "estimated")


def scatter_of(table: pd.DataFrame, by: str) -> Figure:
    """Predicted against measured speedup."""
    return Figure(
        "accuracy",
        charts.speedups(table, by),
        table,
        draw=lambda: accuracy_figure(table, by),
        says="Predicted against measured speedup",
    )


def residuals_of(table: pd.DataFrame, by: str) -> Figure:
    """Errors against batch."""
    return Figure(
        "residuals",
        charts.residuals(table, by),
        table,
        draw=lambda: residual_figure(table, by),
        says="Errors against batch",
    )


def show_groups(table: pd.DataFrame, by: str, recipe: Recipe) -> None:
    """Show the errors of each group."""
    groups = errors_by(table, by)
    st.dataframe(
        groups,
        hide_index=True,
        column_config=columns.OF_ERRORS,
        key="groups",
        alt=f"Errors by {by}",
    )
    grouping = f"from condsim.study.compare import errors_by\nprint(errors_by(table, {by!r}))"
    of_groups = replace(recipe, python=f"{recipe.python}\n{grouping}")
    take_away("groups", groups, of_groups)


def worst_cases(table: pd.DataFrame) -> pd.DataFrame:
    """The cases with the largest errors and their causes, without columns in which all are alike.

    Columns: WORST_COLUMNS and cause.
    """
    errors = table["error"].abs()
    worst_first = errors.sort_values(ascending=False)
    worst = table.loc[worst_first.index[:WORST]]
    causes = [cause_of(row) for row in worst.to_dict("records")]
    alike = [column for column in ("trace", "phase") if table[column].nunique() == 1]
    shown = worst[list(WORST_COLUMNS)].drop(columns=alike)
    return shown.assign(cause=causes)


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
