"""What a replica is to the loops that move time on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf

from condsim.serve.book import Book, Queue


class Replica(ABC):
    """One copy of the model on one device.

    busy: whether a step runs. wakes_at: when an idle replica starts a batch although nothing
    arrives, in seconds; infinite where it waits for a request.
    """

    def __init__(self, number: int, queue: Queue, book: Book) -> None:
        self.number, self.queue, self.book = number, queue, book
        self.busy = False
        self.wakes_at = inf

    @property
    def members(self) -> Sequence[Replica]:
        """Those that requests are sent to: the replica itself, or ranks that step together."""
        return (self,)

    @property
    @abstractmethod
    def load(self) -> int:
        """Requests that wait for it or run on it."""

    def begin(self, now: float, closing: bool) -> float | None:
        """Start a step. Returns when it ends, None where nothing can start.

        closing: no request will arrive any more.
        """
        self.wakes_at = inf
        seconds = self.start(now, closing)
        if seconds is None:
            return None
        self.busy = True
        return now + seconds

    def end(self, now: float) -> None:
        """Finish the step that runs."""
        self.busy = False
        self.finish(now)

    @abstractmethod
    def start(self, now: float, closing: bool) -> float | None:
        """Return the seconds of the next step, None where nothing can start now."""

    @abstractmethod
    def finish(self, now: float) -> None:
        """Note what the step that ran has done."""
