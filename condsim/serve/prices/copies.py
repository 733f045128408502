"""Experts in the host's memory: what copying them adds to a step.

    added = Σ layers misses * (latency of a copy + bytes of an expert / bandwidth)

Each step is one event a layer (`condsim.engine.cache_replay`): all misses are copied one after the
other, and the step waits for them. Nothing is prefetched, so it is the most that copies cost;
`condsim simulate` plays prefetching.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from condsim.engine.cache_replay import CacheCounts, Event, EventCache, replay
from condsim.engine.caching import CACHE_POLICIES
from condsim.errors import CondsimError
from condsim.predict.offload import copy_seconds, expert_bytes
from condsim.serve.prices.composition import Sites
from condsim.serve.prices.side import ServedSide
from condsim.steps.extents import Steps

MOST_EVENTS = 100_000
"""Events that the bound is replayed on, the first ones."""


@dataclass(frozen=True)
class CopiedExperts:
    """What is copied, and how much room there is.

    layers: places of each layer's experts in a composition. copy_s: seconds of one expert's copy,
    of each layer. capacity: experts that the device keeps, of all layers. seen: what the trace
    itself used, for policies that must know beforehand what is used most.
    """

    layers: Sequence[slice]
    copy_s: Sequence[float]
    capacity: int
    policy: str
    seen: Sequence[Event]

    @classmethod
    def of(
        cls, side: ServedSide, regime: str, steps: Steps, share: float | None, policy: str
    ) -> CopiedExperts:
        """Return what a side copies.

        steps: of the trace. share: of all experts that the device keeps; None for what its memory
        has room for beside the other weights.
        Raises CondsimError for a device without a link to its host, and for a policy that knows
        the future.
        """
        known = CACHE_POLICIES[policy]
        if known.sees_future and known.rank is not None:
            raise CondsimError(
                f"policy of caching {policy!r} knows the future: it is the bound that is printed "
                "beside the others"
            )
        sizes = expert_bytes(side.side(regime, steps.take(slice(0, 1))))
        sites = Sites(side.trace)
        ends = [*sites.begins[1:].tolist(), sites.columns]
        profile = side.target.profile
        layers, copy_s, experts_bytes = [], [], 0.0
        for name, begin, end in zip(sites.rules, sites.begins.tolist(), ends, strict=True):
            if name in sizes:
                layers.append(slice(begin, end))
                copy_s.append(copy_seconds(profile, sizes[name]))
                experts_bytes += sizes[name] * (end - begin)
        experts = sum(places.stop - places.start for places in layers)
        if share is None:
            room = profile.dram.bytes.value - (side.target.weights_bytes - experts_bytes)
            share = min(1.0, max(0.0, room / experts_bytes))
        counts = np.concatenate([steps.counts[name] for name in sites.rules], axis=1)
        seen = [event for row in counts for event in events_of(row, layers)]
        return cls(layers, copy_s, int(share * experts), policy, seen)


def events_of(counts: np.ndarray, layers: Sequence[slice]) -> list[Event]:
    """Return an event a layer: its experts that some row takes. counts: int [columns]."""
    return [(layer, np.flatnonzero(counts[places]).tolist()) for layer, places in enumerate(layers)]


@dataclass
class ExpertCopies:
    """The cache of one replica."""

    about: CopiedExperts
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        policy, layers = CACHE_POLICIES[self.about.policy], len(self.about.layers)
        self.cache = EventCache(policy, self.about.capacity, layers, self.about.seen)

    def seconds(self, counts: np.ndarray) -> float:
        """Replay a step; returns the seconds of its copies. counts: int [columns]."""
        total = 0.0
        for layer, experts in events_of(counts, self.about.layers):
            missed = self.cache.event(layer, experts)
            total += missed * self.about.copy_s[layer]
            if len(self.events) < MOST_EVENTS:
                self.events.append((layer, experts))
        return total

    def bound(self) -> CacheCounts:
        """Return what a cache would have done that knows the future."""
        return replay(self.events, "belady", self.about.capacity, len(self.about.layers))


class HasCopies(Protocol):
    """Prices that copies of experts may add to."""

    copies: ExpertCopies | None


P = TypeVar("P", bound=HasCopies)


def with_own_copies(prices: P) -> P:
    """Return the same prices with an empty cache of their own."""
    if prices.copies is None:
        return prices
    alone = copy.copy(prices)
    alone.copies = ExpertCopies(prices.copies.about)
    return alone
