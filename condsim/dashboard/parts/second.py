"""A second scenario, to lay beside the first."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from condsim.catalogue import CATALOGUE
from condsim.dashboard.parts import boxes, fields, library
from condsim.dashboard.parts.models import AskedModel, asked_model, conditional_models
from condsim.dashboard.parts.scenario import Scenario
from condsim.hardware import HardwareProfile
from condsim.runtimes.runtime import SERVED
from condsim.trace import Trace


def second_scenario(first: Scenario) -> Scenario | None:
    """The second scenario, None where none is asked for.

    It differs in what is chosen; the rest is as in the first.
    """
    if not boxes.switched("A second scenario beside it", "second"):
        return None
    return second_inputs(first, first.device)


def second_inputs(first: Scenario, wanted: str | None) -> Scenario:
    """Let the user choose a second scenario. wanted: its device at first."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = list(dict.fromkeys([first.name, *library.traces(), *models_like(first.name)]))
        name = boxes.one_of("Its trace", names, first.name, "trace2")
        trace = library.open_trace(name)
        return _scenario(first, trace, name, wanted)


def models_like(name: str) -> list[str]:
    """All models of the catalogue that are asked the same as one; none where a trace is named."""
    asked = asked_model(name)
    if asked is None:
        return []
    return [AskedModel(CATALOGUE[other], asked.question).name for other in conditional_models()]


def _scenario(first: Scenario, trace: Trace, name: str, wanted: str | None) -> Scenario:
    of_model = asked_model(name) is not None
    same_trace = name == first.name
    device = fields.device_input(trace, "Its device", "device2", wanted)
    profile = fields.profile_of(trace, device)
    proposed = first.strategy if same_trace else None
    same_device = device == first.device
    runtime = _runtime(first, profile, same_device, of_model)
    strategy = fields.strategy_input(trace, profile, runtime, "Its strategy", "strategy2", proposed)
    phase = phase_like(first, fields.phases_of(trace))
    batch = None
    if not of_model:
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


def _runtime(
    first: Scenario, profile: HardwareProfile, same_device: bool, of_model: bool
) -> str | None:
    """The first one's on the same device; else the device's own, for models as they are served."""
    if same_device:
        return first.runtime
    return SERVED.name if of_model and SERVED.is_for(profile) else None


def phase_like(first: Scenario, phases: list[str]) -> str | None:
    """The first scenario's phase where the second trace has it, else the trace's first phase.

    None where the trace has one phase, which is not the first scenario's. phases: of the trace.
    """
    if first.phase in phases:
        return first.phase
    return phases[0] if len(phases) > 1 else None
