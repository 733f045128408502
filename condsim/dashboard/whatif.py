"""What if the device were another?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pandas as pd
import streamlit as st

from condsim.dashboard.charts import against as against_charts
from condsim.dashboard.charts import whatif as charts
from condsim.dashboard.parts import boxes, library
from condsim.dashboard.parts.cards import badge
from condsim.dashboard.parts.current import current_scenario
from condsim.dashboard.parts.figure import Figure, Recipe, show, take_away
from condsim.dashboard.parts.models import asked_model
from condsim.dashboard.parts.scenario import Scenario
from condsim.dashboard.parts.whatif_elsewhere import (
    file_of,
    moves_code,
    moves_command,
    recipe,
    yaml_of,
)
from condsim.dashboard.parts.work import Job, results_of
from condsim.decide.advise.call import call
from condsim.decide.against import against
from condsim.decide.knobs import HALF, TWICE, Knob, edited, knobs, move_of, moves
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile
from condsim.show.catalogue import unit_of
from condsim.show.decision_plots import against_figure, moves_figure
from condsim.show.escape import code, markdown
from condsim.show.text import joules, number, seconds, sentence, si, size, times
from condsim.study.answer import Answer
from condsim.study.what_if import number_at, paths_of_numbers
from condsim.trace import Trace

FACTORS = (0.1, 0.125, 0.25, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 4.0, 8.0, 10.0)
NONE = "none"
ANY = "any number"
IN_A_ROW = 3
INVITATION = (
    "Move a slider: the verdict above moves with it, and the changed device can be taken away as a"
    " profile."
)
NOTHING_MOVES = "None of these numbers moves this answer: no second rests on them."
NOTHING_MOVES_CALIBRATED = (
    "None of these numbers moves this answer: the device was calibrated, so its seconds are tables"
    " of measured operators, not rates. Choose a device from data sheets on the left, such as"
    " raspberry-pi-5 or nvidia-h100-sxm, to ask what if."
)
LESS_IS_BETTER = (
    ("Latency a step", "latency_s", seconds),
    ("Dense model", "baseline_s", seconds),
    ("Energy a step", "energy_j", joules),
    ("Peak memory", "peak_bytes", size),
)
"""What it is called, its name in a prediction, and how it is written."""
NUMBER = st.column_config.NumberColumn
COLUMNS: Mapping[str, Any] = {
    "path": "in the profile",
    "factor": NUMBER("times", format="x%g"),
    "speedup": NUMBER("speedup", format="%.2fx"),
    "low": NUMBER("from", format="%.2fx", help="90 % interval."),
    "high": NUMBER("to", format="%.2fx"),
    "latency_ms": NUMBER("latency a step, ms", format="%.4g"),
    "moves": st.column_config.CheckboxColumn("moves it", help="Whether any second changes at all."),
}


def page() -> None:
    """Lay the page out."""
    scenario = current_scenario()
    now = library.answer_to(scenario)
    known = knobs(now.profile, now.prediction.dtype)
    headline = st.container()
    factors = factors_input(now.profile, known)
    changed = answer_with(scenario, factors) if factors else now
    with headline:
        show_headline(now, changed)
    show(against_of(changed, now), recipe(scenario, now.profile, factors))
    if factors:
        show_changes(scenario, now, changed, factors)
    else:
        st.caption(INVITATION)
    st.markdown("**Which of these numbers move the answer**: half and twice as much of each")
    show_moves(scenario, known, now)


def factors_input(profile: HardwareProfile, known: list[Knob]) -> dict[str, float]:
    """Let the user multiply numbers of a device. Returns path → factor, without those of 1."""
    factors = {}
    for start in range(0, len(known), IN_A_ROW):
        columns = st.columns(IN_A_ROW, gap="medium")
        for column, knob in zip(columns, known[start : start + IN_A_ROW], strict=False):
            with column:
                factors[knob.path] = factor_input(profile, knob)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        others = [path for path in paths_of_numbers(profile) if path not in factors]
        path = boxes.one_of("Any other number", [NONE, *others], NONE, "number", width=320)
        factor = boxes.number(
            "times", "times", low=1e-3, usual=1.0, width=140, disabled=path == NONE
        )
    if path != NONE and factor is not None:
        factors[path] = factor
    return {path: factor for path, factor in factors.items() if factor != 1.0}


def factor_input(profile: HardwareProfile, knob: Knob) -> float:
    """By how much one number is multiplied."""
    value, found = shown(profile, knob.path), number_at(profile, knob.path)
    about = f"{value} now, {found.basis}: {found.source or 'no source'}"
    return boxes.on_a_slider(
        f"{knob.label}: {value}", FACTORS, 1.0, knob.path, factor_text, help=markdown(about)
    )


def factor_text(factor: float) -> str:
    """A factor as a slider and a link name it."""
    return f"x{factor:g}"


def shown(profile: HardwareProfile, path: str) -> str:
    """The number at a path of a profile with its unit."""
    unit = unit_of(path)
    value = number_at(profile, path).value
    return si(value, unit) if unit else number(value)


def answer_with(scenario: Scenario, factors: Mapping[str, float]) -> Answer:
    """The answer on the device with some numbers multiplied, computed once."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> Answer:
        device = edited(resolve_profile(trace, profile), factors)
        return library.answer_on(scenario, trace, device)

    return library.computed_once(f"what if {sorted(factors.items())}", scenario, compute)


