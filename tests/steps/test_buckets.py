"""Buckets: every unit in one, the longest first, as many in each."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from condsim.steps.buckets import bucket_sizes, in_buckets


@given(st.integers(1, 500), st.integers(1, 8))
def test_buckets_hold_all_units_and_differ_by_one(units: int, buckets: int) -> None:
    sizes = bucket_sizes(units, buckets)
    assert sum(sizes) == units
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) <= buckets
    assert min(sizes) >= min(2, units)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40))
def test_every_unit_is_in_one_bucket_and_none_is_longer_than_those_before(
    lengths: list[int],
) -> None:
    table = np.array([lengths])
    found = in_buckets(table)[0]
    assert (found.sum(0) == 1).all()
    of_buckets = [table[0][members] for members in found if members.any()]
    for longer, shorter in itertools.pairwise(of_buckets):
        assert longer.min() >= shorter.max()
    padded = sum(len(units) * units.max() for units in of_buckets)
    assert sum(lengths) <= padded <= len(lengths) * max(lengths)
