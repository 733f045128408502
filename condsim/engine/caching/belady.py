"""Keep what is used again soonest: the bound that no cache passes.

A block that comes may be turned away. Source: Belady, "A study of replacement algorithms for a
virtual-storage computer", IBM Systems Journal 5, 1966.
"""

from __future__ import annotations

from condsim.engine.caching.base import Block, CachePolicy, History, register


def rank(block: Block, history: History) -> tuple[float, ...]:
    """The sooner a block is used again, the higher."""
    return (-history.next_use(block),)


BELADY = register(CachePolicy("belady", rank, sees_future=True))
