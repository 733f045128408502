"""The sidebar: which trace, and what is asked of it. A link is the scenario."""

from __future__ import annotations

import streamlit as st

from condsim.dashboard.parts import boxes, fields, library, uploader
from condsim.dashboard.parts.models import asked_model
from condsim.dashboard.parts.scenario import Scenario
from condsim.trace import Trace

HIDDEN = ("dtype", "runtime", "threshold", "protocol")
"""Inputs below "More"."""

DRAWN = (
    "A model of the catalogue: phase, sequences and positions stand in its name. The page Ask"
    " asks it something else."
)


def scenario_of_sidebar() -> Scenario | None:
    """The scenario that the sidebar asks for, None where no trace is chosen yet.

    Raises CondsimError where the trace or the device cannot be read.
    """
    with st.sidebar:
        name = fields.trace_input()
        with st.popover("Open a trace", icon=":material/upload_file:", width="stretch"):
            uploader.uploader(show_trace)
        if name is None:
            return None
        return _scenario(library.open_trace(name), name)


def _scenario(trace: Trace, name: str) -> Scenario:
    of_model = asked_model(name) is not None
    device = fields.device_input(trace)
    profile = fields.profile_of(trace, device)
    above = st.container()
    with st.expander("More", expanded=any(boxes.is_asked_for(key) for key in HIDDEN)):
        dtype = fields.dtype_input(profile)
        runtime = fields.runtime_input(profile, served=of_model)
        threshold = fields.threshold_input(trace)
        protocol_place = st.container()
    with above:  # strategies follow from the runtime
        strategy = fields.strategy_input(trace, profile, runtime)
        phase = fields.phase_input(trace)
        batch = None if of_model else fields.batch_input(trace, phase)
        baseline = fields.baseline_input()
        if of_model:
            st.caption(DRAWN)
    with protocol_place:  # the usual one follows from the phase
        protocol = fields.protocol_input(trace, phase)
    return Scenario(
        name=name,
        where=library.where(name),
        device=device,
        strategy=strategy,
        batch=batch,
        baseline=baseline,
        dtype=dtype,
        runtime=runtime,
        threshold=threshold,
        phase=phase,
        protocol=protocol,
    )


def show_trace(name: str) -> None:
    """Callback: make a trace the current one."""
    st.session_state["trace"] = name
