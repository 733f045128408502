"""What surrounds every page: the scenario, the way in where there is no trace yet, and errors as one line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import streamlit as st

from condsim.dashboard.parts import inputs, library
from condsim.dashboard.parts.scenario import Scenario
from condsim.errors import CondsimError
from condsim.show.text import spoken

ICON = Path(__file__).parents[1] / "icon.svg"


def run(page: Any) -> None:
    """Show a page, or what is wrong in one line. page: of `st.navigation`."""
    st.set_page_config(page_title=f"{page.title} · condsim", page_icon=ICON, layout="wide")
    try:
        for name in library.given():
            if "trace" not in st.query_params and "trace" not in st.session_state:
                st.query_params["trace"] = st.session_state["trace"] = (
                    name  # both: the link shall name it
                )
        st.session_state["scenario"] = inputs.scenario()
        if st.session_state["scenario"] is None:
            welcome()
        else:
            page.run()
    except CondsimError as error:
        st.error(str(error), title="This cannot be answered")
    except Exception as error:
        logging.getLogger("condsim").exception("the page %s failed", page.title)
        st.error(
            f"{type(error).__name__}: the terminal that runs `condsim app` shows where. Please report it.",
            title="condsim itself failed here",
        )


def the_scenario() -> Scenario:
    """The scenario of this run."""
    found: Scenario = st.session_state["scenario"]
    return found


def welcome() -> None:
    """No trace yet: the ones that are here, and how to get one's own."""
    st.title("Does conditional computation pay here?", anchor=False)
    st.write(
        "One trace of a model's routing, one device: the speedup over the dense model, where the rest of the FLOP saving went, and what was measured."
    )
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Look at one that is here", anchor=False)
        for name in library.traces():
            try:
                trace = library.opened(name)
            except CondsimError as error:
                st.caption(f"{name}: {error}")
                continue
            about = (
                ", ".join(map(spoken, trace.mechanisms))
                + f", {trace.units:,} units"
                + ("" if trace.measurements.empty else ", measured")
            )
            st.button(
                f"**{name}** · {about}",
                key=f"open-{name}",
                on_click=inputs.choose,
                args=(name,),
                width="stretch",
            )
    with right:
        st.subheader("Or capture your own model", anchor=False)
        st.code(inputs.CAPTURE)
        st.write("Then start `condsim app my-trace`, or drop it on **Open a trace** on the left.")
