"""Code that is evicted between two calls, by what a step runs between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from condsim.cost.cpu.played_code import PlayedCalls, played_code_seconds
from condsim.hardware import HardwareProfile

CODES = ["relu"]


def played(code: Sequence[int], data_bytes: Sequence[float], different: float = 1e9) -> PlayedCalls:
    return PlayedCalls(np.array(code), np.array(data_bytes), np.zeros(len(code)), different)


def test_a_call_counts_what_others_passed_since_the_one_before() -> None:
    calls = played([0, 1, 0], [0.0, 1e6, 0.0])
    since_relu = calls.since(np.array([0, 2]), np.array([2, 0]))
    np.testing.assert_allclose(since_relu.data_bytes, [0.0, 1e6])
    since_other = calls.since(np.array([1]), np.array([1]))
    np.testing.assert_allclose(since_other.data_bytes, [0.0])
    np.testing.assert_allclose(calls.before().data_bytes, [0.0, 0.0, 1e6])


def test_no_more_bytes_pass_than_are_different() -> None:
    calls = played([0, 1, 0], [0.0, 1e6, 0.0], different=1e5)
    since_relu = calls.since(np.array([0, 2]), np.array([2, 0]))
    np.testing.assert_allclose(since_relu.data_bytes, [0.0, 1e5])


def test_a_code_costs_the_mean_of_its_calls(profile: HardwareProfile) -> None:
    seconds = played_code_seconds(played([0, 1, 0], [0.0, 1e6, 0.0]), CODES, profile)
    np.testing.assert_allclose(seconds, [(0.2e-5 + 1e-6) / 2])


def test_calls_that_lie_close_together_lose_less(profile: HardwareProfile) -> None:
    data = 1e7
    spread = played([0, 1, 0, 1], [0.0, data, 0.0, data])
    together = played([0, 0, 1, 1], [0.0, 0.0, data, data])
    spread_s, together_s = (
        float(played_code_seconds(calls, CODES, profile)[0]) for calls in (spread, together)
    )
    assert 0 < together_s < spread_s


def test_nothing_costs_more_without_a_calibration(profile: HardwareProfile) -> None:
    without = profile.model_copy(update={"cold": None})
    seconds = played_code_seconds(played([0, 1, 0], [0.0, 1e6, 0.0]), CODES, without)
    assert seconds == pytest.approx(0.0)
