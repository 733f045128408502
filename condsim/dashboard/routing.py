"""What did the model decide?"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import routing as charts
from condsim.dashboard.charts.routing import Lines
from condsim.dashboard.parts import library
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import app_command, python, simulate_command
from condsim.dashboard.parts.scenario import Scenario
from condsim.mechanisms import MECHANISMS
from condsim.show.plots import lines_figure, load_figure
from condsim.study import routing
from condsim.trace import Trace

COUNTED = "# the prediction; what was counted: in Python"


def page() -> None:
    """Lay the page out."""
    scenario = current_scenario()
    trace = library.open_trace(scenario.name)
    load = library.computed_once("load", scenario, lambda trace, _: routing.load(trace))
    st.markdown(headline(trace))
    st.caption(
        f"{trace.units:,} units in {len(trace.steps):,} steps. Every number on this page is"
        " counted from the captured decisions: measured."
    )
    for part in parts_of(load):
        st.markdown(f"**{part.heading}**")
        run_share = part.share_of_blocks()
        if run_share is not None:
            st.caption(f"A row runs {run_share:.0%} of the blocks, the mean over sites.")
        show(part.figure(), recipe(scenario, "load(trace)"))
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Branches touched by a step, against batch**")
        show_touched(scenario, routing.powers(trace.units))
    with right:
        st.markdown("**How alike are two steps, against how far they are apart**")
        show_alike(scenario)


def headline(trace: Trace) -> str:
    """How many sites of each kind the trace has, and of how many branches."""
    branches: dict[str, list[int]] = {}
    for site in trace.sites:
        kind = MECHANISMS[site.mechanism].title
        if site.top_k:
            kind += f", top {site.top_k}"
        branches.setdefault(kind, []).append(site.branches)
    words = []
    for kind, counts in branches.items():
        sites = "1 site" if len(counts) == 1 else f"{len(counts)} sites"
        fewest, most = min(counts), max(counts)
        span = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        words.append(f"{sites}: {kind}, {span} branches")
    return "#### " + "; ".join(words)


@dataclass(frozen=True)
class Load:
    """Load of the branches at some sites.

    table: rows of `condsim.study.routing.load`. value: the column that is drawn: relative or share.
    """

    table: pd.DataFrame
    value: str
    heading: str

    def figure(self) -> Figure:
        """The heat map."""
        named = with_named_branches(self.table)
        chart = charts.load(named, self.value)
        return Figure(
            f"load-{self.value}",
            chart,
            self.table,
            draw=lambda: load_figure(self.table, self.value),
            says=self.heading,
            width="stretch" if charts.has_few_cells(named) else "content",
        )

    def share_of_blocks(self) -> float | None:
        """Share of the weight blocks that a row runs, None where no site chooses among blocks."""
        selects_blocks = self.table["mechanism"].map(_selects_blocks)
        blocks = self.table[selects_blocks]
        if blocks.empty:
            return None
        return float(blocks["share"].mean())


def parts_of(load: pd.DataFrame) -> list[Load]:
    """The load of sites that a good router balances, and of the others; without empty ones."""
    balanced = load["mechanism"].map(_is_balanced)
    of_experts = Load(load[balanced], "relative", "Load of each expert, as a multiple of the mean")
    of_others = Load(
        load[~balanced], "share", "Share of the rows that decided which take each branch"
    )
    return [part for part in (of_experts, of_others) if len(part.table)]


def _is_balanced(mechanism: str) -> bool:
    return MECHANISMS[mechanism].balanced


def _selects_blocks(mechanism: str) -> bool:
    return MECHANISMS[mechanism].selects_blocks


def with_named_branches(table: pd.DataFrame) -> pd.DataFrame:
    """The table with words for the numbers of branches, where all its sites have the same words."""
    mechanisms = table["mechanism"].unique()
    names = MECHANISMS[mechanisms[0]].branch_names
    if len(mechanisms) > 1 or not names:
        return table
    return table.assign(branch=table["branch"].map(names))


def show_touched(scenario: Scenario, batches: list[int]) -> None:
    """Show how many branches a step touches."""

    def compute(trace: Trace, _: object) -> pd.DataFrame:
        return routing.touched(trace, batches, scenario.phase)

    table = library.computed_once("touched", scenario, compute)
    call = f"touched(trace, {batches}, {scenario.phase!r})"
    show(touched_figure(table), recipe(scenario, call))


def touched_figure(table: pd.DataFrame) -> Figure:
    """Lines of `condsim.study.routing.touched`."""
    lines = Lines(
        table,
        x="batch",
        y="share",
        x_title="batch",
        y_title="share of branches touched",
        x_doubles=True,
        y_from_zero=True,
    )
    says = "Share of branches that a step touches, by batch size"
    return lines_of("touched", lines, table, says)


def show_alike(scenario: Scenario) -> None:
    """Show how alike two steps are."""

    def compute(trace: Trace, _: object) -> pd.DataFrame:
        return routing.alike(trace, scenario.batch, scenario.phase)

    table = library.computed_once("alike", scenario, compute)
    call = f"alike(trace, {scenario.batch!r}, {scenario.phase!r})"
    show(alike_figure(table), recipe(scenario, call))


def alike_figure(table: pd.DataFrame) -> Figure:
    """Lines of `condsim.study.routing.alike`; dashed: its rows of lag 0."""
    lines = Lines(
        table[table["lag"] > 0],
        x="lag",
        y="alike",
        x_title="steps apart (dashed: steps paired at random)",
        y_title="share of rows to the same branches",
        levels=table[table["lag"] == 0],
    )
    says = "Share of rows that two steps send to the same branches, by distance"
    return lines_of("alike", lines, table, says)


def lines_of(name: str, lines: Lines, table: pd.DataFrame, says: str) -> Figure:
    """A figure of lines, a site each. table: what its CSV holds."""
    titles = (lines.x_title, lines.y_title)
    return Figure(
        name,
        charts.lines(lines),
        table,
        draw=lambda: lines_figure(
            lines.table, lines.x, lines.y, "site", titles, lines.x_doubles, lines.levels
        ),
        says=says,
    )


def recipe(scenario: Scenario, call: str) -> Recipe:
    """How to get a table of `condsim.study.routing`. call: of one of its functions."""
    if library.open_trace(scenario.name).header.has_programs:
        command = simulate_command(scenario, names=("phase",)) + f"  {COUNTED}"
    else:
        command = app_command(scenario)
    importing = "from condsim.study import routing"
    code = python([scenario.where], importing, f"print(routing.{call})")
    return Recipe(scenario, command, code)


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
