"""One pass of requests through replicas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from condsim.serve import loop, reference
from condsim.serve.book import Book, Queue
from condsim.serve.columns import let_go
from condsim.serve.fleet import Fleet, MakeReplica
from condsim.serve.lock_step import LockStep
from condsim.serve.prices import Prices
from condsim.serve.prices.copies import ExpertCopies
from condsim.serve.prices.spread import SpreadPrices
from condsim.serve.replica import Replica
from condsim.serve.requests import Requests
from condsim.serve.samples import SampleReplica
from condsim.serve.schedulers import SAMPLES
from condsim.serve.text import TextReplica

if TYPE_CHECKING:
    from condsim.serve.question import ServingQuestion


@dataclass(frozen=True)
class Run:
    """One pass of requests through replicas. copies: of experts, by replica."""

    question: ServingQuestion
    requests: Requests
    prices: Prices
    copies: list[ExpertCopies] = field(default_factory=list)

    def run(self, progress: Callable[[int], None] = lambda _arrived: None) -> Book:
        """Serve all requests; returns the notes of the run."""
        service = self.question.service
        members = self.question.members
        book = Book(self.requests, members)
        fleet = Fleet(book, service.dispatch, members, self._maker(book), self._together)

        def told(arrived: int) -> None:
            book.let_go()
            let_go(self.prices.of_request)
            progress(arrived)

        if self.question.scenario.engine == "events":
            reference.run(fleet, book.arrival_s)
        else:
            loop.run(fleet, book.arrival_s, told)
        return book

    def _together(self, members: list[Any]) -> list[Any]:
        """Members as replicas: those whose experts are spread step together."""
        if not isinstance(self.prices, SpreadPrices):
            return members
        ranks = self.question.parallel.expert
        replicas = []
        for number, first in enumerate(range(0, len(members), ranks)):
            replicas.append(LockStep(number, members[first : first + ranks], self.prices))
        return replicas

    def _maker(self, book: Book) -> MakeReplica:
        service = self.question.service

        def make(number: int, queue: Queue) -> Replica:
            prices: Any = self.prices.of_replica()
            if getattr(prices, "copies", None) is not None:
                self.copies.append(prices.copies)
            if self.question.kind == SAMPLES:
                return SampleReplica(number, queue, book, service, prices)
            return TextReplica(number, queue, book, service, prices)

        return make


def cached_share(copies: Sequence[ExpertCopies]) -> Mapping[str, float]:
    """Return which share of what steps asked for the devices had, and could have had at best; empty
    where all experts are there."""
    counts = [of_replica.cache.counts for of_replica in copies]
    asked = sum(of.accesses for of in counts)
    if not asked:
        return {}
    hits = sum(of.hits for of in counts)
    at_best = [of_replica.bound() for of_replica in copies]
    hits_at_best = sum(of.hits for of in at_best)
    asked_at_best = sum(of.accesses for of in at_best)
    return {
        "experts found": hits / asked,
        "experts found at best": hits_at_best / asked_at_best,
    }
