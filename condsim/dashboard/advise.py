"""What would a colleague say?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import decisions as charts
from condsim.dashboard.parts import library
from condsim.dashboard.parts.cards import badge
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show
from condsim.dashboard.parts.reproduce import flags, keywords, python
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.work import Job, results_of
from condsim.decide.advise.basis import sensitivity
from condsim.decide.advise.call import Call, call
from condsim.decide.advise.changes import biggest, changes
from condsim.decide.advise.flips import flip_of, lines_of
from condsim.decide.advise.verify import verify
from condsim.decide.advise.why import why
from condsim.decide.subject import TraceSubject
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import resolve_profile
from condsim.show.advice import (
    BESIDE_THE_WATERFALL,
    basis_lines_of,
    biggest_line_of,
    flip_line,
    verdict_sentence,
    why_lines_of,
)
from condsim.show.decision_plots import bars_figure
from condsim.show.escape import markdown
from condsim.study.answer import Answer

CHANGES = "changes"
MICROSECONDS = 1e6


def page() -> None:
    """Lay the page out."""
    scenario = current_scenario()
    answer = library.answer_to(scenario)
    said = call(answer)
    st.markdown(headline(said))
    left, right = st.columns([6, 6], gap="medium")
    with left:
        st.markdown("**Why: what each effect saves or costs a step**")
        show(effects_of(answer.prediction), recipe(scenario))
        for line in why_lines_of(answer.prediction, why(answer.prediction)):
            st.caption(markdown(line))
        st.caption(BESIDE_THE_WATERFALL)
    with right:
        st.markdown("**What it rests on**")
        show_basis(answer, said)
        st.markdown("**How to measure the same**")
        st.code("\n".join(commands(scenario, answer)), language="bash", wrap_lines=True)
    show_alternatives(scenario, answer.prediction)


def headline(said: Call) -> str:
    """The verdict, its first words as a badge."""
    return f"#### {badge(verdict_sentence(said), said.verdict)}"


def effects_of(prediction: Prediction) -> Figure:
    """Microseconds that each effect saves a step, below 0 where it costs."""
    table = why(prediction)
    drawn = table.assign(
        saves_us=table["saves_s"] * MICROSECONDS, name=table["effect"].str.replace("_", " ")
    )
    title = "microseconds a step: saved, or lost below 0"
    return Figure(
        "why",
        charts.signed_bars(drawn, "name", "saves_us", title),
        table,
        draw=lambda: bars_figure(drawn, "name", "saves_us", title),
        says="What each effect saves or costs a step",
    )


def show_basis(answer: Answer, said: Call) -> None:
    """Show measurements, words, and which numbers move the speedup most."""
    sources = answer.prediction.sources
    moves = pd.DataFrame() if sources is None else sensitivity(sources)
    lines = basis_lines_of(answer, said, moves)
    st.markdown("\n".join(f"- {markdown(line)}" for line in lines))


def commands(scenario: Scenario, answer: Answer) -> list[str]:
    """What measures the same quantity."""
    subject = TraceSubject(library.open_trace(scenario.name))
    return verify(subject, scenario.where, answer.profile, answer.prediction)


def show_alternatives(scenario: Scenario, now: Prediction) -> None:
    """Show what would gain most, and where the verdict flips, once they were simulated."""
    subject = TraceSubject(library.open_trace(scenario.name))
    profile = resolve_profile(subject.captured, scenario.profile(subject.captured, library.device))
    asked = {name: value for name, value in scenario.arguments().items() if value is not None}
    asked = {name: value for name, value in asked.items() if name in scenario.changed()}
    asked.pop("device", None)
    lines = list(lines_of(subject, profile, asked, now))

    def begin() -> Iterator[Any]:
        yield changes(subject, profile, asked, now)
        for line in lines:
            yield flip_of(subject, profile, asked, now, line)

    st.markdown("**What would gain most, and where the verdict flips**")
    request = (scenario, "advise")
    total = 1 + len(lines)
    job = Job("advise", request, total, begin, at_once=False, noun="searches")
    results = results_of(job)
    if not results:
        return
    table = results[0]
    st.markdown(f"- {markdown(biggest_line_of(biggest(table), table, now))}")
    for row in results[1:]:
        st.markdown(f"- {markdown(flip_line(row))}")
    shown = table.dropna(axis="columns", how="all")
    st.dataframe(shown, hide_index=True, key="changes", alt="What each single change would give")


def recipe(scenario: Scenario) -> Recipe:
    """How to get the same advice."""
    command = shlex.join(["condsim", "advise", scenario.where, *flags(scenario)])
    changed = scenario.changed()
    arguments = ["trace"]
    if "device" in changed:
        arguments.append(repr(changed.pop("device")))
    arguments += keywords(changed)
    call_of = f"advice = condsim.advise({', '.join(arguments)})"
    return Recipe(scenario, command, python([scenario.where], call_of, "print(advice.says)"))


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
