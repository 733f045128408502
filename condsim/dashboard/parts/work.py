"""Long work: done step by step, with progress and a Stop.

What is done stays. Work that was stopped goes on where it was.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import streamlit as st

from condsim.show.text import si

T = TypeVar("T")
BAR_PIXELS = 420
"""Width of the progress bar: fixed, so that Stop stays where it is while the bar's words change."""
PLAY = ":material/play_arrow:"


@dataclass(frozen=True)
class Job(Generic[T]):
    """Long work.

    key: names it on its page. request: what is asked; another request begins anew. total: how many
    results there will be. begin: makes the iterator of results. at_once: begin unasked, else at
    the press of a button. noun: what is done, for a person.
    """

    key: str
    request: object
    total: int
    begin: Callable[[], Iterator[T]]
    at_once: bool = True
    noun: str = "simulations"


@dataclass
class Progress(Generic[T]):
    """How far a job is in one session.

    request: of the job. waits: for the press of a button. results: so far. steps: the iterator
    that gives the rest, None before it begins. one_at_a_time: held while the iterator runs.
    """

    request: object
    waits: bool
    results: list[T] = field(default_factory=list)
    steps: Iterator[T] | None = None
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)


def results_of(job: Job[T]) -> list[T]:
    """Results of a job: all of them, or those that came before Stop."""
    progress = _progress_of(job)
    if len(progress.results) >= job.total:
        return progress.results
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        if progress.waits:
            _show_start(job, len(progress.results))
            return progress.results
        bar = st.progress(*_share_and_words(job, len(progress.results)), width=BAR_PIXELS)
        _button(job.key, "Stop", ":material/stop:")
    # A page that is asked anew begins while the run before it is still at its last step.
    with progress.one_at_a_time:
        _run(job, progress, bar)
    place.empty()
    return progress.results


def _progress_of(job: Job[T]) -> Progress[T]:
    """The progress that the session keeps, a new one for a new request."""
    name = f"work-{job.key}"
    progress: Progress[T] | None = st.session_state.get(name)
    if progress is None or progress.request != job.request:
        progress = Progress(job.request, waits=not job.at_once)
        st.session_state[name] = progress
    # A press counts for what is asked now: a value that was typed last comes with the press.
    pressed = st.session_state.pop(f"pressed-{job.key}", None)
    if pressed is not None:
        progress.waits = pressed == "Stop"
    return progress


def _show_start(job: Job[T], done: int) -> None:
    """The button that begins the work, or goes on with it."""
    if done:
        _button(job.key, "Go on", PLAY)
        st.caption(f"{done} of {job.total} are done.")
    else:
        _button(job.key, "Run", PLAY)
        st.caption(f"{job.total} {job.noun}.")


def _button(job_key: str, label: str, icon: str) -> None:
    stops = label == "Stop"
    st.button(
        label,
        key=f"stop-{job_key}" if stops else f"run-{job_key}",
        on_click=_pressed,
        args=(job_key, label),
        type="secondary" if stops else "primary",
        icon=icon,
    )


def _pressed(job_key: str, label: str) -> None:
    """Callback of Run, Go on and Stop."""
    st.session_state[f"pressed-{job_key}"] = label


def _run(job: Job[T], progress: Progress[T], bar: st.delta_generator.DeltaGenerator) -> None:
    """Take results until there are no more. A Stop ends this run of the page from outside."""
    if progress.steps is None:
        progress.steps = job.begin()
    began, before = time.monotonic(), len(progress.results)
    for result in progress.steps:
        progress.results.append(result)
        done = len(progress.results)
        seconds_each = (time.monotonic() - began) / (done - before)
        left_s = seconds_each * (job.total - done)
        share, words = _share_and_words(job, done)
        bar.progress(share, f"{words}, about {si(left_s, 's', 2)} left", width=BAR_PIXELS)


def _share_and_words(job: Job[T], done: int) -> tuple[float, str]:
    """(what a progress bar is given, what it says)."""
    return min(done / job.total, 1.0), f"{done} of {job.total}"
