"""The waterfall page, without a browser."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from condsim.dashboard import waterfall
from condsim.dashboard.parts.scenario import Scenario
from condsim.study.answer import Answer


def test_with_no_effect_off_the_world_is_the_prediction(
    scenario: Scenario, captured: Answer
) -> None:
    world = waterfall.world_without(scenario, captured, [])
    assert world.prediction is captured.prediction
    assert world.measured is captured.measured
    assert world.recipe().python.endswith("print(p.waterfall)")


def test_without_an_effect_its_factor_is_gone(scenario: Scenario, captured: Answer) -> None:
    chain = captured.prediction.waterfall.set_index("world")
    world = waterfall.world_without(scenario, captured, ["launch"])
    speedup = world.prediction.speedup
    assert speedup == pytest.approx(chain.loc["launch", "without"])
    assert world.prediction.speedup_interval == (speedup, speedup)
    assert world.measured is None
    predicted = world.bars.set_index("effect").loc["predicted"]
    assert math.isnan(predicted["low"])
    assert predicted["meaning"] == "no interval"
    assert world.says.startswith("Without launch: ")
    assert "interval" not in world.says
    assert world.recipe().command.endswith(waterfall.EVERY_EFFECT)
    assert "switched_off(p.waterfall, ['launch'])" in world.recipe().python


def test_milliseconds_of_all_effects_are_those_of_a_step(captured: Answer) -> None:
    numbers = waterfall.numbers(captured.prediction)
    assert numbers["conditional_ms"].sum() == pytest.approx(captured.prediction.latency_s * 1e3)
    assert numbers["baseline_ms"].sum() == pytest.approx(captured.prediction.baseline_s * 1e3)
    assert "weight traffic" in set(numbers["world"])


def test_ratios_of_two_scenarios_multiply_to_the_quotient_of_their_speedups(
    scenario: Scenario, captured: Answer
) -> None:
    second = waterfall.world_without(scenario, captured, ["gather"]).prediction
    both = waterfall.factors_of_both(captured.prediction, second)
    assert both["ratio"].prod() == pytest.approx(second.speedup / captured.prediction.speedup)


def test_two_worlds_share_an_axis(scenario: Scenario, captured: Answer) -> None:
    world = waterfall.world_without(scenario, captured, [])
    other = waterfall.world_without(scenario, captured, ["launch"])
    domains = []
    for figure in (world.figure("a", 340, other), other.figure("b", 340, world)):
        layers = figure.chart.to_dict()["layer"]
        domains.append(layers[0]["encoding"]["y"]["scale"]["domain"])
    assert domains[0] == domains[1]


def test_a_world_that_does_not_exist_has_no_measurement(captured: Answer) -> None:
    assert len(waterfall.captions(captured, [])) == 2
    assert len(waterfall.captions(captured, ["gather"])) == 1
    assert len(waterfall.captions(replace(captured, measured=None), [])) == 1
