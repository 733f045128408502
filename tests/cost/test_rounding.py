"""Sizes in whole blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.rounding import round_up


@given(st.integers(0, 10**9), st.integers(1, 4096))
def test_the_least_multiple_that_is_not_below(size: int, block: int) -> None:
    found = round_up(size, block)
    assert found % block == 0
    assert size <= found < size + block
