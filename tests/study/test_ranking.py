"""Which device and strategy: every row is a prediction or a reason, and only like is compared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import condsim
from condsim.hardware import HardwareProfile, hardware
from condsim.predict.choose import strategies_on
from condsim.resources import resource
from condsim.study.ranking import (
    COMMON,
    beside,
    candidates,
    front,
    most_comparable,
    predict_all,
    why_not_comparable,
)
from condsim.trace import Trace

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30)
ROW = {
    "trace": "a",
    "baseline": "same-params",
    "dtype": "fp32",
    "phase": "prefill",
    "batch": 8,
    "protocol": "stream",
    "runtime": "eager",
    "outputs": "as captured",
    "profile": "one",
    "strategy": "looped",
}


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "skip-fashion")


@pytest.fixture(scope="module")
def gpu() -> HardwareProfile:
    return hardware("nvidia-h100-sxm")


def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a point is nowhere worse and somewhere better."""
    return one != other and one[0] <= other[0] and one[1] <= other[1]


@given(POINTS)
def test_the_front_is_what_no_point_beats(points: list[tuple[int, int]]) -> None:
    x, y = np.array(points, float).T
    for point, in_front in zip(points, front(x, y), strict=True):
        assert in_front == (not any(beats(other, point) for other in points))


@given(POINTS)
def test_the_front_is_never_empty(points: list[tuple[int, int]]) -> None:
    x, y = np.array(points, float).T
    assert front(x, y).any()


@pytest.mark.parametrize("column", COMMON)
def test_rows_that_differ_in_one_thing_are_not_comparable(column: str) -> None:
    assert why_not_comparable(ROW, ROW) == ""
    other = ROW | {column: "another"}
    assert why_not_comparable(other, ROW).endswith(f"another against {ROW[column]}")


def test_strategies_are_compared_on_one_device_only() -> None:
    grouped = ROW | {"strategy": "grouped"}
    assert why_not_comparable(grouped, ROW) == ""
    elsewhere = grouped | {"profile": "two"}
    assert why_not_comparable(elsewhere, ROW) == "grouped against looped"
    assert why_not_comparable(elsewhere | {"strategy": "looped"}, ROW) == ""


def test_the_reference_is_the_row_that_most_are_like() -> None:
    alone = ROW | {"dtype": "bf16", "profile": "alone"}
    rows = [alone, ROW, ROW | {"profile": "two"}, ROW | {"profile": "three"}]
    assert most_comparable(pd.DataFrame(rows)) == 1


def test_an_answer_with_dropped_rows_is_another_answer() -> None:
    experts = condsim.load(resource("traces") / "moe-bytes")
    rows = list(
        predict_all(experts, [hardware("nvidia-h100-sxm"), hardware("google-tpu-v4")], [None])
    )
    table = beside(pd.DataFrame(rows), reference=0)
    assert rows[0]["outputs"] == "as captured"
    assert "assignments dropped" in rows[1]["outputs"]
    assert np.isnan(table["times_faster"][1])
    assert "outputs" in table["not_comparable"][1]
    assert "xla against eager" in table["not_comparable"][1]


def test_rows_are_set_beside_the_reference_where_they_are_comparable() -> None:
    rows = [
        ROW | {"latency_s": 2.0, "energy_j": 4.0},
        ROW | {"latency_s": 1.0, "energy_j": 8.0},
        ROW | {"latency_s": 1.0, "energy_j": 8.0, "dtype": "bf16"},
    ]
    table = beside(pd.DataFrame(rows), reference=0)
    assert table["times_faster"].tolist()[:2] == [1.0, 2.0]
    assert table["times_energy"].tolist()[:2] == [1.0, 2.0]
    assert table["times_faster"].isna().tolist() == [False, False, True]
    assert table["not_comparable"].tolist() == ["", "", "bf16 against fp32"]


def test_candidates_are_all_strategies_of_a_device(trace: Trace, gpu: HardwareProfile) -> None:
    strategies = [candidate.strategy for candidate in candidates(trace, [gpu])]
    assert strategies == strategies_on(trace, gpu)


def test_candidates_are_the_named_strategies_on_each_device(
    trace: Trace, gpu: HardwareProfile
) -> None:
    devices = [gpu, trace.profile]
    named = iter([None, "masked"])
    pairs = [
        (candidate.profile.name, candidate.strategy)
        for candidate in candidates(trace, devices, named)
    ]
    assert pairs == [(device.name, name) for device in devices for name in (None, "masked")]


def test_a_row_is_what_simulate_says(trace: Trace, gpu: HardwareProfile) -> None:
    (row,) = predict_all(trace, [gpu], ["masked"], "same-flops", batch=8)
    prediction = condsim.simulate(trace, gpu, "masked", batch=8, baseline="same-flops")
    assert row["class"] == "gpu"
    assert row["latency_s"] == prediction.latency_s
    assert row["speedup"] == prediction.speedup


def test_what_cannot_be_predicted_is_a_row_with_the_reason(
    trace: Trace, gpu: HardwareProfile
) -> None:
    impossible, possible = predict_all(trace, [gpu], ["looped", "masked"], batch=8)
    assert impossible["strategy"] == "looped"
    assert "looped" in impossible["error"]
    assert "error" not in possible


def test_a_runtime_that_a_device_lacks_is_a_row_with_the_reason(
    trace: Trace, gpu: HardwareProfile
) -> None:
    (row,) = predict_all(trace, [gpu], runtime="npu")
    assert row["strategy"] == "all"
    assert row["error"]
