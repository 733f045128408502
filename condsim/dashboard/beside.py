"""Two devices or two models, which one?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import against as charts
from condsim.dashboard.parts import library
from condsim.dashboard.parts.cards import badge
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.fields import AS_MEASURED
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import simulate_command, simulate_python
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.second import second_inputs
from condsim.decide.advise.call import call
from condsim.decide.against import against
from condsim.predict.prediction import Prediction
from condsim.predict.verdict import PAYS
from condsim.show.decision_plots import against_figure
from condsim.show.escape import markdown
from condsim.show.text import interval, joules, seconds, sentence, size, spoken, times
from condsim.study.answer import Answer
from condsim.study.ranking import COMMON, why_not_comparable

FIRST_CHOICES = ("nvidia-h100-sxm", "nvidia-h200-sxm")
"""Devices that the second scenario has at first: the one that the first has not."""
Side = tuple[Scenario, Answer]


def page() -> None:
    """Lay the page out."""
    first = current_scenario()
    headline = st.empty()
    second = second_inputs(first, other_device(first))
    sides = [(each, library.answer_to(each)) for each in (first, second)]
    predictions = [answer.prediction for _, answer in sides]
    headline.markdown(f"#### {markdown(which(*predictions))}")
    left, right = st.columns(2, gap="medium")
    for place, column, side in zip(("first", "second"), (left, right), sides, strict=True):
        with column:
            show_side(place, side, both_tables(sides))
    table = pd.DataFrame(list(rows(*predictions)))
    st.dataframe(table, hide_index=True, key="both", alt="Numbers of both scenarios")


def other_device(first: Scenario) -> str:
    """The device of the second scenario at first."""
    return next(name for name in FIRST_CHOICES if name != first.device)


def show_side(place: str, side: Side, both: pd.DataFrame) -> None:
    """Show one scenario. place: first or second. both: tables of both sides."""
    scenario, answer = side
    p = answer.prediction
    st.markdown(f"**{markdown(caption(scenario, p))}**")
    st.markdown(badge(sentence(p), p.verdict))
    table = both[both["place"] == place].drop(columns="place")
    figure = Figure(
        f"against-{place}",
        charts.against(table, beside=both),
        table,
        draw=lambda: against_figure(table),
        says="Speedup over each dense model with its interval",
    )
    show(figure, Recipe(scenario, simulate_command(scenario), simulate_python(scenario)))
    st.code(simulate_command(scenario), language="bash", wrap_lines=True)


def both_tables(sides: list[Side]) -> pd.DataFrame:
    """Tables of `condsim.decide.against` of both sides; place: first or second."""
    tables = []
    for place, (_, answer) in zip(("first", "second"), sides, strict=True):
        tables.append(against(answer, call(answer)).assign(place=place))
    return pd.concat(tables, ignore_index=True)


def caption(scenario: Scenario, p: Prediction) -> str:
    """What was predicted."""
    device = p.profile if scenario.device else f"{p.profile} ({AS_MEASURED})"
    return f"{scenario.name}, {device}, {p.strategy}, batch {p.batch}, {p.dtype}, {p.runtime}"


def which(first: Prediction, second: Prediction) -> str:
    """Which one is faster, in one sentence; why nobody can say where they are not alike."""
    reason = why_not_comparable(alike(first), alike(second))
    if reason:
        return (
            f"The two differ in more than that: not comparable, {reason}. Each stands beside its"
            " own dense model."
        )
    times_faster = unit_s(first) / unit_s(second)
    if times_faster == 1:
        return "Both take the same time."
    says = f"The second one is {times(times_faster)} as fast a unit as the first"
    energy = second.energy_j / second.batch / (first.energy_j / first.batch)
    return f"{says}, with {times(energy)} the energy."


def alike(p: Prediction) -> dict[str, Any]:
    """What two predictions must have in common."""
    return {name: getattr(p, name) for name in (*COMMON, "profile", "strategy")}


def unit_s(p: Prediction) -> float:
    """Seconds a unit."""
    return p.latency_s / p.batch


def rows(first: Prediction, second: Prediction) -> Iterator[dict[str, Any]]:
    """A row a number, in words, a column a side."""
    both = (first, second)
    yield _row("verdict", [PAYS[p.verdict] for p in both])
    yield _row("speedup", [times(p.speedup) for p in both])
    yield _row("90 % interval", [interval(p.speedup_interval) for p in both])
    yield _row("latency a step", [seconds(p.latency_s) for p in both])
    yield _row("latency a unit", [seconds(unit_s(p)) for p in both])
    yield _row("dense model, a step", [seconds(p.baseline_s) for p in both])
    yield _row("energy a step", [joules(p.energy_j) for p in both])
    yield _row("peak memory", [size(p.peak_bytes) for p in both])
    yield _row("costs most", [spoken(p.main_loss) or "nothing" for p in both])
    yield _row("rests on", [p.basis for p in both])


def _row(number: str, of_both: list[str]) -> dict[str, str]:
    return {"number": number, "first": of_both[0], "second": of_both[1]}


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
