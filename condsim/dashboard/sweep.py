"""What do all points of a grid say?"""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import decisions as charts
from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.models import asked_model
from condsim.dashboard.parts.reproduce import keywords, python
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.work import Job, results_of
from condsim.decide.sweep.axes import parse_axis
from condsim.decide.sweep.run import grid_of, priced
from condsim.decide.sweep.table import read_bytes, schema_of
from condsim.decide.sweep.workers import Workers
from condsim.errors import CondsimError
from condsim.show.decision_plots import range_figure
from condsim.show.escape import code, markdown
from condsim.show.sweep import points_listing, summary_line

USUAL = "batch=1:64:log2"
EXAMPLES = (USUAL, "batch=1:64:log2 strategy=all", "memory.dram.bandwidth=0.5,1,2")
AT_ONCE = 16
"""Points that are priced unasked."""
MOST_POINTS = 5000
MOST_UPLOAD_MB = 200


def page() -> None:
    """Lay the page out."""
    scenario = current_scenario()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = boxes.text("Grid: axes and their values", "grid", placeholder=USUAL)
        with st.popover("Open a table", icon=":material/upload_file:"):
            opened = opened_table()
    text = typed.strip() or USUAL
    st.caption(f"As {code('condsim sweep --grid')} takes them: {', '.join(map(code, EXAMPLES))}.")
    table = swept(scenario, text) if opened is None else opened
    if table.empty:
        return
    st.markdown(f"#### {markdown(summary_line(table))}")
    predicted = table[table["error"].isna()]
    if len(predicted):
        show(figure_of(predicted, text if opened is None else ""), recipe(scenario, text))
    words = points_listing(table, table).for_page()
    st.dataframe(words, hide_index=True, key="points", alt="All points of the grid")


def over_of(text: str) -> dict[str, Any]:
    """Axis → values. Raises CondsimError for what is no axis."""
    over: dict[str, Any] = {}
    for word in text.split():
        name, values = parse_axis(word)
        if name in over:
            raise CondsimError(f"the grid names {name} twice; list its values: {name}=A,B,C")
        over[name] = values
    return over


def swept(scenario: Scenario, text: str) -> pd.DataFrame:
    """The points of a grid, as far as they are priced."""
    subject = library.subject(scenario.name)
    over = over_of(text)
    changed = scenario.changed()
    device = scenario.profile(library.open_trace(scenario.name), library.device)
    asked = {**of_model(scenario), **changed}
    base = {name: value for name, value in asked.items() if name not in (*over, "device")}
    grid = grid_of(subject, over, device, base)
    chunks = grid.chunks()
    points = sum(map(len, chunks))
    if points > MOST_POINTS:
        raise CondsimError(
            f"the grid has {points:,} points; a page sweeps at most {MOST_POINTS:,}: condsim sweep "
            "does more, and this page opens its table"
        )

    def begin() -> Iterator[Any]:
        for _, rows in priced(subject, chunks, Workers(1)):
            yield from rows

    quick = points <= AT_ONCE and asked_model(scenario.name) is None
    job = Job("sweep", (scenario, text), points, begin, at_once=quick, noun="points")
    rows = results_of(job)
    columns = schema_of(grid.axes, grid.details).names
    return pd.DataFrame(rows).reindex(columns=columns)


def of_model(scenario: Scenario) -> dict[str, Any]:
    """What is asked of a model of the catalogue, by name; nothing of a trace."""
    asked = asked_model(scenario.name)
    return {} if asked is None else asked.fields()


def opened_table() -> pd.DataFrame | None:
    """A table that the user drops on the page; None for none."""
    file = st.file_uploader(
        "A table of condsim sweep", type="parquet", key="table", max_upload_size=MOST_UPLOAD_MB
    )
    return None if file is None else read_bytes(io.BytesIO(file.getvalue()), file.name)


def figure_of(table: pd.DataFrame, text: str) -> Figure:
    """Speedups along the first axis of numbers, a line a value of what else differs most."""
    x = axis_of(table, text)
    by = lines_by(table, x)
    shown = table
    if by is None and x != "point":
        shown = table.drop_duplicates(x)
    labels = (x, "speedup")
    return Figure(
        "sweep",
        charts.ranges(shown, x, by),
        table,
        draw=lambda: range_figure(shown, x, by, labels),
        says=f"Speedup along {x}" + ("" if by is None else f", by {by}"),
    )


def axis_of(table: pd.DataFrame, text: str) -> str:
    """The column that lies along x: the first axis of numbers; else the batch."""
    names = [word.partition("=")[0] for word in text.split()]
    numbers = [
        name for name in names if name in table and table[name].dtype.kind in "if"
    ]  # as typed
    varied = [name for name in numbers if table[name].nunique() > 1]
    return (varied or numbers or ["batch"])[0]


def lines_by(table: pd.DataFrame, x: str) -> str | None:
    """The column of words that has most values, of those that differ; None where none does."""
    words = ("device", "strategy", "runtime", "dtype", "baseline", "protocol", "weights")
    counts = {name: table[name].nunique() for name in words if name in table and name != x}
    most = max(counts, key=lambda name: counts[name])
    return most if counts[most] > 1 else None


def recipe(scenario: Scenario, text: str) -> Recipe:
    """How to get the same."""
    over = over_of(text)
    asked = asked_model(scenario.name)
    subject = scenario.where if asked is None else asked.model.name
    options = {**of_model(scenario), **scenario.changed()}
    left = {name: value for name, value in options.items() if name not in over}
    words = ["condsim", "sweep", subject]
    for axis in text.split():
        words += ["--grid", axis]
    for name, value in left.items():
        words += [f"--{name}", str(value)]
    arguments = ["trace" if asked is None else repr(subject), repr(over)]
    if "device" in left:
        arguments.append(repr(left.pop("device")))
    arguments += keywords(left)
    line = f"print(condsim.sweep({', '.join(arguments)}))"
    where = [scenario.where] if asked is None else []
    return Recipe(scenario, shlex.join(words), python(where, line))


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
