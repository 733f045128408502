"""What is run for a question: its steps, and sides that other questions find again."""

from __future__ import annotations

import pytest
from predict.questions import simulation

import condsim
from condsim.errors import CondsimError
from condsim.predict.simulation import CLOCKED_STEPS
from condsim.resources import resource
from condsim.scenario import Scenario
from condsim.trace import Trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "exit-fashion")


def test_two_clocks_look_at_some_steps_from_the_first_to_the_last(trace: Trace) -> None:
    on_gpu = simulation(trace, "nvidia-h100-sxm", Scenario(batch=8))
    assert on_gpu.selected is not None
    assert len(on_gpu.selected) == CLOCKED_STEPS
    assert (on_gpu.selected[0], on_gpu.selected[-1]) == (0, len(on_gpu.cut) - 1)
    assert simulation(trace, "raspberry-pi-5", Scenario(batch=8)).selected is None


def test_a_step_that_there_is_not_is_named(trace: Trace) -> None:
    asked = simulation(trace, "raspberry-pi-5", Scenario(batch=32, steps=(1, 10**6)))
    with pytest.raises(CondsimError, match="there is no step 1000000"):
        len(asked.blocks)


def test_another_question_finds_a_side_until_it_is_forgotten(trace: Trace) -> None:
    first = simulation(trace, "raspberry-pi-5", Scenario(batch=32))
    second = simulation(trace, "raspberry-pi-5", Scenario(batch=32, baseline="same-flops"))
    assert second.conditional is first.conditional
    assert second.baseline is not first.baseline
    before = first.conditional
    first.forget_sides()
    assert second.conditional is not before
