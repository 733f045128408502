"""Both sides of a question are walked through all of its steps."""

from __future__ import annotations

import pytest
from predict.questions import simulation

import condsim
from condsim.predict.both_sides import Walk
from condsim.resources import resource
from condsim.scenario import Scenario
from condsim.trace import Trace

DEVICE = "raspberry-pi-5"


@pytest.fixture
def trace() -> Trace:
    return condsim.load(resource("traces") / "exit-fashion")


def test_sides_are_priced_once_for_all_questions(trace: Trace) -> None:
    first = Walk(simulation(trace, DEVICE, Scenario(batch=32)))
    assert len(first.shared_sides) == 2
    both = first.both_sides
    again = Walk(simulation(trace, DEVICE, Scenario(batch=32)))
    assert again.shared_sides == []
    assert again.both_sides.conditional is both.conditional
    assert again.both_sides.logical == both.logical


def test_every_step_is_timed_and_decisions_ask_for_less_than_all(trace: Trace) -> None:
    asked = simulation(trace, DEVICE, Scenario(batch=32))
    both = Walk(asked).both_sides
    assert len(both.conditional.seconds) == len(both.baseline.seconds) == len(asked.cut)
    assert 0 < both.logical < both.baseline.sums.flops


def test_a_side_that_runs_in_turn_with_another_is_not_timed_alone(trace: Trace) -> None:
    in_turn = Walk(simulation(trace, DEVICE, Scenario(batch=32, protocol="repeat")))
    one_after_another = Walk(simulation(trace, DEVICE, Scenario(batch=32, protocol="stream")))
    assert in_turn.both_sides.logical == one_after_another.both_sides.logical
    assert in_turn.both_sides.conditional is not one_after_another.both_sides.conditional
