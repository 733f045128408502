"""The scenario that this run of a page is about."""

from __future__ import annotations

import streamlit as st

from condsim.dashboard.parts.models import asked_model
from condsim.dashboard.parts.scenario import Scenario
from condsim.errors import CondsimError

FOR_MODELS = "Verdict, Waterfall, Routing, Timeline, Memory, Advice, What if, Side by side, Sweep"
"""Pages that answer about models of the catalogue."""


def current_scenario() -> Scenario:
    """The scenario of this run of the page."""
    scenario: Scenario = st.session_state["scenario"]
    return scenario


def captured_scenario() -> Scenario:
    """The scenario of a page that needs a captured trace. Raises CondsimError for a model."""
    scenario = current_scenario()
    asked = asked_model(scenario.name)
    if asked is not None:
        raise CondsimError(
            f"this page is about captured routing, and that of {asked.model.name} is drawn from"
            f" published figures; choose a trace on the left, or another page: {FOR_MODELS}"
        )
    return scenario
