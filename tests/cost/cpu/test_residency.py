"""Evicted weights: a longer absence never costs less; size and rows decide how much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.cpu.residency import miss_seconds, miss_spread_seconds
from condsim.hardware import HardwareProfile, hardware


@given(
    weight_bytes=st.integers(1, 10**8),
    distance=st.floats(1, 1e9),
    more=st.floats(0, 1e9),
    rows=st.sampled_from([1, 2, 300]),
)
def test_a_longer_absence_never_costs_less(
    profile: HardwareProfile, weight_bytes: int, distance: float, more: float, rows: int
) -> None:
    near = miss_seconds(weight_bytes, distance, profile, rows)
    far = miss_seconds(weight_bytes, distance + more, profile, rows)
    assert 0 <= near <= far
    assert miss_spread_seconds(weight_bytes, distance, profile) > 0


def test_a_weight_that_was_never_used_is_as_far_as_can_be(profile: HardwareProfile) -> None:
    never = miss_seconds(1e6, np.inf, profile)
    assert never == miss_seconds(1e6, 1e12, profile)


def test_the_cost_goes_by_the_size_of_the_weight_and_the_rows(profile: HardwareProfile) -> None:
    sizes, rows = np.array([2e5, 4e6, 2e5, 4e6]), np.array([1, 1, 16, 2])
    seconds = miss_seconds(sizes, 1e8, profile, rows)
    # A large weight loses this to itself when it is repeated alone: a hot time has that in it.
    in_hot_time = 1e-11 * (4e6 - 1e6) / (1e7 - 1e6)
    per_byte = np.array([7e-11, 4e-11, 2e-10, 1e-10 - in_hot_time])
    np.testing.assert_allclose(seconds, sizes * per_byte)


def test_between_two_sizes_the_cost_goes_by_the_logarithm(profile: HardwareProfile) -> None:
    halfway = float(np.sqrt(2e5 * 4e6))
    assert miss_seconds(halfway, 1e8, profile) == pytest.approx(halfway * 5.5e-11)


def test_arrays_give_what_numbers_give(profile: HardwareProfile) -> None:
    sizes, rows = np.array([1e4, 3e5, 9e6]), np.array([1, 5, 1])
    distances = np.array([2e6, 3e7, 1e9])
    together = miss_seconds(sizes, distances, profile, rows)
    for i in range(3):
        alone = miss_seconds(float(sizes[i]), float(distances[i]), profile, int(rows[i]))
        assert alone == pytest.approx(together[i])


def test_without_a_curve_nothing_is_evicted() -> None:
    assert miss_seconds(1e6, np.inf, hardware("nvidia-h100-sxm")) == 0
