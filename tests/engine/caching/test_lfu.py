"""What was used most often is kept."""

from __future__ import annotations

from engine.caching.uses import NEW, OLD, history

from condsim.engine.caching.lfu import LFU


def test_the_one_used_more_often_is_worth_more() -> None:
    assert LFU.rank is not None
    assert LFU.rank(OLD, history()) > LFU.rank(NEW, history())


def test_of_equals_the_last_one_used_is_worth_more() -> None:
    assert LFU.rank is not None
    seen = history()
    seen.now = 3
    seen.note(NEW)
    assert LFU.rank(NEW, seen) > LFU.rank(OLD, seen)
