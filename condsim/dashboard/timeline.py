"""What waited for what?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure
from condsim.dashboard.parts.shell import the_scenario
from condsim.plots import timeline_figure
from condsim.show import si
from condsim.timeline import write_chrome_trace

scenario = the_scenario()
p = library.answered(scenario).prediction
table = p.timeline
sides = {side: float((part["start_s"] + part["duration_s"]).max()) for side, part in ((str(s), table[table["side"] == s]) for s in table["side"].unique())}
st.markdown("#### The first step: " + ", ".join(f"{side} {si(end, 's')} in {int((table['side'] == side).sum()):,} kernels" for side, end in sides.items()))
with st.container(horizontal=True, vertical_alignment="bottom"):
    parts = st.pills("Show", list(dict.fromkeys(table["part"])), selection_mode="multi", key="parts", bind="query-params", help="Nothing chosen: all.")
    shortest = st.number_input("At least, µs", 0.0, value=0.0, key="shortest", bind="query-params", width=140)
some = table[table["part"].isin(parts or list(table["part"])) & (table["duration_s"] >= shortest * 1e-6)]
kept = some.nlargest(charts.SLICES, "duration_s").sort_values("start_s") if len(some) > charts.SLICES else some
drawn = kept.assign(
    lane=kept["side"], start_ms=kept["start_s"] * 1e3, end_ms=(kept["start_s"] + kept["duration_s"]) * 1e3, duration_us=kept["duration_s"] * 1e6
)
if drawn.empty:
    st.info(f"No kernel takes {shortest:g} µs or more; the longest takes {table['duration_s'].max() * 1e6:.1f} µs.")
    st.stop()
python = scenario.python("print(p.timeline)")
command = scenario.command("--timeline", f"{scenario.name}.json")
figure("timeline", charts.timeline(drawn), drawn, lambda: timeline_figure(drawn), scenario, "Kernels of one step, both sides", command, python)
hidden = f"Showing {len(kept):,} of {len(table):,} kernels" + (", the longest." if len(some) > charts.SLICES else ".") if len(kept) < len(table) else ""
st.caption(f"{hidden} Scroll to zoom, drag to move. Weights are taken as resident; every slice says in its tooltip what its time rests on.")


def perfetto() -> bytes:
    """The whole step as a file that ui.perfetto.dev opens."""
    with tempfile.TemporaryDirectory() as folder:
        return write_chrome_trace(p, Path(folder) / "step.json").read_bytes()


st.download_button(
    "Download for Perfetto", perfetto, f"{scenario.name}-timeline.json", "application/json", on_click="ignore", icon=":material/download:",
    help="Open it in ui.perfetto.dev or chrome://tracing: both sides are processes of one file.",
)  # fmt: skip
st.markdown("**Where the time is**")
totals = table.groupby(["side", "operator", "part", "basis"], as_index=False, sort=False).agg(kernels=("duration_s", "size"), seconds=("duration_s", "sum"))
st.dataframe(totals.sort_values("seconds", ascending=False), hide_index=True, key="totals", alt="Seconds by side and operator",
             column_config={"seconds": st.column_config.NumberColumn(format="%.3e")})  # fmt: skip
