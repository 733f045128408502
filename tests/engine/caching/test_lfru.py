"""What was used most often for its age is kept."""

from __future__ import annotations

from engine.caching.uses import NEW, OLD, history

from condsim.engine.caching.lfru import LFRU


def test_a_use_counts_less_the_longer_it_is_ago() -> None:
    assert LFRU.rank is not None
    seen = history()
    assert LFRU.rank(OLD, seen) == (2 / 2,)
    assert LFRU.rank(NEW, seen) == (1 / 1,)
    seen.now = 4
    assert LFRU.rank(OLD, seen) == (2 / 4,)
    assert LFRU.rank(NEW, seen) == (1 / 3,)
