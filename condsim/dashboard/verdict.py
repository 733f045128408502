"""Does it pay here?"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import streamlit as st

from condsim.dashboard.charts import waterfall as charts
from condsim.dashboard.parts import library
from condsim.dashboard.parts.cards import badge, cards, show_cards
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show, take_away
from condsim.dashboard.parts.models import asked_model
from condsim.dashboard.parts.reproduce import simulate_command, simulate_python
from condsim.dashboard.parts.scenario import Scenario
from condsim.predict.prediction import Prediction
from condsim.predict.waterfall import bars, losses
from condsim.protocols import PROTOCOLS
from condsim.show.escape import code, markdown
from condsim.show.notes import said_once
from condsim.show.plots import waterfall_figure
from condsim.show.text import number, percent, sentence, shares, si, times
from condsim.study.answer import Answer

DRAWN = (
    "Nobody here measured it: the routing is drawn from published figures, and the programs were"
    " recorded without weights. How far off such predictions were: page Accuracy, *GPU layers of"
    " others*."
)


def page() -> None:
    """Lay the page out."""
    scenario = current_scenario()
    answer = library.answer_to(scenario)
    st.markdown(headline(answer.prediction))
    show_cards(cards(answer))
    left, right = st.columns([7, 5], gap="medium")
    with left:
        st.markdown("**Where the FLOP saving went**")
        recipe = Recipe(scenario, simulate_command(scenario), simulate_python(scenario))
        show(waterfall_of(answer), recipe)
    with right:
        st.markdown("**What costs most**")
        st.markdown(what_costs_most(answer.prediction))
        st.markdown("**Is it true?**")
        if asked_model(scenario.name) is None:
            st.markdown(what_was_measured(answer, scenario.where))
        else:
            st.markdown(DRAWN)
        st.markdown(what_it_answers(answer.prediction))
        for note in said_once(answer.prediction.notes):
            st.caption(markdown(note))
        show_numbers(answer, scenario)


def headline(prediction: Prediction) -> str:
    """The verdict in one sentence, its first words as a badge."""
    return f"#### {badge(sentence(prediction), prediction.verdict)}"


def waterfall_of(answer: Answer) -> Figure:
    """Where the FLOP saving went."""
    p = answer.prediction
    measured = answer.measured
    table = bars(p.waterfall, p.speedup, p.speedup_interval, measured)
    chart = charts.waterfall(table, p.baseline, height=360)
    return Figure(
        "verdict",
        chart,
        table,
        draw=lambda: waterfall_figure(p, measured),
        says=sentence(p),
    )


def what_costs_most(prediction: Prediction) -> str:
    """The effects that take most of the saving, one a line of Markdown."""
    lines = []
    for loss in losses(prediction.waterfall).to_dict("records"):
        effect = f"{loss['meaning']} (`{loss['world']}`)"
        factor, without = number(loss["factor"]), times(loss["without"])
        lines.append(f"- {effect}: **x{factor}**, without it {without}")
    return "\n".join(lines) or "Nothing does."


def what_it_answers(prediction: Prediction) -> str:
    """What a prediction rests on, and which question it answers, as Markdown."""
    protocol = PROTOCOLS[prediction.protocol]
    return (
        f"The prediction rests on {shares(prediction.estimated)}. It is of {protocol.question}"
        f" (`{protocol.name}`)."
    )


def what_was_measured(answer: Answer, where: str) -> str:
    """Measured beside predicted, as Markdown. where: of the trace, for the command line."""
    if answer.measured is None:
        measure = shlex.join(["condsim", "measure", where])
        return (
            f"This scenario was not measured on this device. {code(measure)} times the model on the"
            " machine that you are at."
        )
    return "\n".join(_lines_of_a_measurement(answer.measured))


def _lines_of_a_measurement(measured: Mapping[str, Any]) -> list[str]:
    speedup = times(measured["measured_speedup"])
    predicted = times(measured["predicted_speedup"])
    error = percent(measured["error"])
    latency = si(measured["measured_latency_s"], "s")
    dense = si(measured["measured_baseline_s"], "s")
    where = ", on a noisy machine" if measured["noisy"] else ""
    return [
        f"- Measured **{speedup}** over {measured['pairs']} pairs, predicted {predicted}"
        f" for the same steps, both `{measured['protocol']}`: **{error}**.",
        f"- Latency measured {latency}, dense {dense}{where}.",
    ]


def show_numbers(answer: Answer, scenario: Scenario) -> None:
    """Show the command, and behind buttons every number of the page."""
    table = answer.table()
    st.code(simulate_command(scenario), language="bash", wrap_lines=True)
    with st.container(horizontal=True):
        with st.popover("All numbers", icon=":material/table:"):
            st.dataframe(
                table,
                hide_index=True,
                key="numbers",
                alt="Every number of this page with its basis",
            )
        command = simulate_command(scenario, "--json")
        recipe = Recipe(scenario, command, simulate_python(scenario))
        take_away("numbers", table, recipe)


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
