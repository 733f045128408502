"""What has a test not seen?"""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from condsim.dashboard.charts import decisions as charts
from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.current import captured_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import flags, keywords, python
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.traces_like import traces_like
from condsim.decide.coverage.coverage import Coverage, coverage
from condsim.decide.coverage.set_cover import TestSet
from condsim.decide.coverage.test_set import TEST_SETS, smallest_test_set
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile
from condsim.show.coverage import (
    cost_line,
    estimate_line,
    seen_listing,
    test_set_line,
    tested_listing,
)
from condsim.show.decision_plots import bars_figure
from condsim.show.escape import markdown
from condsim.show.text import percent
from condsim.trace import Trace

ASKED = ("strategy", "dtype", "runtime", "threshold", "phase", "protocol")
"""Fields of a scenario that inputs are priced in: a batch is one input."""
NONE = "none"
PRICED = 128
BINS = 24


def page() -> None:
    """Lay the page out."""
    scenario = captured_scenario()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        others = [NONE, *traces_like(scenario.name)]
        production = boxes.one_of("A trace from production", others, NONE, "production")
        by = boxes.one_of("Smallest test set of", [NONE, *TEST_SETS], NONE, "test_set")
    seen = seen_by(scenario, None if production == NONE else production)
    st.markdown(headline(seen))
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Estimated share of a new input that does something unseen**")
        show(unseen_of(seen), recipe(scenario, production))
    with right:
        show_costs(seen, recipe(scenario, production))
    words = seen_listing(seen.table).for_page()
    st.dataframe(words, hide_index=True, key="coverage", alt="What was seen, by kind and site")
    st.caption(estimate_line(seen))
    if seen.production is not None:
        st.markdown("**Of production, this has tested**")
        tested = tested_listing(seen.production).for_page()
        st.dataframe(tested, hide_index=True, key="tested", alt="Tested of production")
    if by != NONE:
        st.markdown(markdown(test_set_line(test_set_of(scenario, by), by, seen.word)))


def asked(scenario: Scenario) -> dict[str, Any]:
    """Fields of the scenario that were chosen, and mean something for inputs alone."""
    changed = scenario.changed()
    return {name: changed[name] for name in ASKED if name in changed}


def seen_by(scenario: Scenario, production: str | None) -> Coverage:
    """What the trace has seen, computed once."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> Coverage:
        of = None if production is None else library.open_trace(production)
        return coverage(trace, profile, of, PRICED, **asked(scenario))

    return library.computed_once(f"coverage {production}", scenario, compute)


def test_set_of(scenario: Scenario, by: str) -> TestSet:
    """The smallest test set, computed once. Raises CondsimError where the trace has none."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> TestSet:
        device = resolve_profile(trace, profile) if by == "cost" else None
        return smallest_test_set(trace, by, device, **asked(scenario))

    return library.computed_once(f"test set {by}", scenario, compute)


def headline(seen: Coverage) -> str:
    """How much is unseen, in one sentence."""
    deepest = seen.deepest
    unseen = percent(deepest["unseen_mass"], sign=False)
    doubt = "; the estimate is doubtful, neighbours are alike" if deepest["doubtful"] else ""
    return (
        f"#### {unseen} of what a new {seen.word} does was never seen "
        f"({deepest['kind']}, {markdown(deepest['site'])}; {seen.units:,} {seen.word}s{doubt})"
    )


def unseen_of(seen: Coverage) -> Figure:
    """The unseen mass of each kind and site."""
    names = seen.table["kind"] + ", " + seen.table["site"]
    table = seen.table.assign(name=names, unseen_percent=seen.table["unseen_mass"] * 100)
    title = "% unseen"
    return Figure(
        "unseen",
        charts.bars(table, "name", "unseen_percent", title),
        seen.table,
        draw=lambda: bars_figure(table, "name", "unseen_percent", title),
        says="Estimated share of a new input that does something unseen, by kind and site",
    )


ALIKE = 1e-9
"""Relative: seconds that differ by less are the same, however they were rounded."""


def show_costs(seen: Coverage, how: Recipe) -> None:
    """Show what inputs cost, and the worst."""
    if seen.costs is None:
        st.caption(markdown(f"No seconds: {seen.why_no_costs}."))
        return
    st.markdown("**What inputs cost alone**")
    milliseconds = seen.costs.seconds * 1e3
    all_alike = np.ptp(milliseconds) <= ALIKE * milliseconds.max()
    counts, edges = np.histogram(milliseconds, 1 if all_alike else BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    table = pd.DataFrame({"milliseconds": middles, "inputs": counts})
    title = "inputs"
    figure = Figure(
        "costs",
        charts.costs(table),
        table,
        draw=lambda: bars_figure(table.round(4), "milliseconds", "inputs", title),
        says="How many inputs cost how much",
    )
    show(figure, how)
    st.caption(markdown(cost_line(seen.costs, seen.word, seen.profile)))


def recipe(scenario: Scenario, production: str) -> Recipe:
    """How to get the same."""
    words = ["condsim", "coverage", scenario.where, *flags(scenario, ("device", *ASKED))]
    if production != NONE:
        words += ["--of", library.where(production)]
    changed = scenario.changed()
    arguments = ["trace"]
    if "device" in changed:
        arguments.append(repr(changed["device"]))
    arguments += keywords(asked(scenario))
    line = f"print(condsim.coverage({', '.join(arguments)}).table)"
    return Recipe(scenario, shlex.join(words), python([scenario.where], line))


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
