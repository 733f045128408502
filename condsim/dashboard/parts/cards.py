"""The four numbers of an answer as cards, and its verdict as a badge."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from condsim.predict.verdict import FASTER, SLOWER
from condsim.show.escape import markdown
from condsim.show.text import si, times
from condsim.study.answer import Answer

COLOURS = {FASTER: "green", SLOWER: "red"}
"""Of a verdict's badge."""
UNSURE_COLOUR = "orange"


def badge(sentence: str, verdict: str) -> str:
    """A sentence "verdict: the rest" as Markdown, its first words as a badge."""
    says, _, rest = sentence.partition(": ")
    colour = COLOURS.get(verdict, UNSURE_COLOUR)
    return f":{colour}-badge[{says}] {markdown(rest)}"


@dataclass(frozen=True)
class Card:
    """One number. label: with the word that says what it rests on. below: what it compares with."""

    label: str
    value: str
    below: str


def cards(answer: Answer) -> list[Card]:
    """Speedup, latency, energy and peak memory."""
    p = answer.prediction
    bases = p.bases
    speedup = Card(
        f"Over {p.baseline}, {bases['speedup']}", times(p.speedup), other_speedups(answer)
    )
    median = si(p.percentile(50), "s")
    tail = si(p.percentile(99), "s")
    dense = si(p.baseline_s, "s")
    latency = Card(
        f"Latency a step, {bases['latency_s']}",
        si(p.latency_s, "s"),
        f"p50 {median}, p99 {tail}, dense {dense}",
    )
    dense = si(p.baseline_energy_j, "J")
    energy = Card(f"Energy a step, {bases['energy_j']}", si(p.energy_j, "J"), f"dense {dense}")
    dense = si(p.baseline_peak_bytes, "B")
    memory = Card(f"Peak memory, {bases['peak_bytes']}", si(p.peak_bytes, "B"), f"dense {dense}")
    return [speedup, latency, energy, memory]


def other_speedups(answer: Answer) -> str:
    """The speedup over every other baseline, and the measured one."""
    words = []
    for baseline, speedup in answer.speedups.items():
        if baseline != answer.prediction.baseline:
            words.append(f"{times(speedup)} over {baseline}")
    if answer.measured is None:
        words.append("not measured")
    else:
        measured = times(answer.measured["measured_speedup"])
        words.append(f"measured {measured} ({answer.measured['protocol']})")
    return ", ".join(words)


def show_cards(of: list[Card]) -> None:
    """Show cards beside each other, below each other where there is no room."""
    with st.container(horizontal=True):
        for card in of:
            st.metric(
                card.label,
                card.value,
                card.below,
                delta_color="off",
                delta_arrow="off",
                border=True,
                width="stretch",
            )
