"""What a simulation answers."""

from __future__ import annotations

from dataclasses import fields

import pytest
from predict.questions import simulation

import condsim
from condsim.predict.answer import Answer, question_fields, shares
from condsim.predict.prediction import Prediction
from condsim.resources import resource
from condsim.scenario import Scenario


def test_shares_are_of_the_sum() -> None:
    assert shares({"calibrated": 3.0, "sourced": 1.0}) == {"calibrated": 0.75, "sourced": 0.25}


def test_what_was_asked_is_in_the_answer() -> None:
    trace = condsim.load(resource("traces") / "skip-fashion")
    asked = simulation(trace, "raspberry-pi-5", Scenario(batch=4, baseline="same-flops"))
    said = question_fields(asked)
    assert set(said) < {field.name for field in fields(Prediction)}
    prediction = Answer(asked).prediction()
    assert {name: getattr(prediction, name) for name in said} == said
    assert (prediction.batch, prediction.baseline) == (4, "same-flops")


def test_without_imbalance_the_same_work_is_done() -> None:
    trace = condsim.load(resource("traces") / "moe-bytes")
    answer = Answer(simulation(trace, "raspberry-pi-5", Scenario(batch=1, steps=(0, 1))))
    sums, balanced = answer.both_sides.conditional.sums, answer.balanced()
    assert balanced.flops == pytest.approx(sums.flops)
    assert balanced.parts["matmul"] != sums.parts["matmul"]


def test_where_no_strategy_feels_imbalance_there_is_none() -> None:
    trace = condsim.load(resource("traces") / "skip-fashion")
    answer = Answer(simulation(trace, "raspberry-pi-5", Scenario(batch=4)))
    assert answer.balanced() is answer.both_sides.conditional.sums
