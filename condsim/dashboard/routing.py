"""What did the model decide?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from condsim import routing
from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure
from condsim.dashboard.parts.scenario import python
from condsim.dashboard.parts.shell import the_scenario
from condsim.plots import lines_figure, load_figure

scenario = the_scenario()
trace = library.opened(scenario.name)
found = library.kept("load", scenario, lambda trace, _: routing.load(trace))
command = scenario.command("--json", flags=("phase",))


def reproduced(call: str) -> str:
    """Python for a table."""
    return python([scenario.where], "from condsim import routing", f"print(routing.{call})")


said = [f"{s.mechanism.replace('_', ' ')}, {s.branches} branches" + (f", top {s.top_k}" if s.top_k else "") for s in trace.sites]
kinds = {what: said.count(what) for what in dict.fromkeys(said)}
st.markdown("#### " + "; ".join(f"{n} site{'s' if n > 1 else ''}: {what}" for what, n in kinds.items()))
st.caption(f"{trace.units:,} units in {len(trace.steps):,} steps. Every number on this page is counted from the captured decisions: measured.")
routed = found["mechanism"] == "moe"
for value, part in (("relative", found[routed]), ("share", found[~routed])):
    if len(part):
        heading = "Load of each expert, as a multiple of the mean" if value == "relative" else "Share of the rows that decided which take each branch"
        st.markdown(f"**{heading}**")
        chart = charts.load(part, value)
        name = f"load-{value}"
        if set(part["mechanism"]) & {"early_exit", "skip"}:
            st.caption("Branch 0: the row leaves, or jumps over the layer. Branch 1: it goes on, or enters.")
        figure(name, chart, part, partial(load_figure, part, value), scenario, heading, command, reproduced("load(trace)"), width="content")
left, right = st.columns(2, gap="medium")
batches = routing.powers(trace.units)
with left:
    st.markdown("**Branches touched by a step, against batch**")
    table = library.kept("touched", scenario, lambda trace, _: routing.touched(trace, batches, scenario.phase))
    labels = ("batch", "share of branches touched")
    figure(
        "touched", charts.lines(table, "batch", "share", "site", labels, log2=True, zero=True), table,
        lambda: lines_figure(table, "batch", "share", "site", labels, log2=True), scenario, "Share of branches that a step touches, by batch size", command,
        reproduced(f"touched(trace, {batches}, {scenario.phase!r})"),
    )  # fmt: skip
with right:
    st.markdown("**How alike are two steps, against how far they are apart**")
    like = library.kept("alike", scenario, lambda trace, _: routing.alike(trace, scenario.batch, scenario.phase))
    names = ("steps apart (0: paired at random)", "share of rows to the same branches")
    figure(
        "alike", charts.lines(like, "lag", "alike", "site", names), like, lambda: lines_figure(like, "lag", "alike", "site", names), scenario,
        "Share of rows that two steps send to the same branches, by distance", command, reproduced(f"alike(trace, {scenario.batch!r}, {scenario.phase!r})"),
    )  # fmt: skip
