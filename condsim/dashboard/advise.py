"""What would a colleague say?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import decisions as charts
from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.cards import badge
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show, take_away
from condsim.dashboard.parts.models import AskedModel, asked_model
from condsim.dashboard.parts.reproduce import flags, keywords, python, subject_words
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.work import Job, results_of
from condsim.decide.advise.basis import sensitivity
from condsim.decide.advise.call import Call, call
from condsim.decide.advise.changes import biggest, changes
from condsim.decide.advise.flips import flip_of, lines_of
from condsim.decide.advise.load import LOADS, Load, placed
from condsim.decide.advise.verify import verify
from condsim.decide.advise.why import why
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import resolve_profile
from condsim.show.advice import (
    BESIDE_THE_WATERFALL,
    basis_lines_of,
    biggest_line_of,
    changes_in_words,
    flip_line,
    verdict_sentence,
    why_lines_of,
)
from condsim.show.decision_plots import bars_figure
from condsim.show.escape import markdown
from condsim.study.answer import Answer

AS_ASKED = "as asked"
ABOUT_LOADS = "\n".join(f"- {load.name}: {load.about}" for load in LOADS.values())
MICROSECONDS = 1e6


def page() -> None:
    """Lay the page out."""
    asked = asked_input(current_scenario())
    scenario = asked.scenario
    answer = library.answer_to(scenario)
    said = call(answer, asked.threshold)
    st.markdown(headline(said))
    for note in asked.notes:
        st.caption(markdown(note))
    left, right = st.columns([6, 6], gap="medium")
    with left:
        st.markdown("**Why: what each effect saves or costs a step**")
        show(effects_of(answer.prediction), recipe(asked))
        for line in why_lines_of(answer.prediction, why(answer.prediction)):
            st.caption(markdown(line))
        st.caption(BESIDE_THE_WATERFALL)
    with right:
        st.markdown("**What it rests on**")
        show_basis(answer, said)
        st.markdown("**How to measure the same**")
        st.code("\n".join(commands(scenario, answer)), language="bash", wrap_lines=True)
    show_alternatives(asked, answer.prediction)


@dataclass(frozen=True)
class Asked:
    """What is advised on. as_chosen: the scenario of the sidebar. scenario: the same under the load
    that is chosen. load: None for as asked. pays_from: the box; None for what the load says."""

    as_chosen: Scenario
    scenario: Scenario
    load: Load | None = None
    pays_from: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def threshold(self) -> float:
        """The speedup from which it pays."""
        if self.pays_from is not None:
            return self.pays_from
        return 1.0 if self.load is None else self.load.threshold

    @property
    def batch_is_free(self) -> bool:
        """Whether a larger batch is a way out."""
        return self.load is None or self.load.prefers == "throughput"


def asked_input(scenario: Scenario) -> Asked:
    """Let the user choose a load, and from which speedup it pays."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = boxes.one_of_few("Scenario", [AS_ASKED, *LOADS], "under", help=ABOUT_LOADS)
        pays_from = boxes.number("Pays from a speedup of", "pays", low=0.01, width=180)
    if name == AS_ASKED:
        return Asked(scenario, scenario, pays_from=pays_from)
    load = LOADS[name]
    place = placed(load, library.subject(scenario.name))
    if asked_model(scenario.name) is not None:
        under_it = model_under(scenario, place.batch)
    else:
        under_it = replace(
            scenario,
            batch=scenario.batch or place.batch,
            phase=scenario.phase or place.phase,
        )
    return Asked(scenario, under_it, load, pays_from, place.notes)


def model_under(scenario: Scenario, batch: int | None) -> Scenario:
    """A scenario about a model of the catalogue at another batch."""
    asked = asked_model(scenario.name)
    assert asked is not None
    question = replace(asked.question, batch=batch or asked.question.batch)
    name = AskedModel(asked.model, question).name
    return replace(scenario, name=name, where=name)


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
    subject = library.subject(scenario.name)
    return verify(subject, scenario.where, answer.profile, answer.prediction)


def show_alternatives(asked: Asked, now: Prediction) -> None:
    """Show what would gain most, and where the verdict flips, once they were simulated."""
    scenario = asked.scenario
    subject = library.subject(scenario.name)
    trace = library.open_trace(scenario.name)
    profile = resolve_profile(trace, scenario.profile(trace, library.device))
    given = fields_of(scenario)
    lines = list(lines_of(subject, profile, given, now))

    def begin() -> Iterator[Any]:
        yield changes(subject, profile, given, now, asked.threshold)
        for line in lines:
            yield flip_of(subject, profile, given, now, line, asked.threshold)

    st.markdown("**What would gain most, and where the verdict flips**")
    request = (asked, "advise")
    job = Job("advise", request, 1 + len(lines), begin, at_once=False, noun="searches")
    results = results_of(job)
    if not results:
        return
    table = results[0]
    best = biggest(table, asked.batch_is_free)
    said = [biggest_line_of(best, table, now), *(flip_line(row) for row in results[1:])]
    st.markdown("\n".join(f"- {markdown(line)}" for line in said))
    words = changes_in_words(table)
    st.dataframe(words, hide_index=True, key="changes", alt="What each single change would give")
    take_away("changes", table, recipe(asked))


def fields_of(scenario: Scenario) -> dict[str, Any]:
    """What is asked of a subject: the fields that differ from their defaults."""
    changed = scenario.changed()
    changed.pop("device", None)
    asked = asked_model(scenario.name)
    return changed if asked is None else {**asked.fields(), **changed}


def recipe(asked: Asked) -> Recipe:
    """How to get the same advice."""
    scenario = asked.as_chosen
    chosen = [] if asked.load is None else ["--scenario", asked.load.name]
    if asked.pays_from is not None:
        chosen += ["--pays-from", f"{asked.pays_from:g}"]
    model = asked_model(asked.scenario.name)
    subject = subject_words(asked.scenario.where)
    words = ["condsim", "advise", *subject, *chosen, *flags(scenario)]
    changed = scenario.changed()
    arguments = ["trace"] if model is None else [repr(model.model.name)]
    if "device" in changed:
        arguments.append(repr(changed.pop("device")))
    named = {} if asked.load is None else {"scenario": asked.load.name}
    of_model = {} if model is None else model.fields()
    arguments += keywords({**named, "pays_from": asked.pays_from, **of_model, **changed})
    call_of = f"advice = condsim.advise({', '.join(arguments)})"
    where = [scenario.where] if model is None else []
    return Recipe(scenario, shlex.join(words), python(where, call_of, "print(advice.says)"))


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
