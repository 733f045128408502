"""Long work waits, runs, and keeps what is done."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def counting() -> None:
    """A page that counts to three when it is told to, and up to `wanted` in all."""
    import streamlit as st

    from condsim.dashboard.parts.work import Job, results_of

    wanted = st.session_state.get("wanted", 3)
    at_once = st.session_state.get("at_once", False)

    def count():  # type: ignore[no-untyped-def]
        for number in range(wanted):
            if number == st.session_state.get("stops_at"):
                st.session_state["stops_at"] = None
                st.stop()
            yield number

    job = Job("count", wanted, wanted, count, at_once=at_once, noun="numbers")
    st.write(f"done: {results_of(job)}")


def test_it_runs_when_it_is_told_to() -> None:
    app = AppTest.from_function(counting).run()
    assert app.caption[0].value == "3 numbers."
    assert app.markdown[0].value == "done: []"
    app.button(key="run-count").click().run()
    assert app.markdown[0].value == "done: [0, 1, 2]"
    assert not app.button


def test_it_runs_at_once_where_it_may() -> None:
    app = AppTest.from_function(counting)
    app.session_state["at_once"] = True
    app.run()
    assert app.markdown[0].value == "done: [0, 1, 2]"


def test_another_request_begins_anew() -> None:
    app = AppTest.from_function(counting).run()
    app.button(key="run-count").click().run()
    app.session_state["wanted"] = 2
    app.run()
    assert app.markdown[0].value == "done: []"


def test_what_was_done_before_a_stop_stays() -> None:
    app = AppTest.from_function(counting)
    app.session_state["stops_at"] = 2
    app.run()
    app.button(key="run-count").click().run()
    app.session_state["pressed-count"] = "Stop"
    app.run()
    assert app.caption[0].value == "2 of 3 are done."
    assert app.button(key="run-count").label == "Go on"
    assert app.markdown[0].value == "done: [0, 1]"
