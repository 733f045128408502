"""A question, and its answer in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import streamlit as st

from condsim.catalogue import CATALOGUE
from condsim.catalogue.parts.question import Question
from condsim.dashboard import serving
from condsim.dashboard.charts import against as charts
from condsim.dashboard.parts import boxes, fields, library
from condsim.dashboard.parts.cards import badge, cards, show_cards
from condsim.dashboard.parts.figure import Figure, Recipe, current_address, show
from condsim.dashboard.parts.models import AskedModel, asked_model, conditional_models
from condsim.dashboard.parts.onward import EXPLAIN_SERVED, show_onward
from condsim.dashboard.parts.reproduce import simulate_command, simulate_python
from condsim.dashboard.parts.scenario import Scenario
from condsim.decide.advise.call import Call, call
from condsim.decide.advise.load import LOADS, Load, placed
from condsim.decide.advise.why import why
from condsim.decide.against import against
from condsim.decide.subject import ModelSubject, TraceSubject
from condsim.hardware import HardwareProfile
from condsim.program.regime import DECODE, PREFILL
from condsim.runtimes.runtime import SERVED
from condsim.serve.service import Service
from condsim.show.advice import answer_sentence, basis_lines_of, why_lines_of
from condsim.show.decision_plots import against_figure
from condsim.show.escape import markdown
from condsim.show.notes import said_once
from condsim.show.serving import sentence as serving_sentence
from condsim.show.text import size, times
from condsim.steps.rebatch import captured_batch
from condsim.study.answer import Answer

OWN, REQUESTS = "my own", "requests"
SIZES: Mapping[str, Load] = {
    "one at a time": LOADS["edge"],
    "32 at a time": LOADS["server"],
    "as many as there are": LOADS["batch"],
}
"""Load, in words → scenario of `condsim advise`."""
FIRST, FIRST_MODEL_DEVICE = "moe-bytes", "nvidia-h100-sxm"
MOST_BATCH, MOST_CONTEXT = 4096, 1 << 20
USUAL_RATE = 100.0
USUAL = Question(batch=16)
EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "Qwen3-30B-A3B on an H200": {
        "about": "qwen3-30b-a3b",
        "on": "nvidia-h200-sxm",
        "load": "one at a time",
    },
    "gpt-oss-20b on an L40S": {
        "about": "gpt-oss-20b",
        "on": "nvidia-l40s",
        "load": "32 at a time",
    },
    "Early exits on a Raspberry Pi": {
        "about": "exit-fashion",
        "on": "raspberry-pi-5",
        "load": "one at a time",
    },
    "A small mixture on an A100": {
        "about": "moe-bytes",
        "on": "nvidia-a100-sxm-80gb",
        "load": "32 at a time",
    },
}
"""Questions that one click asks: what they ask → the boxes."""
BOXES = ("about", "on", "load", "size", "positions", "stage", "rate")
"""Names of the boxes in the address."""


@dataclass(frozen=True)
class Asked:
    """What is asked. rate: requests a second, None where a load has no arrivals."""

    scenario: Scenario
    notes: tuple[str, ...] = ()
    rate: float | None = None


def page() -> None:
    """Lay the page out."""
    st.markdown("## Does conditional computation pay?")
    show_examples()
    asked = question_input()
    if asked.rate is None:
        show_answer(asked)
    else:
        show_served(asked, asked.rate)


def show_examples() -> None:
    """Show a button for each example."""
    with st.container(horizontal=True):
        for label, chosen in EXAMPLES.items():
            st.button(label, key=f"example-{label}", on_click=choose, args=(chosen,))


def choose(chosen: Mapping[str, str]) -> None:
    """Callback: fill the boxes."""
    for key, value in chosen.items():
        st.session_state[key] = value


# The question


def question_input() -> Asked:
    """Let the user ask."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = [*library.traces(), *conditional_models()]
        given = [name for name in (*library.given(), FIRST) if name in names]
        about = boxes.one_of("Model or trace", names, [*given, names[0]][0], "about", width=260)
        if about in library.traces():
            return _about_a_trace(about)
        return _about_a_model(about)


def _about_a_trace(name: str) -> Asked:
    trace = library.open_trace(name)
    trace.require_programs()
    device = fields.device_input(trace, key="on")
    whole = Scenario(name=name, where=library.where(name), device=device)
    words = boxes.one_of_few("Load", [*SIZES, OWN, REQUESTS], "load")
    if words == REQUESTS:
        rate = boxes.number("Requests a second", "rate", low=1e-3, usual=USUAL_RATE, width=160)
        return Asked(whole, rate=rate or USUAL_RATE)
    first = fields.phases_of(trace)[0]
    place = placed(_load(words, captured_batch(trace, first)), TraceSubject(trace))
    captured = captured_batch(trace, place.phase or first)
    batch = None if place.batch == captured else place.batch
    return Asked(replace(whole, batch=batch, phase=place.phase), place.notes)


