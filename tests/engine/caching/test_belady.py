"""What is used again soonest is kept."""

from __future__ import annotations

from condsim.engine.caching.base import History
from condsim.engine.caching.belady import BELADY

SOON, LATE, NEVER = (0, 1), (0, 2), (0, 3)


def test_the_sooner_a_block_is_used_again_the_more_it_is_worth() -> None:
    assert BELADY.rank is not None
    assert BELADY.sees_future
    seen = History(now=2, future={SOON: [0, 3], LATE: [1, 9], NEVER: [2]})
    ranks = [BELADY.rank(block, seen) for block in (SOON, LATE, NEVER)]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks == [(-3,), (-9,), (float("-inf"),)]
