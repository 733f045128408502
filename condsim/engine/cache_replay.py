"""Experts on a device whose memory has no room for all of them: which are there when they are asked
for.

An event is what one step uses at one layer, the union over its batch. It is replayed at once: its
hits are counted against the cache as it is when the event starts, all misses are served, and then
the cache keeps the best blocks of those that it has and those that came. Replayed an access at a
time instead, an event would evict its own blocks, and policies that go by recency look worse than a
fixed set although they are better.

Source: the semantics of "MoE Cache Evaluation", arXiv 2608.07911.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from condsim.engine.caching import CACHE_POLICIES, Block, CachePolicy, History
from condsim.errors import CondsimError

Event = tuple[int, Sequence[int]]
"""(layer, its experts that one step uses)."""


@dataclass(frozen=True)
class CacheCounts:
    """What a cache did. loaded: blocks that were put in before the first event."""

    accesses: int
    hits: int
    misses: int
    evictions: int
    loaded: int = 0


class EventCache:
    """A cache that sees one event after the other.

    capacity: blocks of all layers together. layers: how many share it out among them, the rest to
    the first ones; 0 where all blocks are one pool. future: all events, for a policy that knows
    them. seed: of who goes first where blocks are worth the same.
    """

    def __init__(
        self,
        policy: CachePolicy,
        capacity: int,
        layers: int = 0,
        future: Iterable[Event] = (),
        seed: int = 0,
    ) -> None:
        if capacity < 0:
            raise CondsimError(f"a cache holds 0 or more experts, got {capacity}")
        self.policy, self.capacity, self.layers = policy, capacity, layers
        self.history = History()
        self.here: dict[int, set[Block]] = {}
        self.hits = self.misses = self.evictions = self.loaded = 0
        self._rng = np.random.default_rng(seed)
        if policy.sees_future:
            self._look_ahead(future)

    def _look_ahead(self, events: Iterable[Event]) -> None:
        times: Counter[Block] = Counter()
        for number, (layer, experts) in enumerate(events):
            for expert in experts:
                self.history.future.setdefault((layer, expert), []).append(number)
                times[layer, expert] += 1
        if self.policy.rank is None:
            self._pin(times)

    def _pin(self, times: Counter[Block]) -> None:
        by_pool: dict[int, list[Block]] = {}
        for block in times:
            by_pool.setdefault(self._pool(block[0]), []).append(block)
        for pool, blocks in by_pool.items():
            best = sorted(blocks, key=lambda block: (-times[block], block))
            self.here[pool] = set(best[: self._room(pool)])
            self.loaded += len(self.here[pool])

    def _pool(self, layer: int) -> int:
        return layer if self.layers else 0

    def _room(self, pool: int) -> int:
        if not self.layers:
            return self.capacity
        share, rest = divmod(self.capacity, self.layers)
        return share + (pool < rest)

    def event(self, layer: int, experts: Sequence[int]) -> int:
        """Replay an event; returns its misses."""
        self.history.now += 1
        pool = self._pool(layer)
        here = self.here.setdefault(pool, set())
        asked = {(layer, expert) for expert in experts}
        missed = len(asked - here)
        self.misses += missed
        self.hits += len(asked) - missed
        for block in sorted(asked):
            self.history.note(block)
        if self.policy.rank is not None:
            kept = self._best(here | asked, self._room(pool))
            self.evictions += len(here - kept)
            self.here[pool] = kept
        return missed

    def _best(self, blocks: set[Block], room: int) -> set[Block]:
        if len(blocks) <= room:
            return blocks
        assert self.policy.rank is not None
        in_order = sorted(blocks)
        luck = self._rng.random(len(in_order)).tolist()
        ranked = []
        for block, of_block in zip(in_order, luck, strict=True):
            ranked.append((self.policy.rank(block, self.history), of_block, block))
        ranked.sort(reverse=True)
        return {block for _, _, block in ranked[:room]}

    @property
    def counts(self) -> CacheCounts:
        """What the cache did so far."""
        accesses = self.hits + self.misses
        return CacheCounts(accesses, self.hits, self.misses, self.evictions, self.loaded)


def replay(
    events: Sequence[Event], policy: str, capacity: int, layers: int = 0, seed: int = 0
) -> CacheCounts:
    """Replay all events by one policy. capacity, layers, seed: as in `EventCache`."""
    cache = EventCache(CACHE_POLICIES[policy], capacity, layers, events, seed)
    for layer, experts in events:
        cache.event(layer, experts)
    return cache.counts
