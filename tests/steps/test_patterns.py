"""Patterns of masks, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.steps.patterns import (
    BLOCK,
    PATTERN,
    blocks_of,
    extent_of,
    kept_columns,
    pattern_extents,
    pattern_of,
)


def test_a_mask_is_counted() -> None:
    mask = np.zeros((5, 7), bool)
    mask[[0, 0, 3], [1, 6, 1]] = True
    assert pattern_of(mask).tolist() == [3, 2, 2, 1]


def test_blocks_at_the_edge_are_smaller() -> None:
    mask = np.zeros((BLOCK + 1, 2 * BLOCK + 1), bool)
    mask[BLOCK, 2 * BLOCK] = True
    mask[0, BLOCK] = True
    assert blocks_of(mask).tolist() == [[False, True, False], [False, False, True]]
    assert pattern_of(mask)[PATTERN.index("blocks")] == 2


@pytest.mark.parametrize("seed", range(4))
def test_pattern_agrees_with_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((rng.integers(1, 40), rng.integers(1, 40))) < 0.05
    blocks = 0
    for row in range(0, mask.shape[0], BLOCK):
        for column in range(0, mask.shape[1], BLOCK):
            blocks += bool(mask[row : row + BLOCK, column : column + BLOCK].any())
    rows = sum(bool(row.any()) for row in mask)
    columns = sum(bool(column.any()) for column in mask.T)
    assert pattern_of(mask).tolist() == [int(mask.sum()), rows, columns, blocks]


def test_the_dense_weight_of_same_flops_has_as_many_elements() -> None:
    assert kept_columns(np.array([60, 40]), 10) == 5
    assert kept_columns(np.array([0]), 10) == 1


def test_extents_are_named_by_the_site() -> None:
    extents = pattern_extents("fc", np.array([[3, 2, 1, 1], [4, 2, 2, 1]]), 5)
    assert extents[extent_of("active", "fc")].tolist() == [3, 4]
    assert extents[extent_of("kept", "fc")].tolist() == [5, 5]
