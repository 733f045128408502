"""What waited for what?"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import timeline as charts
from condsim.dashboard.charts.timeline import MOST_SLICES
from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import simulate_command, simulate_python
from condsim.dashboard.parts.scenario import Scenario
from condsim.predict.prediction import Prediction
from condsim.predict.timeline import write_chrome_trace
from condsim.show.escape import markdown
from condsim.show.plots import timeline_figure
from condsim.show.text import si

TIME_COLUMN = {"ms": st.column_config.NumberColumn("ms in all", format="%.4g")}


def page() -> None:
    """Lay the page out."""
    scenario = current_scenario()
    prediction = library.answer_to(scenario).prediction
    table = slices(prediction)
    st.markdown("#### The first step: " + ", ".join(ends(table)))
    wanted = wanted_input(table)
    shown = wanted.of(table)
    if shown.empty:
        longest_us = table["duration_s"].max() * 1e6
        st.info(
            f"No kernel takes {wanted.shortest_us:g} µs or more;"
            f" the longest takes {longest_us:.1f} µs."
        )
        return
    drawn = longest(shown)
    show(timeline_of(drawn, several_lanes(table)), recipe(scenario))
    st.caption(caption(table, shown, drawn))
    download_button(prediction, scenario)
    st.markdown("**Where the time is**")
    st.dataframe(
        totals(table),
        hide_index=True,
        key="totals",
        alt="Milliseconds by side and operator",
        column_config=TIME_COLUMN,
    )


def slices(prediction: Prediction) -> pd.DataFrame:
    """The kernels of the first step, the baseline named as the dense model.

    Columns: those of `condsim.predict.timeline`.
    """
    table = prediction.timeline
    dense = f"dense ({prediction.baseline})"
    return table.assign(side=table["side"].replace({"baseline": dense}))


def several_lanes(table: pd.DataFrame) -> bool:
    """Whether a side has a lane for its device beside that of the host."""
    return table["lane"].nunique() > 1


def ends(table: pd.DataFrame) -> list[str]:
    """When each side ends, and after how many kernels."""
    words = []
    for side, of_side in table.groupby("side", sort=False):
        slice_end_s = of_side["start_s"] + of_side["duration_s"]
        end_s = float(slice_end_s.max())
        lane = of_side["lane"].min()  # "device" comes before "host"
        kernels = int((of_side["lane"] == lane).sum())
        words.append(f"{side} {si(end_s, 's')} in {kernels:,} kernels")
    return words


@dataclass(frozen=True)
class Wanted:
    """Which slices are asked for. parts: what they do; empty: anything."""

    parts: Sequence[str] = ()
    shortest_us: float = 0.0

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that are asked for."""
        rows = table[table["duration_s"] >= self.shortest_us * 1e-6]
        if not self.parts:
            return rows
        return rows[rows["part"].isin(self.parts)]


def wanted_input(table: pd.DataFrame) -> Wanted:
    """Let the user choose slices."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        known = list(dict.fromkeys(table["part"]))
        parts = boxes.some_of_few("Show", known, "parts", markdown, help="Nothing chosen: all.")
        shortest_us = boxes.number("At least, µs", "shortest", low=0.0, usual=0.0, width=140)
    return Wanted(parts, shortest_us or 0.0)


def longest(table: pd.DataFrame) -> pd.DataFrame:
    """As many slices as a browser can draw, the longest; in the order of their starts."""
    if len(table) <= MOST_SLICES:
        return table
    of_longest = table.nlargest(MOST_SLICES, "duration_s")
    return of_longest.sort_values("start_s")


def timeline_of(table: pd.DataFrame, name_lanes: bool) -> Figure:
    """The slices on lanes. name_lanes: a side has more than one."""
    start_s, duration_s = table["start_s"], table["duration_s"]
    end_s = start_s + duration_s
    lane = table["side"]
    if name_lanes:
        lane = table["side"] + ", " + table["lane"]
    drawn = table.assign(
        lane=lane,
        start_ms=start_s * 1e3,
        end_ms=end_s * 1e3,
        duration_us=duration_s * 1e6,
    )
    chart = charts.timeline(drawn)
    return Figure(
        "timeline",
        chart,
        drawn,
        draw=lambda: timeline_figure(drawn),
        says="Kernels of one step, both sides",
    )


def recipe(scenario: Scenario) -> Recipe:
    """How to get the same slices."""
    command = simulate_command(scenario, "--timeline", f"{scenario.name}.json")
    code = simulate_python(scenario, "print(p.timeline)")
    return Recipe(scenario, command, code)


def caption(table: pd.DataFrame, wanted: pd.DataFrame, drawn: pd.DataFrame) -> str:
    """What is shown of all slices, and how to read them.

    table: all slices. wanted: those that were asked for. drawn: those that a browser is given.
    """
    words = []
    if len(drawn) < len(table):
        which = ", the longest." if len(drawn) < len(wanted) else "."
        words.append(f"Showing {len(drawn):,} of {len(table):,} slices{which}")
    if several_lanes(table):
        words.append("A gap in a device's lane: it waits for the host.")
    words.append(
        "Scroll to zoom, drag to move. Weights are taken as resident; every slice says in its"
        " tooltip what its time rests on."
    )
    return " ".join(words)


def download_button(prediction: Prediction, scenario: Scenario) -> None:
    """A button for the whole step."""
    st.download_button(
        "Download for Perfetto",
        lambda: perfetto(prediction),
        f"{scenario.name}-timeline.json",
        "application/json",
        on_click="ignore",
        icon=":material/download:",
        help="Open it in ui.perfetto.dev or chrome://tracing:"
        " both sides are processes of one file.",
    )


def perfetto(prediction: Prediction) -> bytes:
    """The whole step as a file that ui.perfetto.dev opens."""
    with tempfile.TemporaryDirectory() as folder:
        file = write_chrome_trace(prediction, Path(folder) / "step.json")
        return file.read_bytes()


def totals(table: pd.DataFrame) -> pd.DataFrame:
    """How many slices and milliseconds each operator has, most milliseconds first."""
    keys = ["side", "lane", "operator", "part", "basis"]
    if not several_lanes(table):
        keys.remove("lane")
    groups = table.groupby(keys, as_index=False, sort=False)
    summed = groups.agg(slices=("duration_s", "size"), ms=("duration_s", milliseconds))
    return summed.sort_values("ms", ascending=False)


def milliseconds(durations_s: pd.Series) -> float:
    """Their sum."""
    return float(durations_s.sum() * 1e3)


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