def show_headline(now: Answer, changed: Answer) -> None:
    """Show the verdict with the numbers as they are edited, and the four numbers before and
    after."""
    p, before = changed.prediction, now.prediction
    st.markdown(f"#### {badge(sentence(p), p.verdict)}")
    if changed is not now:
        st.markdown(f"As it is: {badge(sentence(before), before.verdict)}")
    with st.container(horizontal=True):
        show_number("Speedup", times(p.speedup), p.speedup / before.speedup, more=True)
        for label, name, text in LESS_IS_BETTER:
            value, was = getattr(p, name), getattr(before, name)
            show_number(label, text(value), value / was, more=False)


def show_number(label: str, value: str, ratio: float, more: bool) -> None:
    """Show a number. ratio: over what it was before. more: whether more of it is better."""
    change = None if ratio == 1 else f"{ratio - 1:+.1%}"
    colour: Literal["normal", "inverse"] = "normal" if more else "inverse"
    st.metric(label, value, change, delta_color=colour, border=True, width="stretch")


def against_of(changed: Answer, now: Answer) -> Figure:
    """The speedup over each dense model on the changed device, on the axis of both."""
    table = against(changed, call(changed))
    both = pd.concat([table, against(now, call(now))])
    return Figure(
        "against",
        against_charts.against(table, beside=both),
        table,
        draw=lambda: against_figure(table),
        says="Speedup over each dense model with its interval",
    )


def show_changes(
    scenario: Scenario, now: Answer, changed: Answer, factors: Mapping[str, float]
) -> None:
    """Show what was changed, what has no effect, and how to take the device away."""
    rows = pd.DataFrame(list(changed_rows(now.profile, changed.profile, factors)))
    st.dataframe(rows, hide_index=True, key="changed", alt="Numbers that were changed")
    p, before = changed.prediction, now.prediction
    if (p.latency_s, p.baseline_s) == (before.latency_s, before.baseline_s):
        st.info("Nothing of this prediction rests on these numbers: no second changed.")
    made = recipe(scenario, now.profile, factors)
    file = file_of(changed.profile)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            f"Download {file}",
            lambda: yaml_of(changed.profile),
            file,
            "application/yaml",
            on_click="ignore",
            icon=":material/download:",
            help="The changed device, as condsim writes profiles: every changed number says so.",
        )
        take_away("changed", rows, made)
    st.caption(f"With {code(file)} in the folder where you type:")
    st.code(made.command, language="bash", wrap_lines=True)


def changed_rows(
    before: HardwareProfile, after: HardwareProfile, factors: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """A row a changed number: what it was and becomes, in the words of `condsim profiles`."""
    for path, factor in factors.items():
        yield {
            "number": path,
            "was": shown(before, path),
            "basis": number_at(before, path).basis,
            "times": factor_text(factor),
            "becomes": shown(after, path),
            "source": number_at(after, path).source,
        }


def show_moves(scenario: Scenario, known: list[Knob], now: Answer) -> None:
    """Show what half and twice as much of each number would make of the speedup."""
    asked = [(knob, factor) for knob in known for factor in (HALF, TWICE)]

    def begin() -> Iterator[dict[str, object]]:
        for knob, factor in asked:
            changed = answer_with(scenario, {knob.path: factor})
            yield move_of(knob, factor, changed, now)

    quick = asked_model(scenario.name) is None and not now.profile.calibrated
    job = Job("moves", scenario, len(asked), begin, at_once=quick)
    rows = results_of(job)
    if not rows:
        return
    table = moves(rows)
    if not table["moves"].any():
        st.info(NOTHING_MOVES_CALIBRATED if now.profile.calibrated else NOTHING_MOVES)
        return
    show(
        moves_of(table, now),
        Recipe(scenario, moves_command(scenario, known), moves_code(scenario, known)),
    )
    shown = table.assign(latency_ms=table["latency_s"] * 1e3).drop(columns="latency_s")
    st.dataframe(
        shown, hide_index=True, column_config=COLUMNS, key="moves", alt="What each number moves"
    )


def moves_of(table: pd.DataFrame, now: Answer) -> Figure:
    """A bar a number, from the speedup with half of it to that with twice."""
    speedup = now.prediction.speedup
    return Figure(
        "moves",
        charts.moves(table, speedup),
        table,
        draw=lambda: moves_figure(table, speedup),
        says="Speedup with half and with twice as much of each number",
    )


if __name__ == "__main__":  # Streamlit runs a page as a script
    page()
