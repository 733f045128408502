"""Queues whose steps cost what a test says, so that theory knows what must come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from condsim.serve import loop, reference
from condsim.serve.book import Book
from condsim.serve.fleet import Fleet
from condsim.serve.requests import Requests
from condsim.serve.samples import SampleReplica
from condsim.serve.service import Service
from condsim.serve.text import TextReplica, TextStep

LOOPS = {"loop": loop.run, "simpy": reference.run}


@dataclass
class Costs:
    """Costs of samples. of_stage: (stage, requests) → seconds. depths: of each request."""

    of_stage: Callable[[int, Sequence[int]], float]
    depths: Sequence[int] = ()
    stages: int = 1
    regroup_s: float = 0.0

    def depth(self, request: int) -> int:
        return self.depths[request] if len(self.depths) else 1

    def price(self, stage: int, requests: Sequence[int]) -> tuple[float, float]:
        return self.of_stage(stage, requests), 1.0

    def rest_s(self, stage: int, rows: int) -> float:
        return sum(self.of_stage(later, range(rows)) for later in range(stage, self.stages))


@dataclass
class TextCosts:
    """A step costs 1/16 s and 1/256 s a token. steps: what ran, as (answers, tokens of chunks)."""

    steps: list[tuple[int, list[int]]] = field(default_factory=list)

    def price(self, step: TextStep) -> tuple[float, float]:
        self.steps.append((len(step.answering), [chunk.tokens for chunk in step.chunks]))
        return 1 / 16 + step.rows / 256, 1.0


def arriving(arrival_s: Sequence[float], prompts: int = 1, answers: int = 1) -> Requests:
    count = len(arrival_s)
    lengths = np.full(count, prompts), np.full(count, answers), np.zeros(count, np.int64)
    return Requests(np.asarray(arrival_s, float), *lengths)


@dataclass
class Served:
    book: Book
    fleet: Fleet

    @property
    def finished(self) -> np.ndarray:
        return np.array(self.book.finished_s)

    @property
    def latency(self) -> np.ndarray:
        return self.finished - np.array(self.book.arrival_s)

    @property
    def started(self) -> np.ndarray:
        return np.array(self.book.started_s)

    @property
    def wait(self) -> np.ndarray:
        return self.started - np.array(self.book.arrival_s)


def serve_samples(requests: Requests, service: Service, costs: Costs, by: str = "loop") -> Served:
    book = Book(requests, service.replicas)
    fleet = Fleet(
        book,
        service.dispatch,
        service.replicas,
        lambda number, queue: SampleReplica(number, queue, book, service, costs),
    )
    LOOPS[by](fleet, book.arrival_s)
    return Served(book, fleet)


def serve_text(
    requests: Requests, service: Service, by: str = "loop", costs: TextCosts | None = None
) -> Served:
    book = Book(requests, service.replicas)
    of_steps = costs or TextCosts()
    fleet = Fleet(
        book,
        service.dispatch,
        service.replicas,
        lambda number, queue: TextReplica(number, queue, book, service, of_steps),
    )
    LOOPS[by](fleet, book.arrival_s)
    return Served(book, fleet)
