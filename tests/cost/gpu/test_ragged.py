"""Blocks of unlike sizes on SMs that share the memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.gpu.ragged import cuts_sequences, reading_seconds

ALONE, TOGETHER, SMS = 2.0, 10.0, 8
SIZES = st.lists(st.floats(0.5, 50), min_size=1, max_size=40)


def seconds(sizes: list[float], sms: int = SMS) -> float:
    return reading_seconds(sizes, sms, ALONE, TOGETHER)


def test_a_long_block_at_the_end_is_waited_for() -> None:
    """Eight blocks of 10 bytes share 10 bytes a second: 8 s. The ninth reads 2 a second alone."""
    assert seconds([10.0] * 8) == pytest.approx(8.0)
    assert seconds([10.0] * 8 + [100.0]) == pytest.approx(8.0 + 50.0)


def test_a_long_block_at_the_beginning_is_waited_for_less() -> None:
    assert seconds([100.0] + [10.0] * 8) < seconds([10.0] * 8 + [100.0])


@given(SIZES)
def test_it_takes_no_less_than_memory_and_the_longest(sizes: list[float]) -> None:
    least = max(sum(sizes) / TOGETHER, max(sizes) / ALONE)
    assert least * (1 - 1e-9) <= seconds(sizes) <= sum(sizes) / ALONE * (1 + 1e-9)


@given(SIZES, st.floats(0.5, 50))
def test_one_block_more_is_never_faster(sizes: list[float], more: float) -> None:
    assert seconds([*sizes, more]) >= seconds(sizes) * (1 - 1e-9)


def test_few_blocks_are_cut() -> None:
    assert cuts_sequences(150, 188)
    assert not cuts_sequences(151, 188)
