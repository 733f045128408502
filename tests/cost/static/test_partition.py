"""A prepared graph ends at sites that the host steers, once for each branch that is taken."""

from __future__ import annotations

import numpy as np
import pytest

import condsim
from condsim.cost.static.partition import decided, launches, steering
from condsim.hardware import HardwareProfile
from condsim.lower import lower
from condsim.lowered import Lowered
from condsim.predict.choose import choose_strategies, program_of
from condsim.resources import resource
from condsim.steps.rebatch import rebatch, site_rules
from condsim.trace import Trace

TPU = "google-tpu-v5e"


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "exit-fashion")


def lowered(trace: Trace, strategy: str) -> Lowered:
    """The first steps of the trace under a strategy."""
    strategies = choose_strategies(trace, strategy)
    cut = rebatch(trace, 8)
    steps = cut.steps.take(slice(0, 5))
    return lower(program_of(trace, strategies, cut.regime), site_rules(trace), strategies, steps)


def test_rows_that_come_to_a_loop_are_all_counted(trace: Trace) -> None:
    compacted = lowered(trace, "compacted")
    places = decided(compacted)
    assert [at_loop.site for at_loop in places.values()] == ["exit0", "exit1", "exit2"]
    for at_loop in places.values():
        goes_on = compacted.steps.counts[at_loop.site][:, 1]
        np.testing.assert_array_equal(at_loop.taken[:, 1], goes_on > 0)
        assert at_loop.sizes[1] == set(goes_on[goes_on > 0].tolist())


def test_each_branch_that_the_host_starts_is_a_graph(trace: Trace) -> None:
    compacted = lowered(trace, "compacted")
    profile = condsim.hardware(TPU)
    started = launches(compacted, profile)
    reached = np.sum([at_loop.reached for at_loop in decided(compacted).values()], axis=0)
    np.testing.assert_array_equal(started.read_back, reached)
    assert (started.graphs >= 1 + reached).all()
    assert not started.branches.any()
    assert () in started.prepared
    costs = profile.graphs
    one_graph_s = costs.launch.value
    expected = started.graphs * one_graph_s + (started.graphs - 1) * costs.switch.value
    expected = expected + started.read_back * profile.host.synchronise.value
    np.testing.assert_allclose(started.seconds(profile), expected)


def test_a_strategy_of_one_shape_needs_one_graph(trace: Trace) -> None:
    started = launches(lowered(trace, "masked"), condsim.hardware(TPU))
    assert (started.graphs == 1).all()
    assert started.prepared == {()}
    assert not started.read_back.any()


def test_who_follows_a_decision_follows_from_strategy_and_device(trace: Trace) -> None:
    waits = lowered(trace, "wait").strategy_of("exit0")
    assert steering(waits, condsim.hardware(TPU)) == "device"
    assert steering(waits, without_conditionals(condsim.hardware(TPU))) == "host"
    compacted = lowered(trace, "compacted").strategy_of("exit0")
    assert steering(compacted, condsim.hardware(TPU)) == "host"


def without_conditionals(profile: HardwareProfile) -> HardwareProfile:
    """The device if it had no conditionals of its own."""
    graphs = profile.graphs.model_copy(update={"branch": None})
    return profile.model_copy(update={"graphs": graphs})
