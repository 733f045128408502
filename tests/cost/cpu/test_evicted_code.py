"""What an operator costs after other data: more data never makes it faster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.cpu.evicted_code import code_of, evicted_code_seconds
from condsim.hardware import HardwareProfile, hardware


def test_what_was_touched_since_evicts_the_code(profile: HardwareProfile) -> None:
    code = code_of("relu", False, 1, profile)
    touched = np.array([0.0, 1e6, 1e7, 1e9])
    seconds = evicted_code_seconds(code, 1, 10, touched, 1e9, profile)
    np.testing.assert_allclose(seconds, [0, 0.2e-5 + 0.1e-6, 1e-5 + 1e-6, 1e-5 + 5e-6])


@pytest.mark.parametrize(
    ("name", "view", "own_s"), [("frobnicate", False, 8e-6), ("view", True, 2e-6)]
)
def test_other_operators_and_views(
    profile: HardwareProfile, name: str, view: bool, own_s: float
) -> None:
    code = code_of(name, view, 1, profile)
    assert evicted_code_seconds(code, 1, 1, 1e9, 1e9, profile) == pytest.approx(own_s + 5e-6)


def test_the_same_memory_over_and_over_evicts_little(profile: HardwareProfile) -> None:
    assert evicted_code_seconds("relu", 1, 1, 1e9, 1e6, profile) == pytest.approx(0.2e-5 + 1e-6)


@given(touched=st.floats(0, 1e9), more=st.floats(0, 1e9), calls=st.integers(1, 50))
def test_more_data_never_makes_an_operator_faster(
    profile: HardwareProfile, touched: float, more: float, calls: int
) -> None:
    little = evicted_code_seconds("relu", calls, 50, touched, 1e9, profile)
    much = evicted_code_seconds("relu", calls, 50, touched + more, 1e9, profile)
    assert much >= little
    more_often = evicted_code_seconds("relu", calls + 1, 51, touched, 1e9, profile)
    assert more_often <= little


def test_without_a_calibration_it_costs_nothing() -> None:
    device = hardware("nvidia-h100-sxm")
    assert code_of("relu", False, 1, device) == ""
    assert evicted_code_seconds("relu", 1, 1, 1e9, 1e9, device) == 0
