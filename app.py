"""condsim in a browser: `condsim app [TRACE]`. A page is a file in condsim/dashboard."""

from pathlib import Path

import streamlit as st

import condsim.dashboard
from condsim.dashboard.parts.shell import run

FOLDER = Path(condsim.dashboard.__file__).parent
PAGES = {
    "ask": ("Ask", "Does it pay? Ask about any model here"),
    "verdict": ("Verdict", "Does it pay here?"),
    "waterfall": ("Waterfall", "Where did the saving go?"),
    "accuracy": ("Accuracy", "Is it true?"),
    "routing": ("Routing", "What did the model decide?"),
    "timeline": ("Timeline", "What waited for what?"),
    "memory": ("Memory", "What fills the memory?"),
    "compare": ("Compare", "Which device, strategy, model?"),
    "serving": ("Serving", "What do requests wait for?"),
    "breakeven": ("Break-even", "When does it start or stop paying?"),
}
"""File, and path in the address → title, question."""
FIRST = "verdict"
DECIDE = {
    "advise": ("Advice", "What would a colleague say?"),
    "whatif": ("What if", "What if the device were another?"),
    "beside": ("Side by side", "Two devices or two models, which one?"),
    "sweep": ("Sweep", "What do all points of a grid say?"),
    "coverage": ("Coverage", "What has a test not seen?"),
    "frontier": ("Frontier", "Is it faster at equal quality?"),
    "drift": ("Drift", "What moved, and what does it cost?"),
}
"""The same of pages that stand together behind one word."""


def page(name: str) -> st.Page:
    """A page of the navigation; `FIRST` is shown where an address names none."""
    title, question = (PAGES | DECIDE)[name]
    file = FOLDER / f"{name}.py"
    first = name == FIRST
    return st.Page(file, title=title, help=question, url_path=name, default=first)


SECTIONS = {"": [page(name) for name in PAGES], "Decide": [page(name) for name in DECIDE]}
run(st.navigation(SECTIONS, position="top"))
