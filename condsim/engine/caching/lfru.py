"""Keep what was used most often for its age: frequency / (events since its last use + 1)."""

from __future__ import annotations

from condsim.engine.caching.base import Block, CachePolicy, History, register


def rank(block: Block, history: History) -> tuple[float, ...]:
    """How often a block was used, by its age."""
    age = history.now - history.last[block]
    return (history.times[block] / (age + 1),)


LFRU = register(CachePolicy("lfru", rank))
