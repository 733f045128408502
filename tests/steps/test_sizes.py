"""Sizes of calls are told apart, in an order that does not follow the calls."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.steps.sizes import distinct, distinct_numbers, first_of_each, joined

SPREADS = [3, 10**6]
"""Sizes that lie close to one another, and so far apart that no table has them all."""


@pytest.mark.parametrize("spread", SPREADS)
def test_first_call_of_each_size_and_the_size_of_each_call(spread: int) -> None:
    sizes = {"rows": np.array([2, 1, 2, 0]) * spread, "seq": np.array([5, 5, 5, 6])}
    first, of_call = first_of_each(sizes)
    assert first.tolist() == [3, 1, 0]
    assert of_call.tolist() == [2, 1, 2, 0]


def test_one_size_is_one() -> None:
    first, of_call = first_of_each({"rows": np.array([7, 7, 7])})
    assert (first.tolist(), of_call.tolist()) == ([0], [0, 0, 0])


@pytest.mark.parametrize("spread", SPREADS)
def test_distinct_sizes_of_two_blocks_are_those_of_both(spread: int) -> None:
    rows = np.array([4, 1, 1, 3, 4, 0]) * spread
    whole = distinct({"rows": rows})
    blocks = [distinct({"rows": part}) for part in (rows[:2], rows[2:])]
    assert distinct(joined(*blocks))["rows"].tolist() == whole["rows"].tolist()


@pytest.mark.parametrize("spread", SPREADS)
def test_distinct_numbers_are_those_that_numpy_finds(spread: int) -> None:
    numbers = np.array([[4, 1], [1, 0], [4, 2]]) * spread
    expected, which = np.unique(numbers, return_inverse=True)
    found, place = distinct_numbers(numbers)
    assert found.tolist() == expected.tolist()
    assert place.tolist() == which.reshape(numbers.shape).tolist()
