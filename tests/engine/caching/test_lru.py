"""What was used last is kept."""

from __future__ import annotations

from condsim.engine.caching.base import History
from condsim.engine.caching.lru import LRU

OLD, NEW = (0, 1), (0, 2)


def history() -> History:
    """A block that was used twice long ago, and one that was used once just now."""
    found = History()
    for event, block in enumerate((OLD, OLD, NEW)):
        found.now = event
        found.note(block)
    return found


def test_the_last_one_used_is_worth_most() -> None:
    assert LRU.rank is not None
    assert LRU.rank(NEW, history()) > LRU.rank(OLD, history())
    assert not LRU.sees_future
