"""What fills the memory?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import memory as charts
from condsim.dashboard.parts import library
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import simulate_command, simulate_python
from condsim.dashboard.parts.scenario import Scenario
from condsim.predict.prediction import Prediction
from condsim.show.decision_plots import memory_figure
from condsim.show.escape import markdown
from condsim.show.text import percent, size
from condsim.study.memory_parts import ALL, memory_parts

FAR = 4.0
"""A device that has so many times what is needed stands outside of the chart."""
MB = 1e6
NUMBER = st.column_config.NumberColumn
COLUMNS: Mapping[str, Any] = {
    "dense_mb": NUMBER("dense, MB", format="%.4g"),
    "conditional_mb": NUMBER("conditional, MB", format="%.4g"),
    "added_mb": NUMBER(
        "more than dense, MB", format="%.4g", help="Below 0 where the conditional model saves."
    ),
}
PYTHON = "from condsim.study.memory_parts import memory_parts\nprint(memory_parts(p))"


def page() -> None:
    """Lay the page out."""
    scenario = current_scenario()
    p = library.answer_to(scenario).prediction
    st.markdown(f"#### {markdown(headline(p))}")
    for line in lines(p):
        st.markdown(markdown(line))
    table = memory_parts(p)
    show(figure_of(table, p), recipe(scenario))
    st.dataframe(
        in_mb(table),
        hide_index=True,
        column_config=COLUMNS,
        key="parts",
        alt="Megabytes of each part, dense and conditional",
    )


def headline(p: Prediction) -> str:
    """Does it fit, and what does the dense model need?"""
    conditional, dense = p.memories
    needed, of_dense = size(conditional.needed_bytes), size(dense.needed_bytes)
    there = size(conditional.device_bytes)
    more = percent(conditional.needed_bytes / dense.needed_bytes - 1).replace("-0.0%", "+0.0%")
    fits = "It fits" if conditional.fits else "It does not fit"
    what = "a training step" if conditional.training else "a step"
    return (
        f"{fits}: {what} needs {needed} of the {there} that {p.profile} has; the {p.baseline}"
        f" dense model needs {of_dense} ({more})."
    )


def lines(p: Prediction) -> list[str]:
    """Where a training step has its peak, and what would make it fit."""
    said = []
    if p.memory.training is not None:
        said.append(f"The peak is in {p.memory.training.place}.")
    if not p.memory.fits:
        said.append(f"What would make it fit: {', '.join(p.memory.ways_out)}.")
    return said


def figure_of(table: pd.DataFrame, p: Prediction) -> Figure:
    """A bar a side. table: of `memory_parts`."""
    drawn = drawn_parts(table)
    largest = drawn.groupby("side")["bytes"].sum().max()
    there = p.memory.device_bytes
    near = there if there < FAR * largest else None
    return Figure(
        "memory",
        charts.memory(drawn, near),
        table,
        draw=lambda: memory_figure(drawn),
        says="What fills the memory at the peak of a step, dense and conditional",
    )


def drawn_parts(table: pd.DataFrame) -> pd.DataFrame:
    """A row a side and part: side, part, bytes, place. table: of `memory_parts`."""
    parts = table[table["part"] != ALL].reset_index(drop=True)
    sides = []
    for side in ("dense", "conditional"):
        columns = {
            "side": side,
            "part": parts["part"],
            "bytes": parts[f"{side}_bytes"],
            "place": parts.index,
        }
        sides.append(pd.DataFrame(columns))
    return pd.concat(sides, ignore_index=True)


def in_mb(table: pd.DataFrame) -> pd.DataFrame:
    """The table in megabytes. table: of `memory_parts`."""
    columns = {"part": table["part"]}
    for name in ("dense", "conditional", "added"):
        columns[f"{name}_mb"] = table[f"{name}_bytes"] / MB
    return pd.DataFrame(columns)


def recipe(scenario: Scenario) -> Recipe:
    """How to get the same parts."""
    command = simulate_command(scenario, "--json")
    return Recipe(scenario, command, simulate_python(scenario, PYTHON))


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
