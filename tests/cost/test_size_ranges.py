"""Sizes are priced among all values of the one extent that they follow."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.cost.size_ranges import ENDS, SizeRange
from condsim.steps.size_set import SizeSet


def sizes_of(**extents: list[int]) -> SizeSet:
    return SizeSet.distinct({name: np.array(values) for name, values in extents.items()})


def chosen(found: SizeRange, extent: str) -> list[int]:
    values: list[int] = found.sizes.sizes[extent][found.chosen].tolist()
    return values


def test_the_calls_find_their_sizes_in_the_range() -> None:
    found = SizeRange.around(sizes_of(rows=[3, 7, 7, 1]), {"rows"})
    assert found is not None
    assert len(found.sizes) == ENDS[0] - 1
    assert chosen(found, "rows") == [1, 3, 7]


def test_another_batch_has_the_same_range() -> None:
    few = SizeRange.around(sizes_of(batch=[2], seq=[64]), {"batch", "seq"})
    many = SizeRange.around(sizes_of(batch=[16], seq=[64]), {"batch", "seq"})
    longer = SizeRange.around(sizes_of(batch=[2], seq=[32]), {"batch", "seq"})
    assert few is not None
    assert many is not None
    assert longer is not None
    assert few.sizes.key == many.sizes.key != longer.sizes.key
    assert (chosen(few, "batch"), chosen(many, "batch")) == ([2], [16])


def test_only_extents_that_are_followed_count() -> None:
    sizes = sizes_of(outer=[4, 8], rows=[2, 2])
    by_rows = SizeRange.around(sizes, {"rows"})
    assert by_rows is not None
    assert chosen(by_rows, "rows") == [2, 2]
    assert SizeRange.around(sizes, {"rows", "outer"}) is None


@pytest.mark.parametrize("rows", [[0, 1], [ENDS[-1]]])
def test_what_lies_outside_of_all_ranges_has_none(rows: list[int]) -> None:
    assert SizeRange.around(sizes_of(rows=rows), {"rows"}) is None


def test_calls_that_count_as_sizes_of_their_own_have_none() -> None:
    each = SizeSet.each_call({"rows": np.array([1, 2])}, 2)
    assert SizeRange.around(each, {"rows"}) is None


def test_sizes_that_are_priced_in_another_way_are_left_out() -> None:
    found = SizeRange.around(sizes_of(rows=[2, 6]), {"rows"})
    assert found is not None
    kernels = ["even" if rows % 2 == 0 else "odd" for rows in range(1, ENDS[0])]
    alike = found.alike(kernels)
    assert set(alike.sizes.sizes["rows"] % 2) == {0}
    assert chosen(alike, "rows") == [2, 6]
    assert alike.sizes.key != found.sizes.key
    one = SizeRange.around(sizes_of(rows=[6]), {"rows"})
    assert one is not None
    assert chosen(one.alike(kernels), "rows") == [6]
    assert found.alike(["all"] * (ENDS[0] - 1)) is found
