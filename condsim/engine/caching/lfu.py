"""Keep what was used most often; of these, what was used last."""

from __future__ import annotations

from condsim.engine.caching.base import Block, CachePolicy, History, register


def rank(block: Block, history: History) -> tuple[float, ...]:
    """How often a block was used, and when last."""
    return history.times[block], history.last[block]


LFU = register(CachePolicy("lfu", rank))
