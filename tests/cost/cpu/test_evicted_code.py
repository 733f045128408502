"""What an operator costs after other data: more data never makes it faster."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.cpu.evicted_code import (
    Passed,
    StepPasses,
    code_of,
    evicted_code_seconds,
    own_code_seconds,
)
from condsim.hardware import HardwareProfile, hardware

NO_TIME = 0.0


def passes(touched: Any, different: float, seconds: float = NO_TIME) -> StepPasses:
    return StepPasses(touched, different, seconds)


def with_products(profile: HardwareProfile) -> HardwareProfile:
    """The profile, where products evict half of what a call's own code costs in 1 ms, and one and a
    half times as much in 4 ms."""
    assert profile.cold is not None
    after_products = {
        "products_s": [1e-3, 4e-3],
        "shared_after_products_s": [2e-6, 6e-6],
        "share_after_products": [0.5, 1.5],
    }
    return profile.model_copy(update={"cold": profile.cold.model_copy(update=after_products)})


def test_what_was_touched_since_evicts_the_code(profile: HardwareProfile) -> None:
    code = code_of("relu", False, 1, profile)
    touched = np.array([0.0, 1e6, 1e7, 1e9])
    seconds = evicted_code_seconds(code, 1, 10, passes(touched, 1e9), profile)
    np.testing.assert_allclose(seconds, [0, 0.2e-5 + 0.1e-6, 1e-5 + 1e-6, 1e-5 + 5e-6])


@pytest.mark.parametrize(
    ("name", "view", "own_s"), [("frobnicate", False, 8e-6), ("view", True, 2e-6)]
)
def test_other_operators_and_views(
    profile: HardwareProfile, name: str, view: bool, own_s: float
) -> None:
    code = code_of(name, view, 1, profile)
    step = passes(1e9, 1e9)
    assert evicted_code_seconds(code, 1, 1, step, profile) == pytest.approx(own_s + 5e-6)


def test_the_same_memory_over_and_over_evicts_little(profile: HardwareProfile) -> None:
    seconds = evicted_code_seconds("relu", 1, 1, passes(1e9, 1e6), profile)
    assert seconds == pytest.approx(0.2e-5 + 1e-6)


@given(touched=st.floats(0, 1e9), more=st.floats(0, 1e9), calls=st.integers(1, 50))
def test_more_data_never_makes_an_operator_faster(
    profile: HardwareProfile, touched: float, more: float, calls: int
) -> None:
    little = evicted_code_seconds("relu", calls, 50, passes(touched, 1e9), profile)
    much = evicted_code_seconds("relu", calls, 50, passes(touched + more, 1e9), profile)
    assert much >= little
    more_often = evicted_code_seconds("relu", calls + 1, 51, passes(touched, 1e9), profile)
    assert more_often <= little


def test_without_a_calibration_it_costs_nothing() -> None:
    device = hardware("nvidia-h100-sxm")
    assert code_of("relu", False, 1, device) == ""
    assert evicted_code_seconds("relu", 1, 1, passes(1e9, 1e9), device) == 0


def test_products_evict_code_while_time_passes(profile: HardwareProfile) -> None:
    calibrated = with_products(profile)
    step = passes(0.0, 0.0, 4e-3)
    of_four = evicted_code_seconds("relu", 4, 4, step, calibrated)
    assert of_four == pytest.approx(0.5e-5 + 2e-6)
    assert evicted_code_seconds("relu", 4, 4, step, profile) == 0


def test_what_evicts_more_counts(profile: HardwareProfile) -> None:
    calibrated = with_products(profile)
    fifth_by_data_half_by_products = own_code_seconds("relu", Passed(1e6, 1e-3), calibrated)
    assert fifth_by_data_half_by_products == pytest.approx(1e-5 * 0.5)
    all_by_data = own_code_seconds("relu", Passed(1e9, 1e-3), calibrated)
    assert all_by_data == pytest.approx(1e-5)


@given(data=st.floats(0, 1e9), seconds=st.floats(0, 0.1), more=st.floats(0, 0.1))
def test_more_time_never_makes_an_operator_faster(
    profile: HardwareProfile, data: float, seconds: float, more: float
) -> None:
    calibrated = with_products(profile)
    sooner = own_code_seconds("relu", Passed(data, seconds), calibrated)
    later = own_code_seconds("relu", Passed(data, seconds + more), calibrated)
    assert later >= sooner * (1 - 1e-12)
