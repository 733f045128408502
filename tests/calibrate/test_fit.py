"""Constants of a profile fitted to measured times."""

from __future__ import annotations

import numpy as np
import pytest

import condsim
from condsim.calibrate.fit import fit
from condsim.hardware import HardwareProfile

GPU = condsim.hardware("nvidia-h100-sxm")
WORK = np.array([1.0, 2.0, 3.0])


def _seconds(profile: HardwareProfile) -> np.ndarray:
    return WORK / profile.matmul_efficiency.value


def test_a_constant_that_made_the_times_is_found_again() -> None:
    found = fit(_seconds, WORK / 0.4, GPU, ["matmul_efficiency"])
    assert found["matmul_efficiency"] == pytest.approx(0.4, rel=1e-3)


def test_a_constant_stays_within_what_physics_allows() -> None:
    found = fit(_seconds, WORK / 2.0, GPU, ["matmul_efficiency"])
    assert found["matmul_efficiency"] <= 1.0


def test_a_constant_that_no_time_asks_for_is_next_to_nothing() -> None:
    def seconds(profile: HardwareProfile) -> np.ndarray:
        assert profile.gpu is not None
        return WORK * profile.gpu.tile_s.value

    found = fit(seconds, WORK * 1e-40, GPU, ["gpu.tile_s"])
    assert 0 < found["gpu.tile_s"] < 1e-15
    GPU.replace(**found)
