"""A cache of experts on the device, filled over one link from the host's memory.

    a copy = latency + bytes of the expert / bandwidth, one at a time, those waited for first

What is copied next depends on what was waited for before, so the cache is played as a process.
The host asks for an expert when it issues the expert's first kernel, which it does ahead of the
device; the kernel waits for the copy. What was used longest ago leaves, but not what has been asked
for and has not run. When a layer asks, the experts that the next layer used in the step before are
fetched too (prefetch).

Limits: with room for all experts, no time; over an endless link, no time; with no room and one
expert at a time, the sum of all copies.

Source: least recently used experts and speculative loading: Eliseev and Mazur, "Fast inference of
mixture-of-experts language models with offloading", 2023 (arXiv 2312.17238). Not true of copies
from memory that is not pinned, nor of experts that are computed on the host.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

AHEAD = 2**62  # of no kernel: after all that were issued


@dataclass(frozen=True)
class Offloaded:
    """What kernels wait for.

    needs: of each kernel, the expert whose weights it reads, or None.
    size_bytes: of each expert.
    room_bytes: of the cache; an expert larger than that passes through.
    bandwidth: of the link, bytes a second. latency_s: of a copy.
    ahead: kernel → experts to fetch when it is issued, if nothing else is to be fetched.
    """

    needs: Sequence[Hashable | None]
    size_bytes: Mapping[Any, float]
    room_bytes: float
    bandwidth: float
    latency_s: float
    ahead: Mapping[int, Sequence[Hashable]]


class Cache:
    """The experts that are on the device, and the link.

    here: experts on the device, the one that was asked for last at the end.
    coming: expert → the event of its arrival.
    pending: expert → kernels that have been issued and have not run.
    moved: the event that something ran or came.
    loads: copies so far. loaded_bytes: their size.
    """

    def __init__(self, env: simpy.Environment, about: Offloaded) -> None:
        self.env = env
        self.about = about
        self.link = simpy.PriorityResource(env, capacity=1)
        self.here: OrderedDict[Hashable, None] = OrderedDict()
        self.coming: dict[Hashable, simpy.Event] = {}
        self.pending: dict[Hashable, list[int]] = {}
        self.moved = env.event()
        self.loads = 0
        self.loaded_bytes = 0.0

    def ask(self, expert: Hashable, kernel: int) -> None:
        """Fetch an expert whose weights a kernel reads, which was issued."""
        self.pending.setdefault(expert, []).append(kernel)
        if expert in self.here:
            self.here.move_to_end(expert)
        else:
            self._fetch(expert)

    def wait(self, expert: Hashable) -> Generator[Any, Any, None]:
        """Wait until an expert is there."""
        while expert not in self.here:
            self._fetch(expert)
            came = self.coming[expert]
            self._moved()
            yield came

    def release(self, expert: Hashable, kernel: int) -> None:
        """Let go of an expert for a kernel, which has run."""
        self.pending[expert].remove(kernel)
        if not self.pending[expert]:
            del self.pending[expert]
        self._make_room(0.0, AHEAD)
        self._moved()

    def prefetch(self, expert: Hashable) -> None:
        """Copy an expert when nobody waits for another."""
        if expert not in self.here:
            self._fetch(expert)

    def _fetch(self, expert: Hashable) -> None:
        if expert not in self.coming:
            self.coming[expert] = self.env.event()
            self.env.process(self._copy(expert))

    def _copy(self, expert: Hashable) -> Generator[Any, Any, None]:
        """Copy an expert.

        What an earlier kernel asked for goes first, and never makes way for what a later one did.
        """
        size = self.about.size_bytes[expert]
        while True:
            kernel = min(self.pending.get(expert, [AHEAD]))
            with self.link.request(priority=kernel) as turn:
                yield turn
                if self._make_room(size, kernel) or not self.here:
                    yield self.env.timeout(self.about.latency_s + size / self.about.bandwidth)
                    break
            if kernel == AHEAD:  # not worth waiting for
                self.coming.pop(expert).succeed()
                return
            yield self.moved
        self.loads += 1
        self.loaded_bytes += size
        self.here[expert] = None
        self.coming.pop(expert).succeed()
        self._moved()

    def _moved(self) -> None:
        self.moved.succeed()
        self.moved = self.env.event()

    def _make_room(self, size: float, kernel: int) -> bool:
        """Let go of what was asked for longest ago until `size` bytes fit; return whether they do.

        What a kernel up to this one waits for stays.
        """
        used = sum(self.about.size_bytes[e] for e in self.here)
        for expert in list(self.here):
            if used + size <= self.about.room_bytes:
                return True
            if min(self.pending.get(expert, [AHEAD + 1])) > kernel:
                del self.here[expert]
                used -= self.about.size_bytes[expert]
        return used + size <= self.about.room_bytes
