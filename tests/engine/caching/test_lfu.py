"""What was used most often is kept."""

from __future__ import annotations

from condsim.engine.caching.base import History
from condsim.engine.caching.lfu import LFU

OLD, NEW = (0, 1), (0, 2)


def history() -> History:
    """A block that was used twice long ago, and one that was used once just now."""
    found = History()
    for event, block in enumerate((OLD, OLD, NEW)):
        found.now = event
        found.note(block)
    return found


def test_the_one_used_more_often_is_worth_more() -> None:
    assert LFU.rank is not None
    assert LFU.rank(OLD, history()) > LFU.rank(NEW, history())


def test_of_equals_the_last_one_used_is_worth_more() -> None:
    assert LFU.rank is not None
    seen = history()
    seen.now = 3
    seen.note(NEW)
    assert LFU.rank(NEW, seen) > LFU.rank(OLD, seen)
