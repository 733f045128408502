"""Which device, strategy, model?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import compare as charts
from condsim.dashboard.charts.compare import Axes
from condsim.dashboard.parts import boxes, fields, library
from condsim.dashboard.parts.compared import (
    AS_CAPTURED,
    Choice,
    has_strategy,
    left_out,
    predicted_rows,
    scenarios_of,
    strategies_of_all,
)
from condsim.dashboard.parts.compared_elsewhere import code, command
from condsim.dashboard.parts.current import captured_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.work import Job, results_of
from condsim.predict.verdict import PAYS
from condsim.show.escape import markdown
from condsim.show.plots import pareto_figure
from condsim.show.text import number, times
from condsim.study.ranking import beside, front, most_comparable

RANKS = {
    "latency a unit": "latency_per_unit_s",
    "energy a unit": "energy_per_unit_j",
    "speedup": "speedup",
    "peak memory": "peak_bytes",
}
"""What rows are ranked by → its column. Less is better, except for the speedup."""
AXES = Axes(
    x="latency_per_unit_s",
    y="energy_per_unit_j",
    x_title="latency a unit, s",
    y_title="energy a unit, J (estimated)",
)
MAY_DIFFER = ("trace", "dtype", "runtime", "outputs", "batch", "phase", "baseline")
"""Columns in which rows may differ, so that their numbers must not be divided."""
NESTED = ("waterfall", "bases", "estimated", "rivals", "notes", "speedup_interval")
"""Columns of a prediction that are no plain values."""
NUMBER = st.column_config.NumberColumn
COLUMNS: Mapping[str, Any] = {
    "speedup": NUMBER(format="%.2fx", help="Over its own dense baseline, on the same device."),
    "interval": "90 % interval",
    "basis": "rests on",
    "latency_us": NUMBER("latency a unit, µs", format="%.4g"),
    "energy_mj": NUMBER("energy a unit, mJ", format="%.3g"),
    "peak_mb": NUMBER("peak memory, MB", format="%.3g"),
    "against": "against the reference",
}


@dataclass(frozen=True)
class Limits:
    """What a row may cost at most; None or 0: anything."""

    latency_ms: float | None = None
    peak_mb: float | None = None

    def allow(self, table: pd.DataFrame) -> pd.Series:
        """Which rows are within the limits, bool [rows]. table: latency_s and peak_bytes."""
        latency_ms = self.latency_ms or float("inf")
        peak_mb = self.peak_mb or float("inf")
        return (table["latency_s"] <= latency_ms * 1e-3) & (table["peak_bytes"] <= peak_mb * 1e6)


@dataclass(frozen=True)
class Order:
    """How rows are ordered. rank: one of RANKS. reference: name of the row that others stand by."""

    rank: str
    limits: Limits
    reference: str


def page() -> None:
    """Lay the page out."""
    scenario = captured_scenario()
    choice = choice_input(scenario)
    wanted = scenarios_of(scenario, choice)
    if not wanted:
        st.info("Choose at least one device, one strategy and one trace.")
        return
    scenarios = [one for one in wanted if has_strategy(one)]
    job = Job("compare", tuple(scenarios), len(scenarios), lambda: predicted_rows(scenarios))
    rows = results_of(job)
    good = [row for row in rows if "error" not in row]
    if good:
        table = prepared(good, several_traces=len(choice.models) > 1)
        order = order_input(list(table["name"]), most_comparable(table))
        ranking = ranked(table, order)
        if ranking.empty:
            st.info("Nothing is within these limits; raise one of them.")
            return
        show_ranking(ranking, order.rank)
        show(pareto_of(ranking), recipe(scenario, choice))
    for words in left_out([one for one in wanted if one not in scenarios]):
        st.caption(markdown(words))
    for row in rows:
        if "error" in row:
            st.caption(markdown(f"{row['profile']}, {row['strategy']}: {row['error']}"))


def choice_input(scenario: Scenario) -> Choice:
    """Let the user choose devices, strategies and traces."""
    trace = library.open_trace(scenario.name)
    known = fields.known_devices(trace)
    named = [AS_CAPTURED, *strategies_of_all(trace, known)]
    usual = scenario.strategy if scenario.strategy in named else AS_CAPTURED
    with st.container(horizontal=True):
        devices = boxes.some_of("Devices", known, known, "devices")
        strategies = boxes.some_of("Strategies", named, [usual], "strategies")
        models = boxes.some_of("Traces", list(library.traces()), [scenario.name], "models")
    return Choice(
        devices,
        strategies,
        models,
        every_device=set(devices) == set(known),
        every_strategy=set(strategies) >= set(named[1:]),
    )


def prepared(rows: Sequence[Mapping[str, Any]], several_traces: bool) -> pd.DataFrame:
    """Rows without an error as a table, each device, strategy and trace once.

    Adds name, low and high (of the speedup's interval), latency_per_unit_s and energy_per_unit_j.
    """
    once = ["profile", "strategy", "trace"]
    table = pd.DataFrame(rows).drop_duplicates(once, ignore_index=True)
    name = table["profile"] + ", " + table["strategy"]
    if several_traces:
        name += ", " + table["trace"]
    lows = [low for low, _ in table["speedup_interval"]]
    highs = [high for _, high in table["speedup_interval"]]
    units = table["batch"]
    return table.assign(
        name=name,
        low=lows,
        high=highs,
        latency_per_unit_s=table["latency_s"] / units,
        energy_per_unit_j=table["energy_j"] / units,
    )


def order_input(names: Sequence[str], reference: int) -> Order:
    """Let the user rank and limit the rows.

    names: of the rows. reference: the number of the one that others stand by at first.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        ranks = list(RANKS)
        rank = boxes.one_of("Rank by", ranks, ranks[0], "rank")
        latency_ms = boxes.number("Latency a step at most, ms", "most_ms", low=0.0)
        peak_mb = boxes.number("Peak memory at most, MB", "most_mb", low=0.0)
        chosen = boxes.one_of("Compare with", names, names[reference], "reference")
    return Order(rank, Limits(latency_ms, peak_mb), chosen)


def ranked(table: pd.DataFrame, order: Order) -> pd.DataFrame:
    """The rows within the limits, the best first.

    Adds the columns of `condsim.study.ranking.beside`, and front: no other row beats it.
    """
    reference = list(table["name"]).index(order.reference)
    compared = beside(table, reference)
    within = compared[order.limits.allow(compared)]
    column = RANKS[order.rank]
    less_is_better = order.rank != "speedup"
    best_first = within.sort_values(column, ascending=less_is_better)
    rows = best_first.reset_index(drop=True)
    x = rows[AXES.x].to_numpy()
    y = rows[AXES.y].to_numpy()
    return rows.assign(front=front(x, y))


def show_ranking(ranking: pd.DataFrame, rank: str) -> None:
    """Show the best row, and all rows of `ranked`."""
    st.markdown(headline(ranking, rank))
    difference = differences(ranking)
    if difference:
        st.caption(
            f"These rows are not all alike ({difference}): a quotient is shown only where they"
            " are, and where two devices run the same strategy. Quality differs between models"
            " and is not weighed here."
        )
    st.dataframe(
        for_a_person(ranking),
        hide_index=True,
        column_config=COLUMNS,
        key="ranking",
        alt=f"Devices and strategies, best {rank} first",
    )
    st.caption(
        "Each device in its own dtype and runtime. Energy is estimated everywhere."
        " A unit: an image, a sequence, or a sequence at one position."
    )


def headline(ranking: pd.DataFrame, rank: str) -> str:
    """The best row in one sentence."""
    best = ranking.iloc[0]
    says = PAYS[best["verdict"]]
    verdict = f"over {best['baseline']}: {says} ({best['basis']})"
    return f"#### By {rank}: {markdown(best['name'])}; {verdict}"


def differences(table: pd.DataFrame) -> str:
    """In what the rows differ, so that they cannot be divided; empty where they are alike."""
    words = []
    for column in MAY_DIFFER:
        values = [str(value) for value in table[column].unique()]
        if len(values) > 1:
            words.append(f"{column}: {', '.join(values)}")
    return "; ".join(words)


def for_a_person(ranking: pd.DataFrame) -> pd.DataFrame:
    """The table in human units."""
    intervals = []
    for low, high in zip(ranking["low"], ranking["high"], strict=True):
        intervals.append(f"{number(low)} ... {number(high)}")
    against = [against_reference(row) for row in ranking.to_dict("records")]
    columns = {
        "name": ranking["name"],
        "verdict": ranking["verdict"].map(PAYS),
        "speedup": ranking["speedup"],
        "interval": intervals,
        "against": against,
        "basis": ranking["basis"],
        "latency_us": ranking["latency_per_unit_s"] * 1e6,
        "energy_mj": ranking["energy_per_unit_j"] * 1e3,
        "peak_mb": ranking["peak_bytes"] / 1e6,
        "dtype": ranking["dtype"],
        "runtime": ranking["runtime"],
        "outputs": ranking["outputs"],
        "batch": ranking["batch"],
    }
    return pd.DataFrame(columns)


def against_reference(row: Mapping[Any, Any]) -> str:
    """A row beside the reference: how many times, or why there is no such number."""
    if row["not_comparable"]:
        return f"not comparable: {row['not_comparable']}"
    faster, energy = times(row["times_faster"]), times(row["times_energy"])
    return f"{faster} as fast, {energy} the energy"


def pareto_of(ranking: pd.DataFrame) -> Figure:
    """Energy against latency."""
    return Figure(
        "pareto",
        charts.pareto(ranking, AXES),
        ranking.drop(columns=list(NESTED)),
        draw=lambda: pareto_figure(ranking, AXES.x, AXES.y, AXES.titles),
        says="Energy against latency a unit; the points that no other beats are joined",
    )


def recipe(scenario: Scenario, choice: Choice) -> Recipe:
    """How to get the same rows."""
    typed = command(scenario, choice)
    run = code(scenario, choice)
    return Recipe(scenario, typed, run)


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
