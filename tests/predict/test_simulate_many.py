"""Many configurations in one call are what each of them is alone, to the last bit."""

from __future__ import annotations

import itertools

import pytest

import condsim
from condsim.errors import CondsimError
from condsim.predict.prediction import Prediction
from condsim.resources import resource
from condsim.scenario import Scenario


def numbers(prediction: Prediction) -> list[float]:
    """What a prediction says."""
    of_worlds = prediction.waterfall["factor"].tolist()
    of_steps = prediction.steps["conditional_s"].tolist()
    resources = [prediction.energy_j, prediction.peak_bytes, prediction.baseline_s]
    return [*prediction.speedup_interval, *of_worlds, *of_steps, *resources]


def test_each_is_what_it_is_alone() -> None:
    folder = resource("traces") / "moe-bytes"
    asked = []
    for strategy, batch, protocol in itertools.product(
        ("grouped", "looped"), (1, 3), ("stream", "repeat")
    ):
        asked.append(Scenario(strategy=strategy, batch=batch, phase="prefill", protocol=protocol))
    trace = condsim.load(folder)
    together = condsim.simulate_many(trace, None, asked)
    for scenario, prediction in zip(asked, together, strict=True):
        (alone,) = condsim.simulate_many(condsim.load(folder), None, [scenario])
        assert numbers(prediction) == numbers(alone)


def test_the_first_impossible_one_is_named() -> None:
    trace = condsim.load(resource("traces") / "exit-fashion")
    asked = [Scenario(batch=2), Scenario(batch=10**6), Scenario(strategy="grouped")]
    with pytest.raises(CondsimError, match="batch 1000000 is more than"):
        condsim.simulate_many(trace, None, asked)


def test_where_the_captured_strategy_is_impossible_the_fastest_answers() -> None:
    trace = condsim.load(resource("traces") / "exit-fashion")
    (answer,) = condsim.simulate_many(trace, "google-tpu-v4", [Scenario(batch=2)])
    alone = condsim.simulate(trace, "google-tpu-v4", batch=2)
    assert (answer.strategy, answer.speedup) == (alone.strategy, alone.speedup)
