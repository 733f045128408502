"""Which question a prediction answers: what runs between two runs of a step."""

from __future__ import annotations

from dataclasses import replace

import pytest

import condsim
from condsim.cost.cpu.new_shapes import NEW_SHAPE
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.protocols import LOOP, PROTOCOLS, REPEAT, STREAM, usual, usual_measured
from condsim.resources import resource
from condsim.trace import Trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "moe-bytes")


@pytest.fixture(scope="module")
def profile(trace: Trace) -> HardwareProfile:
    """The one of the trace, on which no kernel is new."""
    assert trace.profile is not None
    extra_s = {k: v for k, v in trace.profile.extra_s.items() if not k.endswith(NEW_SHAPE)}
    return trace.profile.replace(extra_s=extra_s)


def test_one_captured_step_is_a_loop() -> None:
    assert (usual(1), usual(2)) == (LOOP, STREAM)
    assert (usual_measured(1), usual_measured(2)) == (LOOP, REPEAT)


def test_an_unknown_protocol_is_answered_with_the_nearest() -> None:
    with pytest.raises(CondsimError, match="unknown protocol 'lop'; did you mean 'loop'"):
        PROTOCOLS["lop"]


def test_an_answer_says_which_question_it_answers(trace: Trace) -> None:
    one = replace(trace, steps=trace.steps[:1].assign(units=trace.units))
    assert condsim.simulate(trace, batch=8).protocol == "stream"
    assert condsim.simulate(one, batch=8).protocol == "loop"
    assert condsim.simulate(one, batch=8, protocol="repeat").to_dict()["protocol"] == "repeat"


def test_a_stream_of_one_step_is_a_loop(trace: Trace, profile: HardwareProfile) -> None:
    whole = {"batch": trace.units, "baseline": "same-flops"}
    stream = condsim.simulate(trace, profile, protocol="stream", **whole)
    loop = condsim.simulate(trace, profile, protocol="loop", **whole)
    assert len(stream.steps) == 1
    assert loop.latency_s == pytest.approx(stream.latency_s, rel=1e-12)
    assert loop.baseline_s == pytest.approx(stream.baseline_s, rel=1e-12)


def test_nothing_is_evicted_by_the_other_side(trace: Trace, profile: HardwareProfile) -> None:
    """In a loop each step costs at most what it does in pairs, and all together at most what
    they do one after the other: behind a shorter one a step finds more of its code."""
    loop, repeat, stream = (
        condsim.simulate(trace, profile, batch=4, protocol=name).steps
        for name in ("loop", "repeat", "stream")
    )
    for side in ("conditional_s", "baseline_s"):
        assert (loop[side] <= repeat[side] * (1 + 1e-12)).all()
        assert loop[side].sum() <= stream[side].sum() * (1 + 1e-9)
