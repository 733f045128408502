"""Is it true?"""

from __future__ import annotations

import shlex

import pandas as pd
import streamlit as st

from condsim.compare import cause_of, compare, errors_by, errors_of
from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure, take_away
from condsim.dashboard.parts.scenario import Scenario, python
from condsim.dashboard.parts.shell import the_scenario
from condsim.plots import accuracy_figure, residual_figure
from condsim.show import error_line

BY = ("mechanism", "profile", "strategy", "batch", "baseline", "phase")
PERCENT = st.column_config.NumberColumn(format="percent")
SPEEDUP = st.column_config.NumberColumn(format="%.3fx")
COLUMNS = dict.fromkeys(("bias", "median_abs_error", "p90_abs_error", "worst_abs_error", "error"), PERCENT) | {
    "predicted_speedup": SPEEDUP,
    "measured_speedup": SPEEDUP,
}
WORST = 5


def compared(name: str) -> pd.DataFrame:
    """Every measured case of one trace, predicted on the profile that it was measured under."""
    return library.kept("compare", Scenario(name, library.where(name)), lambda trace, profile: compare([trace], profile))


scenario = the_scenario()
with st.container(horizontal=True, vertical_alignment="bottom"):
    chosen = st.segmented_control("Cases", ("this trace", "all traces"), default="this trace", required=True, key="cases", bind="query-params")
    by = st.selectbox("Group by", BY, key="by", bind="query-params", width=200)
    own_only = st.checkbox("Only what was measured on the machine of its profile", key="own", bind="query-params")
names = [n for n in library.traces() if chosen == "all traces" or n == scenario.name]
bar = st.progress(0.0, "predicting what was measured")
tables = []
for done, name in enumerate(names):
    bar.progress(done / len(names), f"predicting what was measured of {name}")
    tables.append(compared(name))
bar.empty()
measured = [t for t in tables if len(t)]
if not measured:
    st.info(f"Nothing was measured yet. `condsim measure {scenario.where}` times this model here, against both baselines.")
    st.stop()
table = pd.concat(measured, ignore_index=True)
table = table[table["same_machine"].astype(bool)] if own_only else table
where = [library.where(n) for n, t in zip(names, tables, strict=True) if len(t)]
command = shlex.join(["condsim", "compare", *where])
code = python(where, f"table = condsim.compare({'[trace]' if len(where) == 1 else 'traces'})", "print(table)")

st.markdown(f"#### {error_line(errors_of(table))}")
left, right = st.columns([5, 6], gap="medium")
with left:
    figure("accuracy", charts.accuracy(table, by), table, lambda: accuracy_figure(table, by), scenario, "Predicted against measured speedup", command, code)
    st.caption("Filled: measured on the machine of the profile. Hollow: on another, not in the statistics. Band: 10 %. Lines: 90 % intervals.")
with right:
    groups = errors_by(table, by)
    st.dataframe(groups, hide_index=True, column_config=COLUMNS, key="groups", alt=f"Errors by {by}")
    take_away("groups", groups, scenario, command, code + f"\nfrom condsim.compare import errors_by\nprint(errors_by(table, {by!r}))")
    figure("residuals", charts.residuals(table, by), table, lambda: residual_figure(table, by), scenario, "Errors against batch", command, code)
st.markdown("**The worst cases, and what they say themselves**")
worst = table.loc[table["error"].abs().sort_values(ascending=False).index[:WORST]]
columns = ["trace", "strategy", "phase", "batch", "baseline", "predicted_speedup", "measured_speedup", "error"]
shown = worst[columns].assign(cause=[cause_of(r) for r in worst.to_dict("records")])
st.dataframe(shown, hide_index=True, column_config=COLUMNS, key="worst", alt="The cases with the largest errors")
