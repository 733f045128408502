"""What surrounds every page.

The scenario, the way in where there is no trace yet, and errors as one line.
"""

from __future__ import annotations

import logging
from pathlib import Path

import streamlit as st

from condsim.dashboard import ask
from condsim.dashboard.parts import boxes, library, sidebar, warm_up
from condsim.errors import CondsimError
from condsim.mechanisms import MECHANISMS
from condsim.show.escape import markdown
from condsim.trace import Trace

ICON = Path(__file__).parents[1] / "icon.svg"
WITHOUT_SCENARIO = ("ask",)
"""Pages that ask by themselves: the sidebar is not theirs."""
CAPTURE = """\
import condsim

trace = condsim.capture(model, inputs)
trace.save("my-trace")"""


def run(page: st.Page) -> None:
    """Show a page, or what is wrong in one line. page: of `st.navigation`."""
    st.set_page_config(page_title=f"{page.title} · condsim", page_icon=ICON, layout="wide")
    try:
        if page.url_path in WITHOUT_SCENARIO:
            page.run()
        else:
            _run_on_the_scenario(page)
    except CondsimError as error:
        st.error(markdown(str(error)), title="This cannot be answered")
    except Exception as error:
        logging.getLogger("condsim").exception("the page %s failed", page.title)
        st.error(
            f"{type(error).__name__}: the terminal that runs `condsim app` shows where."
            " Please report it.",
            title="condsim itself failed here",
        )
    boxes.forget_problems()  # not where the page is run again: they are still to be said
    warm_up.begin()


def _run_on_the_scenario(page: st.Page) -> None:
    """Show the sidebar and a page, or the way in where no trace is chosen yet."""
    _choose_the_given_trace()
    scenario = sidebar.scenario_of_sidebar()
    st.session_state["scenario"] = scenario
    if scenario is None:
        welcome()
    else:
        page.run()


def _choose_the_given_trace() -> None:
    """Begin with the trace that the app was started with, unless a link names another."""
    for name in library.given():
        if "trace" not in st.query_params and "trace" not in st.session_state:
            st.query_params["trace"] = name  # so that the link names it
            st.session_state["trace"] = name


def welcome() -> None:
    """No trace yet: a question, the traces that are here, and how to get one's own."""
    ask.page()
    st.divider()
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Look at one that is here", anchor=False)
        for name in library.traces():
            _button_of_a_trace(name)
    with right:
        st.subheader("Or capture your own model", anchor=False)
        st.code(CAPTURE)
        st.write("Then start `condsim app my-trace`, or drop it on **Open a trace** on the left.")


def _button_of_a_trace(name: str) -> None:
    """A button that shows the trace, or why it cannot be read."""
    try:
        trace = library.open_trace(name)
    except CondsimError as error:
        st.caption(markdown(f"{name}: {error}"))
        return
    st.button(
        f"**{markdown(name)}** · {summary(trace)}",
        key=f"open-{name}",
        on_click=sidebar.show_trace,
        args=(name,),
        width="stretch",
    )


def summary(trace: Trace) -> str:
    """A trace in a few words: what decides, how much was captured, whether it was measured."""
    words = [MECHANISMS[name].title for name in trace.mechanisms]
    words.append(f"{trace.units:,} units")
    if not trace.measurements.empty:
        words.append("measured")
    return ", ".join(words)
