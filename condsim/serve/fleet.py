"""All replicas behind one door."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from condsim.serve.book import Book, Queue
from condsim.serve.dispatch import DISPATCHES
from condsim.serve.replica import Replica

MakeReplica = Callable[[int, Queue], Replica]
"""(number, its queue) → a replica."""


class Fleet:
    """Replicas, and the policy that sends requests to them. It lives in no time of its own:
    `condsim.serve.loop` and `condsim.serve.reference` tell it what happens when."""

    def __init__(self, book: Book, dispatch: str, replicas: int, make: MakeReplica) -> None:
        self.book = book
        self._choose = DISPATCHES[dispatch].choose
        if self.shares_queue:
            queue = Queue(book)
            queues = [queue] * replicas
        else:
            queues = [Queue(book) for _ in range(replicas)]
        self.replicas = [make(number, queue) for number, queue in enumerate(queues)]

    @property
    def shares_queue(self) -> bool:
        """Whether all replicas take from one queue."""
        return self._choose is None

    def arrive(self, request: int, now: float) -> Replica:
        """Let a request in; returns the replica whose queue it joins."""
        if self._choose is None or len(self.replicas) == 1:
            chosen = self.replicas[0]
        else:
            loads = [replica.load for replica in self.replicas]
            chosen = self.replicas[self._choose(request, loads)]
        chosen.queue.push(request, now)
        return chosen

    def may_start(self, touched: Sequence[Replica], closing: bool) -> list[Replica]:
        """Return the idle replicas that may have something to do, by number.

        touched: those where something happened. closing: all requests have arrived.
        """
        if closing or self.shares_queue:
            return [replica for replica in self.replicas if not replica.busy]
        idle = {replica.number: replica for replica in touched if not replica.busy}
        return [idle[number] for number in sorted(idle)]
