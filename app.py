"""condsim in a browser: `condsim app [TRACE]`. This file only builds the navigation; a page is a file in condsim/dashboard."""

from pathlib import Path

import streamlit as st

import condsim.dashboard
from condsim.dashboard.parts.shell import run

PAGES = {
    "verdict": ("Verdict", "Does it pay here?"),
    "waterfall": ("Waterfall", "Where did the saving go?"),
    "accuracy": ("Accuracy", "Is it true?"),
    "routing": ("Routing", "What did the model decide?"),
    "timeline": ("Timeline", "What waited for what?"),
    "compare": ("Compare", "Which device, strategy, model?"),
    "breakeven": ("Break-even", "When does it start or stop paying?"),
}
folder = Path(condsim.dashboard.__file__).parent
pages = [
    st.Page(
        folder / f"{name}.py", title=title, help=question, url_path=name, default=name == "verdict"
    )
    for name, (title, question) in PAGES.items()
]
run(st.navigation(pages, position="top"))
