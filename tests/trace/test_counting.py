"""Counting decisions equals looking at each one, however rows are cut into units and blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from condsim.trace.counting import UnitCounter, narrowed


def one_by_one(rows_per_unit: np.ndarray, ids: np.ndarray, branches: int) -> np.ndarray:
    """What a counter must find: int [units, branches]."""
    counts = np.zeros((len(rows_per_unit), branches), int)
    unit_of_row = np.repeat(np.arange(len(rows_per_unit)), rows_per_unit)
    for unit, taken in zip(unit_of_row, ids, strict=True):
        for branch in np.atleast_1d(taken):
            if 0 <= branch < branches:
                counts[unit, branch] += 1
    return counts


def counted(
    rows_per_unit: np.ndarray, ids: np.ndarray, branches: int, block_rows: int
) -> np.ndarray:
    """What a counter finds that is given so many rows at a time."""
    counter = UnitCounter(rows_per_unit, branches)
    for start in range(0, len(ids), block_rows):
        counter.add(ids[start : start + block_rows])
    return counter.counts


@settings(max_examples=60, deadline=None)
@given(
    rows_per_unit=some.lists(some.integers(0, 7), min_size=1, max_size=8),
    top_k=some.sampled_from([None, 1, 2, 3]),
    dtype=some.sampled_from([np.int8, np.uint8, np.int16, np.int64]),
    block_rows=some.integers(1, 9),
    seed=some.integers(0, 1000),
)
def test_counts_are_those_of_each_row(
    rows_per_unit: list[int], top_k: int | None, dtype: type, block_rows: int, seed: int
) -> None:
    branches = 5
    rows = sum(rows_per_unit)
    shape = rows if top_k is None else (rows, top_k)
    lowest = 0 if dtype is np.uint8 else -1
    ids = np.random.default_rng(seed).integers(lowest, branches, shape).astype(dtype)
    units = np.array(rows_per_unit)
    found = counted(units, ids, branches, block_rows)
    np.testing.assert_array_equal(found, one_by_one(units, ids, branches))


@pytest.mark.parametrize("block_rows", [1, 2, 6])
def test_blocks_of_weights_count_the_rows_that_asked(block_rows: int) -> None:
    asked = np.random.default_rng(0).random((6, 9)) < 0.4
    units = np.array([2, 0, 3, 1])
    found = counted(units, asked, 9, block_rows)
    expected = [asked[:2].sum(0), np.zeros(9), asked[2:5].sum(0), asked[5:].sum(0)]
    np.testing.assert_array_equal(found, expected)


def test_many_branches_are_told_apart() -> None:
    ids = np.array([[255, 0], [128, 255]], np.uint8)
    found = counted(np.array([2]), ids, 256, block_rows=2)
    assert found[0, 255] == 2
    assert found.sum() == 4


@pytest.mark.parametrize(
    ("most", "dtype"), [(0, "int8"), (127, "int8"), (128, "int16"), (40_000, "int32")]
)
def test_counts_are_as_narrow_as_the_largest_allows(most: int, dtype: str) -> None:
    counts = np.array([[0, most]], np.int32)
    narrow = narrowed(counts)
    assert narrow.dtype == dtype
    np.testing.assert_array_equal(narrow, counts)
