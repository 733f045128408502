"""Evicted weights: a longer absence never costs less; how long rows are decides how much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.cpu.residency import Weight, miss_seconds, miss_spread_seconds
from condsim.hardware import HardwareProfile, hardware


def by_rows(profile: HardwareProfile) -> HardwareProfile:
    """The profile as if its two curves were of weights of one size with rows of 1 and of 4 KiB."""
    assert profile.residency is not None
    fields = {"bytes": [2e5, 2e5], "row_bytes": [1024.0, 4096.0]}
    return profile.model_copy(update={"residency": profile.residency.model_copy(update=fields)})


@given(
    weight_bytes=st.integers(1, 10**8),
    distance=st.floats(1, 1e9),
    more=st.floats(0, 1e9),
    rows=st.sampled_from([1, 2, 300]),
    row_bytes=st.integers(1, 10**5),
)
def test_a_longer_absence_never_costs_less(
    profile: HardwareProfile,
    weight_bytes: int,
    distance: float,
    more: float,
    rows: int,
    row_bytes: int,
) -> None:
    weight = Weight(weight_bytes, row_bytes, rows)
    for calibrated in (profile, by_rows(profile)):
        near = miss_seconds(weight, distance, calibrated)
        far = miss_seconds(weight, distance + more, calibrated)
        assert 0 <= near <= far
    assert miss_spread_seconds(weight_bytes, distance, profile) > 0


def test_a_weight_that_was_never_used_is_as_far_as_can_be(profile: HardwareProfile) -> None:
    weight = Weight(1e6, 1024)
    never = miss_seconds(weight, np.inf, profile)
    assert never == miss_seconds(weight, 1e12, profile)


def test_the_cost_goes_by_the_length_of_a_row_and_not_by_the_size(profile: HardwareProfile) -> None:
    sizes, row_bytes = np.array([2e5, 4e5, 2e5, 4e5]), np.array([1024.0, 1024, 4096, 4096])
    rows = np.array([1, 16, 1, 16])
    seconds = miss_seconds(Weight(sizes, row_bytes, rows), 1e8, by_rows(profile))
    np.testing.assert_allclose(seconds, sizes * np.array([7e-11, 2e-10, 4e-11, 1e-10]))


def test_between_two_lengths_the_cost_goes_by_the_logarithm(profile: HardwareProfile) -> None:
    weight = Weight(2e5, 2048.0)
    assert miss_seconds(weight, 1e8, by_rows(profile)) == pytest.approx(2e5 * 5.5e-11)


def test_beyond_the_lengths_that_were_timed_the_cost_stays(profile: HardwareProfile) -> None:
    short, long = miss_seconds(Weight(2e5, np.array([64.0, 65536])), 1e8, by_rows(profile))
    assert short == pytest.approx(2e5 * 7e-11)
    assert long == pytest.approx(2e5 * 4e-11)


def test_where_rows_were_not_told_apart_the_cost_goes_by_the_size(profile: HardwareProfile) -> None:
    sizes, rows = np.array([2e5, 4e6, 2e5, 4e6]), np.array([1, 1, 16, 2])
    seconds = miss_seconds(Weight(sizes, 1024, rows), 1e8, profile)
    # A large weight loses this to itself when it is repeated alone: a hot time has that in it.
    in_hot_time = 1e-11 * (4e6 - 1e6) / (1e7 - 1e6)
    per_byte = np.array([7e-11, 4e-11, 2e-10, 1e-10 - in_hot_time])
    np.testing.assert_allclose(seconds, sizes * per_byte)


def test_arrays_give_what_numbers_give(profile: HardwareProfile) -> None:
    sizes, rows = np.array([1e4, 3e5, 9e6]), np.array([1, 5, 1])
    row_bytes = np.array([500.0, 2000.0, 9000.0])
    distances = np.array([2e6, 3e7, 1e9])
    calibrated = by_rows(profile)
    together = miss_seconds(Weight(sizes, row_bytes, rows), distances, calibrated)
    for i in range(3):
        one = Weight(float(sizes[i]), float(row_bytes[i]), int(rows[i]))
        alone = miss_seconds(one, float(distances[i]), calibrated)
        assert alone == pytest.approx(together[i])


def test_without_a_curve_nothing_is_evicted() -> None:
    assert miss_seconds(Weight(1e6, 1024), np.inf, hardware("nvidia-h100-sxm")) == 0
