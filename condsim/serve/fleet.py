"""All replicas behind one door."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from condsim.serve.book import Book, Queue
from condsim.serve.dispatch import DISPATCHES
from condsim.serve.replica import Replica

MakeReplica = Callable[[int, Queue], Replica]
"""(number, its queue) → a replica, or a rank of one."""
Join = Callable[[list[Any]], list[Any]]
"""All ranks → the replicas that they make up."""


def each_alone(ranks: list[Any]) -> list[Any]:
    """Return the same: each rank is a replica."""
    return ranks


class Fleet:
    """Replicas, and the policy that sends requests to them. It lives in no time of its own:
    `condsim.serve.loop` and `condsim.serve.reference` tell it what happens when.

    members: that requests are sent to. replicas: that run a step at a time, of one member or more.
    """

    def __init__(
        self,
        book: Book,
        dispatch: str,
        members: int,
        make: MakeReplica,
        join: Join = each_alone,
    ) -> None:
        self.book = book
        self._choose = DISPATCHES[dispatch].choose
        if self.shares_queue:
            queue = Queue(book)
            queues = [queue] * members
        else:
            queues = [Queue(book) for _ in range(members)]
        self.members = [make(number, queue) for number, queue in enumerate(queues)]
        self.replicas: list[Replica] = join(self.members)
        self._replica_of: dict[int, Replica] = {}
        for replica in self.replicas:
            for member in replica.members:
                self._replica_of[member.number] = replica

    @property
    def shares_queue(self) -> bool:
        """Whether all replicas take from one queue."""
        return self._choose is None

    def arrive(self, request: int, now: float) -> Replica:
        """Let a request in; returns the replica whose queue, or a rank's of it, it joins."""
        chosen = self.members[0]
        if self._choose is not None and len(self.members) > 1:
            loads = [member.load for member in self.members]
            chosen = self.members[self._choose(request, loads)]
        chosen.queue.push(request, now)
        return self._replica_of[chosen.number]

    def may_start(self, touched: Sequence[Replica], closing: bool) -> list[Replica]:
        """Return the idle replicas that may have something to do, by number.

        touched: those where something happened. closing: all requests have arrived.
        """
        if closing or self.shares_queue:
            return [replica for replica in self.replicas if not replica.busy]
        idle = {replica.number: replica for replica in touched if not replica.busy}
        return [idle[number] for number in sorted(idle)]
