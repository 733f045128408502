"""Which device, strategy, model?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import compare as charts
from condsim.dashboard.charts.compare import Axes
from condsim.dashboard.parts import fields, library
from condsim.dashboard.parts.fields import AS_MEASURED
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import flags, keywords, python
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.shell import current_scenario
from condsim.dashboard.parts.work import Job, results_of
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile
from condsim.show.escape import markdown
from condsim.show.plots import pareto_figure
from condsim.show.text import number, times
from condsim.strategies.choose import probed_strategies
from condsim.study.ranking import beside, front, predict_all
from condsim.trace import Trace

AS_CAPTURED = "as captured"
"""Stands among strategies for the one that the trace was captured with."""
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
MAY_DIFFER = ("trace", "dtype", "batch", "phase", "baseline")
"""Columns in which rows may differ, so that their numbers must not be divided."""
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
class Choice:
    """What is compared. devices, strategies and models as they are chosen; models: traces."""

    devices: Sequence[str]
    strategies: Sequence[str]
    models: Sequence[str]


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
    scenario = current_scenario()
    choice = choice_input(scenario)
    scenarios = scenarios_of(scenario, choice)
    if not scenarios:
        st.info("Choose at least one device, one strategy and one trace.")
        return
    job = Job("compare", tuple(scenarios), len(scenarios), lambda: predicted_rows(scenarios))
    rows = results_of(job)
    good = [row for row in rows if "error" not in row]
    if good:
        table = prepared(good, several_traces=len(choice.models) > 1)
        order = order_input(list(table["name"]))
        ranking = ranked(table, order)
        if ranking.empty:
            st.info("Nothing is within these limits; raise one of them.")
            return
        show_ranking(ranking, order.rank)
        show(pareto_of(ranking), recipe(scenario, choice))
    for row in rows:
        if "error" in row:
            st.caption(markdown(f"{row['profile']}, {row['strategy']}: {row['error']}"))


def choice_input(scenario: Scenario) -> Choice:
    """Let the user choose devices, strategies and traces."""
    trace = library.open_trace(scenario.name)
    known = fields.known_devices(trace)
    with st.container(horizontal=True):
        devices = st.multiselect(
            "Devices", known, default=known, key="devices", bind="query-params"
        )
        strategies = st.multiselect(
            "Strategies",
            [AS_CAPTURED, *probed_strategies(trace)],
            default=[scenario.strategy or AS_CAPTURED],
            key="strategies",
            bind="query-params",
        )
        models = st.multiselect(
            "Traces",
            list(library.traces()),
            default=[scenario.name],
            key="models",
            bind="query-params",
        )
    return Choice(devices, strategies, models)


def scenarios_of(scenario: Scenario, choice: Choice) -> list[Scenario]:
    """A scenario for each trace, device and strategy that is chosen, each in its own dtype.

    A trace that was not measured is left out of the devices as measured.
    """
    scenarios = []
    for model in choice.models:
        where = library.where(model)
        of_model = replace(scenario, name=model, where=where, dtype=None, runtime=None)
        for device in choice.devices:
            if device == AS_MEASURED and library.open_trace(model).profile is None:
                continue
            name = None if device == AS_MEASURED else device
            on_device = replace(of_model, device=name)
            for strategy in choice.strategies:
                scenarios.append(replace(on_device, strategy=_named(strategy)))
    return scenarios


def _named(strategy: str) -> str | None:
    """A strategy as a scenario has it."""
    return None if strategy == AS_CAPTURED else strategy


def predicted_rows(scenarios: Sequence[Scenario]) -> Iterator[dict[str, Any]]:
    """A row a scenario, of `condsim.study.ranking.predict_all`; its kind of device, its trace."""
    for scenario in scenarios:
        try:
            yield predicted_row(scenario)
        except CondsimError as error:  # a profile that cannot be read
            yield {
                "profile": scenario.device,
                "strategy": scenario.strategy or AS_CAPTURED,
                "error": str(error),
            }


def predicted_row(scenario: Scenario) -> dict[str, Any]:
    """The row of one scenario. Raises CondsimError where its profile cannot be read."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> dict[str, Any]:
        device = resolve_profile(trace, profile)
        options = scenario.options()
        rows = predict_all(trace, [device], [scenario.strategy], scenario.baseline, **options)
        return {"kind": device.kind, "trace": scenario.name, **next(rows)}

    return library.computed_once("row", scenario, compute)


