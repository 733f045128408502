"""What is noted while requests are served: of each one, of all steps, and what was waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from condsim.serve.columns import let_go, new_column, packed
from condsim.serve.over_time import OverTime
from condsim.serve.requests import Requests

QUEUE = "queue"
FORMING = "batch formation"
MEMORY = "KV memory"
REGROUPING = "regrouping"
SLOWEST = "slowest of the batch"
RANKS = "slower ranks"
EXCHANGES = "exchanges"
COMPUTE = "compute"
WAITS = (QUEUE, FORMING, MEMORY, REGROUPING, SLOWEST, RANKS, EXCHANGES, COMPUTE)
"""What a request waits for; together, its latency."""

NONE: Mapping[str, float] = MappingProxyType({})

Numbers = Any
"""One of each request, as `condsim.serve.columns.packed` gives them."""
MOST_STEPS_KEPT = 20_000
"""Steps that are kept one by one, the first ones."""


@dataclass(frozen=True)
class RanStep:
    """One step of one replica.

    name: what ran. rows: that it computed. requests: that took part. waiting: in the replica's
    queue when it began.
    """

    replica: int
    start_s: float
    seconds: float
    name: str
    rows: int
    requests: int
    waiting: int


class Book:
    """Notes of one run.

    arrival_s, prompt_tokens, output_tokens, cached_tokens: of the requests.
    started_s, first_s, finished_s: of each request, NaN as long as it has not. preemptions: how
    often a request lost its keys and values. generated: tokens that it had when that happened last,
    of those it happened to.
    waited_s: reason → request-seconds. busy_s: seconds of steps, by replica. joules: of what steps
    compute and move. waiting, running: requests over time.
    """

    def __init__(self, requests: Requests, replicas: int) -> None:
        count = len(requests)
        self.arrival_s = packed(requests.arrival_s)
        self.prompt_tokens = packed(requests.prompt_tokens)
        self.output_tokens = packed(requests.output_tokens)
        self.cached_tokens = packed(requests.cached_tokens)
        self.started_s: Numbers = packed(new_column(count, float, np.nan))
        self.first_s: Numbers = packed(new_column(count, float, np.nan))
        self.finished_s: Numbers = packed(new_column(count, float, np.nan))
        self.preemptions: Numbers = packed(new_column(count, np.int32))
        self.generated: dict[int, int] = {}
        self.waited_s = dict.fromkeys(WAITS, 0.0)
        self.busy_s = [0.0] * replicas
        self.joules = 0.0
        self.steps = 0
        self.rows = 0
        self.waiting, self.running = OverTime(), OverTime()
        self.kept: list[RanStep] = []
        self._waiting_now, self._waiting_since = 0, 0.0

    def let_go(self) -> None:
        """Give back the memory of what is noted of requests; it is there again when it is used."""
        of_requests = (
            self.arrival_s,
            self.prompt_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.started_s,
            self.first_s,
            self.finished_s,
            self.preemptions,
        )
        for numbers in of_requests:
            let_go(numbers)

    def queue_changes(self, now: float, by: int) -> None:
        """Note that requests began to wait, or stopped."""
        self.waiting.add(self._waiting_since, now, self._waiting_now)
        self._waiting_now += by
        self._waiting_since = now

    def start(self, request: int, now: float) -> None:
        """Note that a request takes part in a step for the first time."""
        if self.started_s[request] != self.started_s[request]:  # NaN
            self.started_s[request] = now

    def first_token(self, request: int, now: float) -> None:
        """Note that the first token of an answer is there."""
        if self.first_s[request] != self.first_s[request]:  # NaN
            self.first_s[request] = now

    def ran(
        self, step: RanStep, joules: float, computing: float, waits: Mapping[str, float] = NONE
    ) -> None:
        """Note a step. computing: of its requests, those that are computed, as a number. waits:
        reason → seconds of the step in which none is."""
        self.steps += 1
        self.rows += step.rows
        self.joules += joules
        self.busy_s[step.replica] += step.seconds
        for reason, seconds in waits.items():
            self.waited_s[reason] += seconds * computing
        self.waited_s[COMPUTE] += (step.seconds - sum(waits.values())) * computing
        self.running.add(step.start_s, step.start_s + step.seconds, step.requests)
        if len(self.kept) < MOST_STEPS_KEPT:
            self.kept.append(step)


@dataclass
class Queue:
    """Requests that wait, oldest first. reason: what they wait for."""

    book: Book
    reason: str = QUEUE
    _since: float = 0.0
    _requests: deque[int] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[int]:
        return iter(self._requests)

    @property
    def oldest(self) -> int:
        """The request that has waited longest."""
        return self._requests[0]

    def push(self, request: int, now: float) -> None:
        """Put a request behind the others."""
        self._count_wait(now)
        self._requests.append(request)
        self.book.queue_changes(now, 1)

    def push_back(self, request: int, now: float) -> None:
        """Put a request that ran before in front of the others."""
        self._count_wait(now)
        self._requests.appendleft(request)
        self.book.queue_changes(now, 1)

    def pop(self, now: float) -> int:
        """Take the oldest request."""
        self._count_wait(now)
        self.book.queue_changes(now, -1)
        return self._requests.popleft()

    def because(self, reason: str, now: float) -> None:
        """Say what the requests wait for from now on."""
        if reason != self.reason:
            self._count_wait(now)
            self.reason = reason

    def _count_wait(self, now: float) -> None:
        self.book.waited_s[self.reason] += len(self._requests) * (now - self._since)
        self._since = now
