"""What is worked out of a prediction's numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

import condsim
from condsim.predict.prediction import Prediction
from condsim.resources import resource


@pytest.fixture(scope="module")
def predicted() -> Prediction:
    trace = condsim.load(resource("traces") / "branch-fashion")
    return condsim.simulate(trace, "raspberry-pi-5")


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((1.1, 2.0), "faster"), ((0.5, 0.9), "slower"), ((0.9, 1.1), "too close to call")],
)
def test_the_interval_gives_the_verdict(
    predicted: Prediction, interval: tuple[float, float], verdict: str
) -> None:
    assert replace(predicted, speedup_interval=interval).verdict == verdict


def test_the_table_of_steps_has_the_seconds_of_both_sides(predicted: Prediction) -> None:
    steps = predicted.steps
    assert list(steps) == ["step", "conditional_s", "baseline_s"]
    assert len(steps) == len(predicted.of_steps)
    assert steps["conditional_s"].mean() == pytest.approx(predicted.latency_s)
    assert predicted.percentile(100, "baseline_s") == steps["baseline_s"].max()


def test_plain_values_have_every_field(predicted: Prediction) -> None:
    plain = predicted.to_dict()
    assert plain["steps"] == len(predicted.of_steps)
    assert plain["latency_p99_s"] >= plain["latency_p50_s"]
    assert plain["main_loss"] == predicted.main_loss
