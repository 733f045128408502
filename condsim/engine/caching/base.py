"""What a policy of caching is, and the registry of all of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from condsim.registry import Registry

Block = tuple[int, int]
"""(layer, expert)."""


@dataclass
class History:
    """What is known of blocks when an event is over.

    now: the number of the event. last: block → the event that used it last. times: block → how
    often it was used. future: block → all events that use it, where these are known.
    """

    now: int = -1
    last: dict[Block, int] = field(default_factory=dict)
    times: dict[Block, int] = field(default_factory=dict)
    future: dict[Block, list[int]] = field(default_factory=dict)

    def note(self, block: Block) -> None:
        """Note that the event of now uses a block."""
        self.last[block] = self.now
        self.times[block] = self.times.get(block, 0) + 1

    def next_use(self, block: Block) -> float:
        """Return the next event that uses a block; infinite where none does."""
        events = self.future.get(block, [])
        place = bisect_right(events, self.now)
        return events[place] if place < len(events) else inf


Rank = Callable[[Block, History], tuple[float, ...]]
"""The larger, the longer a block is kept."""


@dataclass(frozen=True)
class CachePolicy:
    """A policy.

    rank: None where the blocks are chosen once and for all. sees_future: it needs all events
    beforehand, so it is a bound and no cache that can be built.
    """

    name: str
    rank: Rank | None = None
    sees_future: bool = False


CACHE_POLICIES: Registry[CachePolicy] = Registry("policy of caching")


def register(policy: CachePolicy) -> CachePolicy:
    """Enter a policy under its name."""
    return CACHE_POLICIES.register(policy.name)(policy)
