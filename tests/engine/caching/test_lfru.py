"""What was used most often for its age is kept."""

from __future__ import annotations

from condsim.engine.caching.base import History
from condsim.engine.caching.lfru import LFRU

OLD, NEW = (0, 1), (0, 2)


def history() -> History:
    """A block that was used twice long ago, and one that was used once just now."""
    found = History()
    for event, block in enumerate((OLD, OLD, NEW)):
        found.now = event
        found.note(block)
    return found


def test_a_use_counts_less_the_longer_it_is_ago() -> None:
    assert LFRU.rank is not None
    seen = history()
    assert LFRU.rank(OLD, seen) == (2 / 2,)
    assert LFRU.rank(NEW, seen) == (1 / 1,)
    seen.now = 4
    assert LFRU.rank(OLD, seen) == (2 / 4,)
    assert LFRU.rank(NEW, seen) == (1 / 3,)
