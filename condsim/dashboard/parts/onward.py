"""Links from an answer to the pages that explain it, with the same scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from condsim.dashboard.parts.scenario import Scenario

FOLDER = Path(__file__).parents[1]
ICONS = {
    "waterfall": ":material/waterfall_chart:",
    "advise": ":material/tips_and_updates:",
    "memory": ":material/memory:",
    "whatif": ":material/tune:",
    "beside": ":material/compare:",
    "sweep": ":material/grid_on:",
    "serving": ":material/dns:",
    "verdict": ":material/gavel:",
}
EXPLAIN = {
    "verdict": "All numbers",
    "waterfall": "Where did the saving go?",
    "advise": "What would gain most?",
    "memory": "What fills the memory?",
    "whatif": "What if the device were faster?",
    "beside": "Beside another device or model",
    "sweep": "At other batches",
}
"""Page → the question that it answers."""
EXPLAIN_SERVED = {
    "serving": "What do requests wait for?",
    "verdict": "One step, all numbers",
}
"""The same where requests are served."""


def show_onward(scenario: Scenario, explain: Mapping[str, str] = EXPLAIN, **boxes: str) -> None:
    """Show a link to each page that explains an answer.

    explain: page → the question that it answers. boxes: of those pages, beside the scenario's.
    """
    with st.container(horizontal=True):
        for page, question in explain.items():
            file = FOLDER / f"{page}.py"
            query = {**scenario.query_fields(), **boxes}
            st.page_link(str(file), label=question, icon=ICONS[page], query_params=query)
