"""Ranks that hold the experts of all together: none begins a step before all have ended theirs.

Each has a queue, a scheduler and a memory of its own. A rank that has nothing to compute takes part
all the same, since its experts are asked for; where none has anything, they wait for requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from condsim.serve.book import EXCHANGES, RANKS
from condsim.serve.replica import Replica
from condsim.serve.text import TextReplica, TextStep


class Together(Protocol):
    """A step of all ranks: `condsim.serve.prices.spread.Together`."""

    @property
    def seconds(self) -> float: ...
    @property
    def joules(self) -> Sequence[float]: ...
    @property
    def waits_s(self) -> Sequence[float]: ...
    @property
    def exchange_s(self) -> float: ...


class LockStepPrices(Protocol):
    """What steps of all ranks cost."""

    def price(self, steps: Sequence[TextStep]) -> Together:
        """Return what a step costs. steps: of each rank, empty where it has none."""


class LockStep(Replica):
    """Some ranks as one replica. number: among the others like it. ranks: in order."""

    def __init__(self, number: int, ranks: Sequence[TextReplica], prices: LockStepPrices) -> None:
        super().__init__(number, ranks[0].queue, ranks[0].book)
        self.ranks, self.prices = ranks, prices
        self._at_work: list[TextReplica] = []

    @property
    def members(self) -> Sequence[Replica]:
        return self.ranks

    @property
    def load(self) -> int:
        return sum(rank.load for rank in self.ranks)

    def start(self, now: float, closing: bool) -> float | None:
        steps = [rank.plan(now, closing) for rank in self.ranks]
        self._at_work = []
        if not any(step.rows for step in steps):
            return None
        step = self.prices.price(steps)
        seconds = step.seconds + self.ranks[0].service.overhead_s
        for number, rank in enumerate(self.ranks):
            joules = step.joules[number]
            if not steps[number].rows:
                self.book.joules += joules
                continue
            waits = {RANKS: step.waits_s[number], EXCHANGES: step.exchange_s}
            rank.run(seconds, joules, waits)
            self._at_work.append(rank)
        return seconds

    def finish(self, now: float) -> None:
        for rank in self._at_work:
            rank.finish(now)
