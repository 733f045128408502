"""What moved, and what does it cost?"""

from __future__ import annotations

import shlex

import streamlit as st

from condsim.dashboard.charts import decisions as charts
from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.current import captured_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import flags, keywords, python
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.traces_like import traces_like
from condsim.decide.drift.drift import Drift, drift
from condsim.decide.drift.halves import halves
from condsim.hardware import HardwareProfile
from condsim.show.decision_plots import bars_figure
from condsim.show.drift import (
    decision_line,
    headline,
    new_territory_line,
    noise_line,
    seconds_listing,
    sites_listing,
)
from condsim.show.escape import markdown
from condsim.trace import Trace

OWN_HALVES = "its own first half against its second"
ASKED = ("strategy", "dtype", "runtime", "threshold", "phase", "protocol", "batch", "baseline")


def page() -> None:
    """Lay the page out."""
    scenario = captured_scenario()
    others = [OWN_HALVES, *traces_like(scenario.name)]
    other = boxes.one_of("Compared with", others, OWN_HALVES, "other")
    found = moved(scenario, other)
    verdict, _, rest = headline(found).partition(": ")
    colour = "orange" if found.drifted else "green"
    st.markdown(f"#### :{colour}-badge[{verdict}] {markdown(rest)}")
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Share of the assignments that moved, and what chance moves (tick)**")
        show(sites_of(found), recipe(scenario, other))
        st.caption(markdown(new_territory_line(found.new, found.word)))
        if other != OWN_HALVES:
            st.caption(markdown(noise_line(found)))
    with right:
        show_seconds(found)
    words = sites_listing(found.sites).for_page()
    st.dataframe(words, hide_index=True, key="sites", alt="What moved, by site")


def moved(scenario: Scenario, other: str) -> Drift:
    """What moved, computed once."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> Drift:
        if other == OWN_HALVES:
            first, second = halves(trace)
        else:
            first, second = trace, library.open_trace(other)
        changed = scenario.changed()
        asked = {name: changed[name] for name in ASKED if name in changed}
        return drift(first, second, profile, **asked)

    return library.computed_once(f"drift {other}", scenario, compute)


def sites_of(found: Drift) -> Figure:
    """How far each site moved, beside chance."""
    table = found.sites
    title = "share of the assignments"
    return Figure(
        "drift",
        charts.pairs(table, "site", "distance", "by_chance", title),
        table,
        draw=lambda: bars_figure(table, "site", "distance", title),
        says="Share of the assignments that moved at each site",
    )


def show_seconds(found: Drift) -> None:
    """Show what the drift costs."""
    st.markdown("**In seconds a step**")
    if found.seconds is None:
        st.caption(markdown(f"No seconds: {found.why_no_seconds}."))
        return
    words = seconds_listing(found.seconds).for_page()
    st.dataframe(words, hide_index=True, key="seconds", alt="What both traces cost, by strategy")
    st.caption(markdown(f"On {found.profile}: {decision_line(found)}."))


def recipe(scenario: Scenario, other: str) -> Recipe:
    """How to get the same."""
    changed = scenario.changed()
    words = ["drift.halves(trace)"] if other == OWN_HALVES else []
    options = keywords({name: changed[name] for name in ASKED if name in changed})
    device = [repr(changed["device"])] if "device" in changed else []
    if words:
        importing = "from condsim.decide.drift.halves import halves"
        arguments = ", ".join(["*halves(trace)", *device, *options])
        code = python([scenario.where], importing, f"print(condsim.drift({arguments}).moved)")
        command = "condsim drift A B  # halves of one trace: in Python"
        return Recipe(scenario, command, code)
    arguments = ", ".join(["*traces", *device, *options])
    where = [scenario.where, library.where(other)]
    code = python(where, f"print(condsim.drift({arguments}).moved)")
    asked = flags(scenario, ("device", *ASKED))
    return Recipe(scenario, shlex.join(["condsim", "drift", *where, *asked]), code)


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
