"""Real partitions of onnxruntime: they compute what the models compute, and what was measured of
them is predicted from micro-benchmarks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import onnx_partitions
from benchmarks.partitions.graphs import exits, skips
from benchmarks.partitions.measure import MODELS, STEPS, with_threshold
from condsim.predict.simulate import simulate
from condsim.zoo import load


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_switched_exits_are_the_model(threshold: float) -> None:
    example = load("exit-fashion", batch=3, batches=6)
    model: Any = example.model
    model.threshold = threshold
    switched, plain = exits(model, 3, threshold)
    for images in example.inputs:
        with torch.inference_mode():
            np.testing.assert_allclose(switched(images.numpy()), model(images), atol=1e-4)
            np.testing.assert_allclose(
                plain(images.numpy()), model.every_exit(images)[-1], atol=1e-4
            )


def test_switched_skips_are_the_model() -> None:
    example = load("skip-fashion", batch=2, batches=6)
    model: Any = example.model
    switched, _ = skips(model, 2, 1.0)
    moved = with_threshold(model, 1.0)
    for images in example.inputs:
        with torch.inference_mode():
            np.testing.assert_allclose(switched(images.numpy()), moved(images), atol=1e-4)


def test_all_cases_were_measured_and_the_bar_is_held() -> None:
    measured, profile = onnx_partitions.stored()
    assert (
        len(measured.groupby(["model", "threshold", "batch"]))
        == sum(map(len, MODELS.values())) * len(STEPS)
        >= 24
    )
    shipped = measured[
        (measured["model"] == "exit-fashion") | (measured["threshold"] == 0)
    ]  # the others are captured anew, which takes time
    assert profile.calibrated
    found = onnx_partitions.errors(onnx_partitions.predicted(shipped, profile))
    for what in ("latency", "plain", "speedup"):
        assert found[what][0] <= 15, what
    assert found["speedup"][0] < found["flop_ratio"][0] / 3


def test_what_crosses_a_boundary_costs_by_its_bytes() -> None:
    _, profile = onnx_partitions.stored()
    trace, _ = onnx_partitions.trace("exit-fashion", 0.9)
    rates = [None, 1e12, 1e10, 1e9]
    seconds = [
        simulate(
            trace, profile.replace(**{"graphs.boundary": r}), "switched", 1, steps=[0, 1, 2]
        ).latency_s
        for r in rates
    ]
    assert seconds == sorted(seconds)
    closed, events = (
        simulate(trace, profile, "switched", 2, steps=[0, 1], engine=e)
        for e in ("closed", "events")
    )
    np.testing.assert_allclose(
        closed.steps["conditional_s"], events.steps["conditional_s"], rtol=1e-9
    )