def _load(words: str, usual: int) -> Load:
    """The load that is chosen. usual: units a step of an own one at first."""
    if words in SIZES:
        return SIZES[words]
    batch = boxes.whole_number("Inputs at a time", 1, MOST_BATCH, usual, "size", width=160)
    return Load(name=OWN, batch=batch)


def _about_a_model(name: str) -> Asked:
    device = boxes.one_of("Device", library.devices(), FIRST_MODEL_DEVICE, "on")
    words = boxes.one_of_few("Load", [*SIZES, OWN], "load")
    load = _load(words, USUAL.batch)
    context = boxes.whole_number(
        "Positions", 2, MOST_CONTEXT, USUAL.context, "positions", width=150
    )
    phase = boxes.one_of_few("Phase", [DECODE, PREFILL], "stage")
    model = CATALOGUE[name]
    place = placed(load, ModelSubject(model))
    asked = AskedModel(model, Question(place.batch or 1, context, phase))
    profile = library.device(device)
    scenario = Scenario(
        name=asked.name,
        where=asked.name,
        device=device,
        runtime=_runtime_of(profile),
    )
    return Asked(scenario, place.notes)


def _runtime_of(profile: HardwareProfile) -> str | None:
    """As serving engines run a model, where the device can."""
    return SERVED.name if SERVED.is_for(profile) else None


# The answer


def show_answer(asked: Asked) -> None:
    """Show the answer, what it rests on, and where to go on."""
    scenario = asked.scenario
    with st.spinner("Simulating"):
        answer = library.answer_alone_to(scenario)
    p, said = answer.prediction, call(answer)
    sentence = answer_sentence(title_of(scenario), said, p)
    st.markdown(f"### {badge(sentence, said.verdict)}")
    for line in (pair_line(answer), memory_line(answer)):
        if line:
            st.markdown(markdown(line))
    show_cards(cards(answer))
    left, right = st.columns([7, 5], gap="medium")
    with left:
        st.markdown("**As fast as what?**")
        compared = st.container()
    with right:
        st.markdown("**Why**")
        st.markdown(listed(why_lines_of(p, why(p))))
        st.markdown("**What it rests on**")
        st.markdown(listed([*basis_lines_of(answer, said), *asked.notes, *said_once(p.notes)]))
    st.markdown("**Go on**")
    show_onward(scenario)
    st.code(simulate_command(scenario), language="bash", wrap_lines=True)
    with compared, st.spinner("Simulating its dense rivals"):
        show(against_of(library.answer_to(scenario), said), recipe(asked))


def title_of(scenario: Scenario) -> str:
    """The subject of a scenario and its load, for a sentence."""
    asked = asked_model(scenario.name)
    if asked is None:
        return scenario.name
    question = asked.question
    load = f"{question.batch} x {question.context:,} positions, {question.phase}"
    return f"{asked.model.title} ({load})"


def pair_line(answer: Answer) -> str:
    """Both baselines in one sentence, where they disagree; empty where they agree."""
    p = answer.prediction
    others = [(n, s) for n, s in answer.speedups.items() if n != p.baseline]
    for name, speedup in others:
        if (speedup > 1) != (p.speedup > 1):
            return (
                f"Only the pair tells: {times(p.speedup)} over {p.baseline}, but {times(speedup)}"
                f" over {name}."
            )
    return ""


def memory_line(answer: Answer) -> str:
    """What it needs of the device's memory."""
    memory = answer.prediction.memory
    needed, there = size(memory.needed_bytes), size(memory.device_bytes)
    return f"It needs {needed} of the {there} of memory." if memory.fits else ""


def listed(lines: list[str]) -> str:
    """Lines as a list in Markdown."""
    return "\n".join(f"- {markdown(line)}" for line in lines)


def against_of(answer: Answer, said: Call) -> Figure:
    """The speedup over each dense model."""
    table = against(answer, said)
    return Figure(
        "against",
        charts.against(table),
        table,
        draw=lambda: against_figure(table),
        says="Speedup over each dense model with its interval",
    )


def show_served(asked: Asked, rate: float) -> None:
    """Show what requests wait for, as the page Serving does."""
    scenario = asked.scenario
    load = serving.Load(min(rate, serving.MOST_RATE), Service(max_batch=16))
    served = library.computed_once(f"serving {load}", scenario, load.serve_with(scenario))
    st.markdown(f"### {markdown(serving_sentence(served))}")
    made = serving.recipe(scenario, load)
    show(serving.latencies_of(served), Recipe(scenario, made.command, made.python, address()))
    show_onward(scenario, EXPLAIN_SERVED, rate=f"{load.rate:g}")
    st.code(made.command, language="bash", wrap_lines=True)


def recipe(asked: Asked) -> Recipe:
    """How to get the same answer."""
    scenario = asked.scenario
    return Recipe(scenario, simulate_command(scenario), simulate_python(scenario), address())


def address() -> str:
    """The address of this question."""
    root = current_address().rstrip("/").removesuffix("/ask")
    named = [(key, st.query_params[key]) for key in BOXES if key in st.query_params]
    return f"{root}/ask?{urlencode(named)}"


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
