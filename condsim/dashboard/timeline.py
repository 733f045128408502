"""What waited for what?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure
from condsim.dashboard.parts.shell import the_scenario
from condsim.predict.timeline import write_chrome_trace
from condsim.show.plots import timeline_figure
from condsim.show.text import si

scenario = the_scenario()
p = library.answered(scenario).prediction
table = p.timeline
table = table.assign(side=table["side"].replace({"baseline": f"dense ({p.baseline})"}))
lanes = table["lane"].nunique() > 1
ends = [
    f"{side} {si(float((part['start_s'] + part['duration_s']).max()), 's')} in {int((part['lane'] == part['lane'].iloc[-1]).sum()):,} kernels"
    for side, part in (
        (side, table[table["side"] == side].sort_values("lane", ascending=False))
        for side in table["side"].unique()
    )
]
st.markdown("#### The first step: " + ", ".join(ends))
with st.container(horizontal=True, vertical_alignment="bottom"):
    parts = st.pills(
        "Show",
        list(dict.fromkeys(table["part"])),
        selection_mode="multi",
        key="parts",
        bind="query-params",
        help="Nothing chosen: all.",
    )
    shortest = st.number_input(
        "At least, µs", 0.0, value=0.0, key="shortest", bind="query-params", width=140
    )
some = table[
    table["part"].isin(parts or list(table["part"])) & (table["duration_s"] >= shortest * 1e-6)
]
kept = (
    some.nlargest(charts.SLICES, "duration_s").sort_values("start_s")
    if len(some) > charts.SLICES
    else some
)
drawn = kept.assign(
    lane=kept["side"] + (", " + kept["lane"] if lanes else ""),
    start_ms=kept["start_s"] * 1e3,
    end_ms=(kept["start_s"] + kept["duration_s"]) * 1e3,
    duration_us=kept["duration_s"] * 1e6,
)
if drawn.empty:
    st.info(
        f"No kernel takes {shortest:g} µs or more; the longest takes {table['duration_s'].max() * 1e6:.1f} µs."
    )
    st.stop()
python = scenario.python("print(p.timeline)")
command = scenario.command("--timeline", f"{scenario.name}.json")
figure(
    "timeline",
    charts.timeline(drawn),
    drawn,
    lambda: timeline_figure(drawn),
    scenario,
    "Kernels of one step, both sides",
    command,
    python,
)
hidden = (
    f"Showing {len(kept):,} of {len(table):,} slices"
    + (", the longest." if len(some) > charts.SLICES else ".")
    if len(kept) < len(table)
    else ""
)
gaps = " A gap in a device's lane: it waits for the host." if lanes else ""
st.caption(
    f"{hidden}{gaps} Scroll to zoom, drag to move. Weights are taken as resident; every slice says in its tooltip what its time rests on."
)


def perfetto() -> bytes:
    """The whole step as a file that ui.perfetto.dev opens."""
    with tempfile.TemporaryDirectory() as folder:
        return write_chrome_trace(p, Path(folder) / "step.json").read_bytes()


st.download_button(
    "Download for Perfetto",
    perfetto,
    f"{scenario.name}-timeline.json",
    "application/json",
    on_click="ignore",
    icon=":material/download:",
    help="Open it in ui.perfetto.dev or chrome://tracing: both sides are processes of one file.",
)
st.markdown("**Where the time is**")
alike = ["side", *(["lane"] if lanes else []), "operator", "part", "basis"]
totals = table.groupby(alike, as_index=False, sort=False).agg(
    slices=("duration_s", "size"), ms=("duration_s", lambda s: s.sum() * 1e3)
)
time = {"ms": st.column_config.NumberColumn("ms in all", format="%.4g")}
st.dataframe(
    totals.sort_values("ms", ascending=False),
    hide_index=True,
    key="totals",
    alt="Milliseconds by side and operator",
    column_config=time,
)
