"""Kernels for sizes that were never run: which step waits for which, and what that predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import condsim
from condsim.cost.cpu.new_shapes import NewShapes, kernels
from condsim.hardware import HardwareProfile, load_profile
from condsim.program.operators import Work

RUNS = Path(__file__).parents[3] / "benchmarks" / "runs"


@pytest.fixture(scope="module")
def profile() -> HardwareProfile:
    calibrated = load_profile(RUNS / "2026-11-28-c" / "profile.yaml")
    costs = {"linear.new_shape": 1e-3, "conv2d.new_shape": 1e-3}
    return calibrated.model_copy(update={"extra_s": calibrated.extra_s | costs})


def seconds(shapes: NewShapes, profile: HardwareProfile) -> dict[object, list[float]]:
    """Label → [step, seconds] of what is written."""
    return {first.label: [first.step, first.seconds] for first in shapes.first_uses(profile)}


def once() -> np.ndarray:
    """The size, or the step, of an operator that is called once."""
    return np.zeros(1, int)


def test_the_first_step_of_a_size_waits_once(profile: HardwareProfile) -> None:
    shapes = NewShapes(4)
    of_8_16_and_32_rows = Work("linear", np.array([8, 16, 32]), 64, 32)
    size, step = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 3])
    shapes.add(of_8_16_and_32_rows, None, size, step, "first")
    of_16_rows_a_step_before = Work("linear", 16, 64, 32)
    shapes.add(of_16_rows_a_step_before, None, once(), once(), "second")
    # The kernel of 32 rows is there: the last step has run before the first.
    assert seconds(shapes, profile) == {"first": [0, 1e-3], "second": [0, 1e-3]}


def test_sizes_of_the_steps_before_are_not_new(profile: HardwareProfile) -> None:
    of_8_16_and_32_rows = Work("linear", np.array([8, 16, 32]), 64, 32)
    shapes = NewShapes()
    for size, step in (([0, 1], [0, 1]), ([0, 2, 0], [0, 1, 2])):
        block = NewShapes(int(max(step)) + 1)
        of_block = f"from step {min(step)} of {len(step)} calls"
        block.add(of_8_16_and_32_rows, None, np.array(size), np.array(step), of_block)
        shapes.follow(block)
    # 8 rows are there, since the last step has them.
    assert seconds(shapes, profile) == {
        "from step 0 of 2 calls": [1, 1e-3],
        "from step 0 of 3 calls": [3, 1e-3],
    }


def test_families_without_a_cost_wait_for_nothing(profile: HardwareProfile) -> None:
    shapes = NewShapes(2)
    shapes.add(Work("bmm", 8, 8, 8, 4), None, once(), once(), "")
    assert seconds(shapes, profile) == {}


def test_a_group_with_rows_is_a_plain_product() -> None:
    grouped = Work("grouped_mm", 6, 64, 32, 3)
    of_groups = kernels(grouped, np.array([[2, 4, 0], [4, 4, 0]]), 2)
    assert list(of_groups) == [
        (("linear", 2.0, 64.0, 32.0, 1.0), [0]),
        (("linear", 4.0, 64.0, 32.0, 1.0), [0, 1]),
    ]


def test_a_product_without_rows_needs_no_kernel() -> None:
    job = Work("linear", np.array([0, 3]), 64, 32)
    assert [kernel.m for kernel, _ in kernels(job, None, 2)] == [3.0]


def test_a_stream_pays_and_a_repetition_does_not(profile: HardwareProfile) -> None:
    trace = condsim.load(RUNS.parents[1] / "traces" / "exit-fashion")
    other_costs = {k: v for k, v in profile.extra_s.items() if not k.endswith("new_shape")}
    without = profile.model_copy(update={"extra_s": other_costs})
    paying, free = (condsim.simulate(trace, p, protocol="stream") for p in (profile, without))
    assert paying.latency_s > free.latency_s
    by_side = paying.segments.groupby("side")["seconds"].sum()
    assert by_side["conditional"] == pytest.approx(paying.latency_s)
    again, free_again = (condsim.simulate(trace, p, protocol="repeat") for p in (profile, without))
    assert again.latency_s == free_again.latency_s
