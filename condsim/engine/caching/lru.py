"""Keep what was used last."""

from __future__ import annotations

from condsim.engine.caching.base import Block, CachePolicy, History, register


def rank(block: Block, history: History) -> tuple[float, ...]:
    """The event that used a block last."""
    return (history.last[block],)


LRU = register(CachePolicy("lru", rank))