def prepared(rows: Sequence[Mapping[str, Any]], several_traces: bool) -> pd.DataFrame:
    """Rows without an error as a table.

    Adds name, low and high (of the speedup's interval), latency_per_unit_s and energy_per_unit_j.
    """
    table = pd.DataFrame(rows)
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


def order_input(names: Sequence[str]) -> Order:
    """Let the user rank and limit the rows. names: of the rows."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rank = st.selectbox("Rank by", list(RANKS), key="rank", bind="query-params")
        latency_ms = st.number_input(
            "Latency a step at most, ms", 0.0, value=None, key="most_ms", bind="query-params"
        )
        peak_mb = st.number_input(
            "Peak memory at most, MB", 0.0, value=None, key="most_mb", bind="query-params"
        )
        reference = st.selectbox("Compare with", names, key="reference", bind="query-params")
    return Order(rank, Limits(latency_ms, peak_mb), reference)


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
            " are. Quality differs between models and is not weighed here."
        )
    st.dataframe(
        for_a_person(ranking),
        hide_index=True,
        column_config=COLUMNS,
        key="ranking",
        alt=f"Devices and strategies, best {rank} first",
    )
    st.caption(
        "Energy is estimated everywhere. A unit: an image, a sequence, or a sequence at one"
        " position."
    )


def headline(ranking: pd.DataFrame, rank: str) -> str:
    """The best row in one sentence."""
    best = ranking.iloc[0]
    verdict = f"over {best['baseline']}: {best['verdict']} ({best['basis']})"
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
        "verdict": ranking["verdict"],
        "speedup": ranking["speedup"],
        "interval": intervals,
        "basis": ranking["basis"],
        "latency_us": ranking["latency_per_unit_s"] * 1e6,
        "energy_mj": ranking["energy_per_unit_j"] * 1e3,
        "peak_mb": ranking["peak_bytes"] / 1e6,
        "against": against,
        "dtype": ranking["dtype"],
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
        ranking,
        draw=lambda: pareto_figure(ranking, AXES.x, AXES.y, AXES.titles),
        says="Energy against latency a unit; the points that no other beats are joined",
    )


def recipe(scenario: Scenario, choice: Choice) -> Recipe:
    """How to get the same rows."""
    typed = command(scenario, choice)
    run = code(scenario, choice)
    return Recipe(scenario, typed, run)


def command(scenario: Scenario, choice: Choice) -> str:
    """What to type for them."""
    words = ["condsim", "simulate", scenario.where, "--device", "all"]
    if len(choice.strategies) > 1:
        words += ["--strategy", "all"]
    elif scenario.strategy is not None:
        words += ["--strategy", scenario.strategy]
    words += flags(scenario, ("batch", "baseline", "phase", "threshold"))
    return shlex.join(words)


def code(scenario: Scenario, choice: Choice) -> str:
    """What to run in Python for them."""
    names = [device for device in choice.devices if device != AS_MEASURED]
    devices = f"devices = [condsim.hardware(n) for n in {names!r}]"
    if AS_MEASURED in choice.devices:
        devices += " + [trace.profile]"
    strategies = [_named(strategy) for strategy in choice.strategies]
    arguments = [repr(scenario.baseline), *keywords(scenario.options())]
    listed = ", ".join(arguments)
    call = f"predict_all(trace, devices, {strategies!r}, {listed})"
    return python(
        [scenario.where],
        "from condsim.study.ranking import predict_all",
        devices,
        f"print(*{call}, sep='\\n')",
    )


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
