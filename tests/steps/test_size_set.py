"""Distinct sizes give every call its own."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from condsim.steps.size_set import SizeSet


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=30))
def test_distinct_sizes_give_every_call_its_own(calls: list[tuple[int, int]]) -> None:
    sizes = {"rows": np.array([c[0] for c in calls]), "outer": np.array([c[1] for c in calls])}
    found = SizeSet.distinct(sizes)
    assert len(found) == len(set(calls))
    for extent, values in sizes.items():
        np.testing.assert_array_equal(found.sizes[extent][found.of_call], values)
