"""What did the model decide?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from condsim.dashboard.parts import charts, library
from condsim.dashboard.parts.figure import figure
from condsim.dashboard.parts.scenario import python
from condsim.dashboard.parts.shell import the_scenario
from condsim.show.plots import lines_figure, load_figure
from condsim.show.text import spoken
from condsim.study import routing

WAYS = {
    "early_exit": ("0: leaves", "1: goes on"),
    "skip": ("0: jumps over", "1: enters"),
}  # branches whose numbers do not say what they are

scenario = the_scenario()
trace = library.opened(scenario.name)
found = library.kept("load", scenario, lambda trace, _: routing.load(trace))
command = scenario.command("--json", flags=("phase",))


def reproduced(call: str) -> str:
    """Python for a table."""
    return python([scenario.where], "from condsim.study import routing", f"print(routing.{call})")


alike_sites: dict[str, list[int]] = {}
for s in trace.sites:
    alike_sites.setdefault(
        f"{spoken(s.mechanism)}" + (f", top {s.top_k}" if s.top_k else ""), []
    ).append(s.branches)
said = [
    f"{len(n)} site{'s' if len(n) > 1 else ''}: {what}, {min(n)}{f' to {max(n)}' if max(n) > min(n) else ''} branches"
    for what, n in alike_sites.items()
]
st.markdown("#### " + "; ".join(said))
st.caption(
    f"{trace.units:,} units in {len(trace.steps):,} steps. Every number on this page is counted from the captured decisions: measured."
)
routed = found["mechanism"] == "moe"
for value, part in (("relative", found[routed]), ("share", found[~routed])):
    if len(part):
        heading = (
            "Load of each expert, as a multiple of the mean"
            if value == "relative"
            else "Share of the rows that decided which take each branch"
        )
        st.markdown(f"**{heading}**")
        ways = WAYS.get(part["mechanism"].iloc[0])
        if ways is not None and part["mechanism"].nunique() == 1:
            shown = part.assign(branch=part["branch"].map(dict(enumerate(ways))))
        else:
            shown = part
        if (blocks := part[part["mechanism"] == "sparse_activation"]).size:
            st.caption(
                f"A row runs {blocks['share'].mean():.0%} of the blocks, the mean over sites."
            )
        chart = charts.load(shown, value)
        figure(
            f"load-{value}",
            chart,
            part,
            partial(load_figure, part, value),
            scenario,
            heading,
            command,
            reproduced("load(trace)"),
            width="content",
        )
left, right = st.columns(2, gap="medium")
batches = routing.powers(trace.units)
with left:
    st.markdown("**Branches touched by a step, against batch**")
    table = library.kept(
        "touched", scenario, lambda trace, _: routing.touched(trace, batches, scenario.phase)
    )
    labels = ("batch", "share of branches touched")
    figure(
        "touched",
        charts.lines(table, "batch", "share", "site", labels, log2=True, zero=True),
        table,
        lambda: lines_figure(table, "batch", "share", "site", labels, log2=True),
        scenario,
        "Share of branches that a step touches, by batch size",
        command,
        reproduced(f"touched(trace, {batches}, {scenario.phase!r})"),
    )
with right:
    st.markdown("**How alike are two steps, against how far they are apart**")
    like = library.kept(
        "alike", scenario, lambda trace, _: routing.alike(trace, scenario.batch, scenario.phase)
    )
    names = ("steps apart (dashed: steps paired at random)", "share of rows to the same branches")
    apart, level = like[like["lag"] > 0], like[like["lag"] == 0]
    figure(
        "alike",
        charts.lines(apart, "lag", "alike", "site", names, level=level),
        like,
        lambda: lines_figure(apart, "lag", "alike", "site", names, level=level),
        scenario,
        "Share of rows that two steps send to the same branches, by distance",
        command,
        reproduced(f"alike(trace, {scenario.batch!r}, {scenario.phase!r})"),
    )
