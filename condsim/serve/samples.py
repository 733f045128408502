"""A replica that answers each request in one forward, stage by stage where samples may leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from condsim.serve.book import (
    FORMING,
    QUEUE,
    REGROUPING,
    SLOWEST,
    Book,
    Queue,
    RanStep,
)
from condsim.serve.exits import EXIT_POLICIES
from condsim.serve.exits.base import Rest
from condsim.serve.replica import Replica
from condsim.serve.schedulers import SCHEDULERS
from condsim.serve.schedulers.base import Waiting
from condsim.serve.service import Service


class SamplePrices(Protocol):
    """What batches of samples cost.

    stages: parts of the network, between which samples may leave; 1 where none do.
    regroup_s: seconds that joining the rest of several batches costs a batch.
    """

    stages: int
    regroup_s: float

    def depth(self, request: int) -> int:
        """Return the stages that a request runs through."""

    def price(self, stage: int, requests: Sequence[int]) -> tuple[float, float]:
        """Return (seconds, joules) of a stage on some requests."""

    def rest_s(self, stage: int, rows: int) -> float:
        """Return the seconds from a stage to the end, if so many rows ran all of it."""


@dataclass(frozen=True)
class Held:
    """A sample that waits in front of a stage. until_s: when it would have been done by itself."""

    request: int
    since_s: float
    until_s: float


class SampleReplica(Replica):
    """Runs one stage of one batch at a time."""

    def __init__(
        self, number: int, queue: Queue, book: Book, service: Service, prices: SamplePrices
    ) -> None:
        super().__init__(number, queue, book)
        assert service.scheduler is not None
        self.service, self.prices = service, prices
        self.scheduler = SCHEDULERS[service.scheduler]
        self.policy = EXIT_POLICIES[service.exits]
        self.held: dict[int, list[Held]] = {}
        """Stage → samples that wait there to be joined with others."""
        self.joined = False
        self.going_on: list[int] = []
        self.done: list[int] = []
        self.stage = 0
        self.runs: list[int] = []

    @property
    def load(self) -> int:
        held = sum(map(len, self.held.values()))
        begun = len(self.runs) + len(self.going_on) + len(self.done) + held
        return len(self.queue) + begun

    def start(self, now: float, closing: bool) -> float | None:
        """Run the rest of a batch, what was held, or a new batch."""
        if not self._next(now, closing):
            if len(self.queue):
                self.queue.because(FORMING, now)
            return None
        self.queue.because(QUEUE, now)
        seconds, joules = self.prices.price(self.stage, self.runs)
        if self.joined:
            seconds += self.prices.regroup_s
        seconds += self.service.overhead_s if self.stage == 0 else 0.0
        name = "batch" if self.prices.stages == 1 else f"stage {self.stage + 1}"
        rows = len(self.runs)
        step = RanStep(
            self.number, now, seconds, name, rows, rows + len(self.done), len(self.queue)
        )
        self.book.ran(step, joules, rows)
        self.book.waited_s[SLOWEST] += seconds * len(self.done)
        return seconds

    def _next(self, now: float, closing: bool) -> bool:
        """Choose `stage` and `runs`; returns whether there are any."""
        self.joined = False
        if self.going_on:
            self.runs, self.going_on = self.going_on, []
            self.stage += 1
            return True
        return self._held_group(now, only_ready=True) or (
            self._new_batch(now, closing) or self._held_group(now, only_ready=False)
        )

    def _new_batch(self, now: float, closing: bool) -> bool:
        if not len(self.queue):
            return False
        assert self.scheduler.batch is not None
        since_s = self.book.arrival_s[self.queue.oldest]
        service = self.service
        waiting = Waiting(
            len(self.queue), since_s, now, closing, service.max_batch, service.max_wait_s
        )
        count = self.scheduler.batch(waiting)
        if not count:
            self.wakes_at = since_s + service.max_wait_s if self.scheduler.wakes else inf
            return False
        self.stage, self.runs = 0, [self.queue.pop(now) for _ in range(count)]
        for request in self.runs:
            self.book.start(request, now)
        return True

    def _held_group(self, now: float, only_ready: bool) -> bool:
        """Choose what was held, the deepest stage first.

        only_ready: only a full batch, or one whose oldest sample would be done by now.
        """
        most = self.service.max_batch
        for stage in sorted(self.held, reverse=True):
            group = self.held[stage]
            overdue = now >= group[0].until_s
            if only_ready and len(group) < most and not overdue:
                continue
            self.stage, self.runs, self.joined = stage, [], True
            for held in group[:most]:
                self.runs.append(held.request)
                self.book.waited_s[REGROUPING] += now - held.since_s
            self.held[stage] = group[most:]
            if not self.held[stage]:
                del self.held[stage]
            return True
        return False

    def finish(self, now: float) -> None:
        """Let samples leave whose decisions say so, and see what the rest does."""
        depth = self.prices.depth
        rest = []
        for request in self.runs:
            if depth(request) > self.stage + 1:
                rest.append(request)
            else:
                self.done.append(request)
        self.runs = []
        if self.policy.answers_early or not rest:
            for request in self.done:
                self.book.finished_s[request] = now
                self.book.first_s[request] = now
            self.done = []
        if rest and self._holds(rest):
            self._hold(rest, now)
        else:
            self.going_on = rest

    def _holds(self, rest: list[int]) -> bool:
        most, stage = self.service.max_batch, self.stage + 1
        if self.policy.holds is None or len(rest) == most:
            return False
        alone_s = self.prices.rest_s(stage, len(rest))
        together_s = self.prices.rest_s(stage, most) * len(rest) / most
        return self.policy.holds(Rest(alone_s, together_s, self.prices.regroup_s))

    def _hold(self, rest: list[int], now: float) -> None:
        stage = self.stage + 1
        until_s = now + self.prices.rest_s(stage, len(rest))
        held = self.held.setdefault(stage, [])
        held += [Held(request, now, until_s) for request in rest]
