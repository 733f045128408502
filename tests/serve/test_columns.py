"""Numbers of many requests stand in a file, and are what they would be in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.serve import columns
from condsim.serve.columns import (
    BLOCK,
    IN_MEMORY,
    GrowingColumn,
    blocks,
    largest,
    let_go,
    new_column,
    packed,
    same_for_all,
)

FEW, MANY = 5, IN_MEMORY + BLOCK // 2


def resident_kb() -> int:
    """Pages of files that this process has in memory."""
    with open("/proc/self/status") as status:
        of_files = next(line for line in status if line.startswith("RssFile"))
    return int(of_files.split()[1])


@pytest.mark.parametrize("count", [FEW, MANY])
def test_a_column_keeps_what_is_written_when_its_memory_is_given_back(count: int) -> None:
    column = new_column(count, float, np.nan)
    assert np.isnan(column).all()
    loop = packed(column)
    loop[count - 1], loop[0] = 2.5, 1.5
    let_go(loop)
    assert column[0] == 1.5
    assert column[-1] == 2.5
    assert np.isnan(column[1:-1]).all()


def test_memory_is_given_back() -> None:
    column = new_column(MANY, float)
    column[:] = 1.0
    full = resident_kb()
    let_go(column)
    assert full - resident_kb() > 0.9 * column.nbytes / 1024
    assert sum(float(block.sum()) for (block,) in blocks(column)) == MANY
    assert resident_kb() < full


def test_blocks_go_through_all_columns_together() -> None:
    first, second = np.arange(MANY), new_column(MANY, np.int32, 3)
    parts = [(a.copy(), b.copy()) for a, b in blocks(first, second)]
    np.testing.assert_array_equal(np.concatenate([a for a, _ in parts]), first)
    assert all((b == 3).all() and len(a) == len(b) for a, b in parts)
    assert largest(first) == MANY - 1


def test_one_number_for_all_takes_no_memory() -> None:
    ones = same_for_all(1, MANY)
    assert ones.strides == (0,)
    assert packed(ones)[MANY - 1] == 1


@pytest.mark.parametrize("count", [0, FEW, MANY])
def test_a_growing_column(count: int) -> None:
    numbers = np.random.default_rng(0).random(count)
    growing = GrowingColumn(float)
    for begin in range(0, count, 1000):
        growing.add(numbers[begin : begin + 1000])
    np.testing.assert_array_equal(growing.column(), numbers)


def test_a_folder_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    allocate: Callable[..., None] = full
    monkeypatch.setattr(columns.os, "posix_fallocate", allocate)
    with pytest.raises(CondsimError, match="has no room for what is noted of requests: No space"):
        new_column(MANY, float)
