"""Ranks that step together: a step takes as long for all, idle ones take part, nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serve.runs import LOOPS, Served, TextCosts, arriving

from condsim.serve.book import EXCHANGES, RANKS, Book
from condsim.serve.fleet import Fleet
from condsim.serve.lock_step import LockStep
from condsim.serve.requests import Lengths, Requests, poisson
from condsim.serve.service import Service
from condsim.serve.text import TextReplica, TextStep


@dataclass(frozen=True)
class Step:
    seconds: float
    joules: list[float]
    waits_s: list[float]
    exchange_s: float


@dataclass
class Costs:
    """A rank takes 1/16 s and 1/256 s a token, an exchange 1/32 s. rows: of each step and rank."""

    rows: list[list[int]] = field(default_factory=list)

    def price(self, steps: Sequence[TextStep]) -> Step:
        self.rows.append([step.rows for step in steps])
        own = [1 / 16 + step.rows / 256 for step in steps]
        waits = [max(own) - own_s for own_s in own]
        return Step(max(own) + 1 / 32, [1.0] * len(steps), waits, 1 / 32)


def serve(requests: Requests, service: Service, ranks: int, by: str = "loop") -> Served:
    costs = Costs()
    members = service.replicas * ranks
    book = Book(requests, members)

    def rank(number: int, queue: object) -> TextReplica:
        return TextReplica(number, queue, book, service, TextCosts())

    def join(all_ranks: list[TextReplica]) -> list[LockStep]:
        firsts = range(0, members, ranks)
        parts = [all_ranks[first : first + ranks] for first in firsts]
        return [LockStep(number, part, costs) for number, part in enumerate(parts)]

    fleet = Fleet(book, service.dispatch, members, rank, join)
    LOOPS[by](fleet, book.arrival_s)
    served = Served(book, fleet)
    served.rows = costs.rows
    return served


TEXTS = poisson(6.0, 200, Lengths(1, 60), Lengths(1, 40), seed=5)
SERVICE = Service("chunked", max_batch=4, token_budget=32, dispatch="least-loaded", kv_tokens=256)


@pytest.mark.parametrize("scheduler", ["chunked", "ahead", "continuous"])
def test_all_are_served_and_their_time_is_accounted_for(scheduler: str) -> None:
    service = Service(scheduler, 4, token_budget=32, dispatch="least-loaded", replicas=2)
    served = serve(TEXTS, service, ranks=2)
    assert np.isfinite(served.finished).all()
    assert [rank.load for rank in served.fleet.members] == [0, 0, 0, 0]
    assert [rank.memory.used for rank in served.fleet.members] == [0, 0, 0, 0]
    total = sum(served.book.waited_s.values())
    assert total == pytest.approx(served.latency.sum(), rel=1e-9)
    assert served.book.waited_s[RANKS] > 0
    assert served.book.waited_s[EXCHANGES] > 0


def test_no_rank_begins_before_all_have_ended() -> None:
    served = serve(TEXTS, SERVICE, ranks=3)
    ended = 0.0
    by_start: dict[float, set[float]] = {}
    for step in served.book.kept:
        by_start.setdefault(step.start_s, set()).add(step.seconds)
    for start_s, seconds in by_start.items():
        assert len(seconds) == 1
        assert start_s >= ended - 1e-9
        ended = start_s + max(seconds)


def test_a_rank_without_work_takes_part() -> None:
    """One text on two ranks: each step is priced for both, and only one of them is noted."""
    served = serve(arriving([0.0], prompts=8, answers=3), SERVICE, ranks=2)
    assert served.rows == [[8, 0], [1, 0], [1, 0]]
    assert {step.replica for step in served.book.kept} == {0}
    assert served.book.joules == 6.0


def test_one_text_waits_for_the_prompt_of_another_rank() -> None:
    """The second text arrives while the first one answers; its prompt slows that answer down."""
    requests = Requests(
        np.array([0.0, 0.15]), np.array([1, 32]), np.array([6, 1]), np.zeros(2, int)
    )
    alone = serve(requests.first(1), SERVICE, ranks=2)
    beside = serve(requests, SERVICE, ranks=2)
    later = beside.finished[0] - alone.finished[0]
    assert later == pytest.approx(31 / 256)
    assert beside.book.waited_s[RANKS] == pytest.approx(31 / 256)


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 48), min_size=1, max_size=20),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from(["chunked", "ahead", "continuous"]),
    st.sampled_from([None, 64]),
)
def test_the_loop_says_what_simpy_says(
    gaps: list[int], ranks: int, replicas: int, scheduler: str, kv_tokens: int | None
) -> None:
    arrivals = np.cumsum(gaps) / 16
    lengths = np.random.default_rng(len(gaps)).integers(1, 24, (2, len(gaps)))
    requests = Requests(arrivals, lengths[0], lengths[1], np.zeros(len(gaps), int))
    service = Service(
        scheduler,
        3,
        token_budget=16,
        dispatch="round-robin",
        replicas=replicas,
        kv_tokens=kv_tokens,
    )
    ours, theirs = (serve(requests, service, ranks, by) for by in ("loop", "simpy"))
    for column in ("started_s", "first_s", "finished_s", "preemptions"):
        mine, others = getattr(ours.book, column), getattr(theirs.book, column)
        np.testing.assert_allclose(mine, others, rtol=1e-9, atol=1e-9, err_msg=column)
    assert ours.rows == theirs.rows
