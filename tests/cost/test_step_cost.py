"""The cost of steps: weights and code that were evicted between two steps."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.cost.cpu.evicted_code import own_seconds
from condsim.cost.cpu.residency import miss_seconds
from condsim.cost.step_cost import Side, WeightVisits
from condsim.hardware import HardwareProfile, hardware


def test_a_batched_products_weights_are_looked_up_one_by_one(profile: HardwareProfile) -> None:
    at = {"step": np.zeros(1, int), "choice": np.zeros(1, int), "rows": np.ones(1)}
    whole = WeightVisits("w", np.array([3.2e6]), **at)
    sixteen = WeightVisits("w", np.array([3.2e6]), **at, pieces=16)
    far = np.array([1e8])
    one_piece = miss_seconds(2e5, 1e8, profile)
    np.testing.assert_allclose(sixteen.miss_seconds(far, profile), 16 * one_piece)
    assert sixteen.miss_seconds(far, profile) > whole.miss_seconds(far, profile)


def test_the_first_call_after_something_else_finds_its_code_evicted(
    profile: HardwareProfile,
) -> None:
    none, touched = np.zeros(2), np.array([4e6, 4e6])
    side = Side(
        2,
        none,
        none,
        {"dispatch": none},
        activation_bytes=touched,
        moved_bytes=2 * touched,
        calls={"relu": np.array([4.0, 0.0])},
    )
    assert side.returning(profile, None) == {}
    assert side.returning(profile, 0.0)["relu"].tolist() == [0.0, 0.0]
    called, not_called = side.returning(profile, 1e9)["relu"]
    usual_s, evicted_s = own_seconds("relu", 1e6, profile), own_seconds("relu", 1e9, profile)
    assert called == pytest.approx(float(evicted_s - usual_s))
    assert not_called == 0
    assert 0 < side.returning(profile, 2e6)["relu"][0] < called
    assert side.returning(hardware("nvidia-h100-sxm"), 1e9) == {}
