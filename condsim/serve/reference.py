"""Time as SimPy keeps it: a process for the arrivals, and one for each replica.

It is the reference that `condsim.serve.loop` is held equal to.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import inf
from typing import Any

import simpy
from simpy.events import EventPriority

from condsim.serve.fleet import Fleet
from condsim.serve.replica import Replica

AFTER_ENDS, AFTER_ALL = 2, 3
"""SimPy's priorities of arrivals and of starts at one time, behind that of the ends of steps."""


def run(fleet: Fleet, arrival_s: Sequence[float]) -> None:
    """Serve all requests. arrival_s: in order."""
    _Reference(fleet, arrival_s).run()


class _Reference:
    def __init__(self, fleet: Fleet, arrival_s: Sequence[float]) -> None:
        self.fleet, self.arrival_s = fleet, arrival_s
        self.env = simpy.Environment()
        self.arrived = 0
        self.calls = [self.env.event() for _ in fleet.replicas]

    def run(self) -> None:
        """Run until nothing happens any more."""
        for replica in self.fleet.replicas:
            self.env.process(self._replica(replica))
        self.env.process(self._arrivals())
        self.env.run()

    @property
    def closing(self) -> bool:
        return self.arrived == len(self.arrival_s)

    def _arrivals(self) -> Generator[Any, Any, None]:
        for request, arrival_s in enumerate(self.arrival_s):
            yield self._later(max(arrival_s - self.env.now, 0.0), AFTER_ENDS)
            self.arrived += 1
            self._call(self.fleet.arrive(request, arrival_s))

    def _replica(self, replica: Replica) -> Generator[Any, Any, None]:
        yield self.calls[replica.number]
        while True:
            yield self._later(0.0, AFTER_ALL + replica.number)
            self.calls[replica.number] = self.env.event()
            end = replica.begin(self.env.now, self.closing)
            if end is not None:
                yield self.env.timeout(end - self.env.now)
                replica.end(self.env.now)
                self._call(replica)
            elif replica.wakes_at < inf:
                wakes = self.env.timeout(replica.wakes_at - self.env.now)
                yield wakes | self.calls[replica.number]
            else:
                yield self.calls[replica.number]

    def _call(self, touched: Replica) -> None:
        """Let idle replicas see whether they have something to do."""
        for replica in self.fleet.may_start([touched], self.closing):
            call = self.calls[replica.number]
            if not call.triggered:
                call.succeed()

    def _later(self, delay_s: float, priority: int) -> simpy.Event:
        """Return an event that happens after a delay, behind those of the same time that have a
        smaller priority."""
        event = self.env.event()
        event._ok, event._value = True, None
        self.env.schedule(event, EventPriority(priority), delay_s)
        return event
