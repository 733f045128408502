"""Kernels for sizes that were never run: which step waits for which, and what a prediction makes of it."""

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
    own = load_profile(RUNS / "2026-11-28-c" / "profile.yaml")
    return own.model_copy(
        update={"extra_s": {**own.extra_s, "linear.new_shape": 1e-3, "conv2d.new_shape": 1e-3}}
    )


def seconds(found: NewShapes, profile: HardwareProfile) -> dict[object, list[float]]:
    return {label: np.round(s, 6).tolist() for label, s in found.seconds(profile).items()}


def test_the_first_step_of_a_size_waits_once(profile: HardwareProfile) -> None:
    found = NewShapes(4)
    job = Work("linear", np.array([8, 16, 32]), 64, 32)
    found.add(job, None, np.array([0, 1, 1, 2]), np.array([0, 1, 2, 3]), "first")
    found.add(
        Work("linear", 16, 64, 32), None, np.zeros(1, int), np.zeros(1, int), "second"
    )  # the same kernel, a step before
    assert seconds(found, profile) == {
        "first": [1e-3, 0, 0, 0],
        "second": [1e-3, 0, 0, 0],
    }  # 32 rows: the last step has run before


def test_families_without_a_cost_wait_for_nothing(profile: HardwareProfile) -> None:
    found = NewShapes(2)
    found.add(Work("bmm", 8, 8, 8, 4), None, np.zeros(1, int), np.zeros(1, int), "")
    assert seconds(found, profile) == {}


def test_a_group_with_rows_is_a_plain_product() -> None:
    found = list(kernels(Work("grouped_mm", 6, 64, 32, 3), np.array([[2, 4, 0], [4, 4, 0]]), 2))
    assert [(kernel, calls.tolist()) for kernel, calls in found] == [
        (("linear", 2.0, 64.0, 32.0, 1.0), [0]),
        (("linear", 4.0, 64.0, 32.0, 1.0), [0, 1]),
    ]


def test_a_product_without_rows_needs_no_kernel() -> None:
    assert [
        kernel[1] for kernel, _ in kernels(Work("linear", np.array([0, 3]), 64, 32), None, 2)
    ] == [3.0]


def test_a_stream_pays_and_a_repetition_does_not(profile: HardwareProfile) -> None:
    trace = condsim.load(RUNS.parents[1] / "traces" / "exit-fashion")
    without = profile.model_copy(
        update={
            "extra_s": {k: v for k, v in profile.extra_s.items() if not k.endswith("new_shape")}
        }
    )
    more, usual = (condsim.simulate(trace, p, protocol="stream") for p in (profile, without))
    assert more.latency_s > usual.latency_s
    assert more.segments.groupby("side")["seconds"].sum()["conditional"] == pytest.approx(
        more.latency_s
    )
    assert (
        condsim.simulate(trace, profile, protocol="repeat").latency_s
        == condsim.simulate(trace, without, protocol="repeat").latency_s
    )
