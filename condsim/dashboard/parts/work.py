"""Long work: done step by step, with progress and a Stop. What is done stays; work that was stopped goes on where it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import streamlit as st

from condsim.show.text import si

T = TypeVar("T")
BAR = 420
"""Pixels of the progress bar: fixed, so that Stop stays where it is while its words change."""


def through(
    key: str,
    request: object,
    total: int,
    begin: Callable[[], Iterator[T]],
    auto: bool = True,
    noun: str = "simulations",
) -> list[T]:
    """Results of an iterator, all of them or those that came before Stop.

    request: what is asked; another request begins anew. begin: makes the iterator. auto: begin at once, else at the press of a button.
    noun: what is done, for a person.
    """
    state: dict[str, Any] = st.session_state.get(f"work-{key}", {})
    if state.get("request") != request:
        state = {
            "request": request,
            "done": [],
            "steps": None,
            "waits": not auto,
            "alone": threading.Lock(),
        }
        st.session_state[f"work-{key}"] = state
    pressed = st.session_state.pop(f"pressed-{key}", None)
    if (
        pressed is not None
    ):  # counts for what is asked now: a value that was typed last comes with the press
        state["waits"] = pressed == "Stop"
    done: list[T] = state["done"]
    if len(done) >= total:
        return done
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        if state["waits"]:
            label, icon = (
                ("Go on", ":material/play_arrow:") if done else ("Run", ":material/play_arrow:")
            )
            st.button(
                label,
                key=f"run-{key}",
                on_click=_pressed,
                args=(key, label),
                type="primary",
                icon=icon,
            )
            st.caption(f"{len(done)} of {total} are done." if done else f"{total} {noun}.")
            return done
        bar = st.progress(len(done) / total, f"{len(done)} of {total}", width=BAR)
        st.button(
            "Stop", key=f"stop-{key}", on_click=_pressed, args=(key, "Stop"), icon=":material/stop:"
        )
    with state[
        "alone"
    ]:  # a page that is asked anew begins while the run before it is still at its last step
        if state["steps"] is None:
            state["steps"] = begin()
        began, before = time.monotonic(), len(done)
        for result in state["steps"]:
            done.append(result)
            left = (time.monotonic() - began) / (len(done) - before) * (total - len(done))
            bar.progress(
                min(len(done) / total, 1.0),
                f"{len(done)} of {total}, about {si(left, 's', 2)} left",
                width=BAR,
            )
    place.empty()
    return done


def _pressed(key: str, label: str) -> None:
    """Callback of Run, Go on and Stop."""
    st.session_state[f"pressed-{key}"] = label
