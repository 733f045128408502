"""A second scenario, to lay beside the first."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from condsim.dashboard.parts import boxes, fields, library
from condsim.dashboard.parts.scenario import Scenario
from condsim.trace import Trace


def second_scenario(first: Scenario) -> Scenario | None:
    """The second scenario, None where none is asked for.

    It differs in what is chosen; the rest is as in the first.
    """
    if not boxes.switched("A second scenario beside it", "second"):
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = list(library.traces())
        name = boxes.one_of("Its trace", names, first.name, "trace2")
        trace = library.open_trace(name)
        return _scenario(first, trace, name)


def _scenario(first: Scenario, trace: Trace, name: str) -> Scenario:
    same_trace = name == first.name
    device = fields.device_input(trace, "Its device", "device2", first.device)
    profile = fields.profile_of(trace, device)
    proposed = first.strategy if same_trace else None
    same_device = device == first.device
    runtime = first.runtime if same_device else None
    strategy = fields.strategy_input(trace, profile, runtime, "Its strategy", "strategy2", proposed)
    phase = phase_like(first, fields.phases_of(trace))
    batch = fields.batch_input(trace, phase, "Its batch", "batch2", first.batch, about=None)
    return replace(
        first,
        name=name,
        where=library.where(name),
        device=device,
        strategy=strategy,
        batch=batch,
        phase=phase,
        dtype=first.dtype if same_device else None,
        runtime=runtime,
        threshold=first.threshold if same_trace else None,
    )


def phase_like(first: Scenario, phases: list[str]) -> str | None:
    """The first scenario's phase where the second trace has it, else the trace's first phase.

    None where the trace has one phase, which is not the first scenario's. phases: of the trace.
    """
    if first.phase in phases:
        return first.phase
    return phases[0] if len(phases) > 1 else None
