"""Time as a heap of events: ends of steps, and batches that have waited long enough.

At one time all ends and arrivals happen first, then idle replicas start, by their number.
`condsim.serve.reference` is the same in SimPy.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from math import inf

from condsim.serve.fleet import Fleet
from condsim.serve.replica import Replica

Event = tuple[float, int, bool]
"""(when, number of the replica, whether its step ends)."""

TOLD_EVERY = 4096
"""Requests between two calls of `progress`."""


def run(
    fleet: Fleet,
    arrival_s: Sequence[float],
    progress: Callable[[int], None] = lambda _arrived: None,
) -> None:
    """Serve all requests. arrival_s: in order. progress: called with how many have arrived."""
    events: list[Event] = []
    arrived, count = 0, len(arrival_s)
    while events or arrived < count:
        now = arrival_s[arrived] if arrived < count else inf
        if events:
            now = min(now, events[0][0])
        touched = _happened(fleet, events, now)
        while arrived < count and arrival_s[arrived] == now:
            touched.append(fleet.arrive(arrived, now))
            arrived += 1
            if arrived % TOLD_EVERY == 0:
                progress(arrived)
        _start_idle(fleet, events, now, touched, closing=arrived == count)


def _happened(fleet: Fleet, events: list[Event], now: float) -> list[Replica]:
    """Let steps end; returns the replicas of all events of this time."""
    touched = []
    while events and events[0][0] == now:
        _, number, ends = heapq.heappop(events)
        replica = fleet.replicas[number]
        if ends:
            replica.end(now)
        touched.append(replica)
    return touched


def _start_idle(
    fleet: Fleet, events: list[Event], now: float, touched: list[Replica], closing: bool
) -> None:
    for replica in fleet.may_start(touched, closing):
        end = replica.begin(now, closing)
        if end is not None:
            heapq.heappush(events, (end, replica.number, True))
        elif replica.wakes_at < inf:
            heapq.heappush(events, (replica.wakes_at, replica.number, False))
