"""What was used last is kept."""

from __future__ import annotations

from engine.caching.uses import NEW, OLD, history

from condsim.engine.caching.lru import LRU


def test_the_last_one_used_is_worth_most() -> None:
    assert LRU.rank is not None
    assert LRU.rank(NEW, history()) > LRU.rank(OLD, history())
    assert not LRU.sees_future
