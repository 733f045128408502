"""The loop says what SimPy says, of random systems."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from serve.runs import Costs, Served, serve_samples, serve_text

from condsim.serve.requests import Requests
from condsim.serve.service import Service

SIXTEENTHS = st.integers(0, 48).map(lambda value: value / 16)
"""Times that floats hold exactly, so that what happens at once happens at once in both."""


@st.composite
def requests(draw: Any, most: int = 30) -> Requests:
    gaps = draw(st.lists(SIXTEENTHS, min_size=1, max_size=most))
    count = len(gaps)
    lengths = st.lists(st.integers(1, 24), min_size=count, max_size=count)
    prompts, answers = (np.array(draw(lengths)) for _ in range(2))
    return Requests(np.cumsum(gaps), prompts, answers, np.zeros(count, int))


@st.composite
def sample_services(draw: Any) -> Service:
    return Service(
        scheduler=draw(st.sampled_from(["dynamic", "static"])),
        max_batch=draw(st.integers(1, 6)),
        max_wait_s=draw(SIXTEENTHS),
        exits=draw(st.sampled_from(["leave", "wait", "regroup"])),
        dispatch=draw(st.sampled_from(["shared", "round-robin", "least-loaded"])),
        replicas=draw(st.integers(1, 3)),
    )


@st.composite
def text_services(draw: Any) -> Service:
    batch = draw(st.integers(1, 6))
    return Service(
        scheduler=draw(st.sampled_from(["chunked", "ahead", "continuous", "static"])),
        max_batch=batch,
        token_budget=batch + draw(st.integers(0, 20)),
        kv_tokens=draw(st.sampled_from([None, 48, 64, 100])),
        kv_block=draw(st.sampled_from([1, 4, 16])),
        dispatch=draw(st.sampled_from(["shared", "round-robin", "least-loaded"])),
        replicas=draw(st.integers(1, 3)),
    )


def assert_alike(ours: Served, theirs: Served) -> None:
    for column in ("started_s", "first_s", "finished_s", "preemptions"):
        mine, others = getattr(ours.book, column), getattr(theirs.book, column)
        np.testing.assert_allclose(mine, others, rtol=1e-9, atol=1e-9, err_msg=column)
    assert ours.book.steps == theirs.book.steps
    for reason, seconds in ours.book.waited_s.items():
        np.testing.assert_allclose(seconds, theirs.book.waited_s[reason], rtol=1e-9, atol=1e-9)


@given(requests(), sample_services(), st.integers(0, 1 << 30))
def test_samples(asked: Requests, service: Service, seed: int) -> None:
    depths = np.random.default_rng(seed).integers(1, 4, len(asked)).tolist()
    costs = Costs(lambda stage, rows: (2 + stage + len(rows)) / 16, depths, 3, regroup_s=1 / 32)
    ours, theirs = (serve_samples(asked, service, costs, by) for by in ("loop", "simpy"))
    assert_alike(ours, theirs)


@given(requests(), text_services())
def test_texts(asked: Requests, service: Service) -> None:
    ours, theirs = (serve_text(asked, service, by) for by in ("loop", "simpy"))
    assert_alike(ours, theirs)
    if service.kv_tokens is not None:
        for replica in ours.fleet.replicas:
            assert replica.memory.used == 0
