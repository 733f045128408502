"""Which strategies run: what is named, what the trace has, what the device has."""

from __future__ import annotations

import pytest

import condsim
from condsim.errors import CondsimError
from condsim.predict.choose import (
    check_weights,
    choose_strategies,
    probed_strategies,
    strategies_on_kind,
)
from condsim.resources import resource
from condsim.trace import Trace


@pytest.fixture(scope="module")
def moe() -> Trace:
    return condsim.load(resource("traces") / "moe-bytes")


def test_nothing_asked_for_is_what_was_captured(moe: Trace) -> None:
    assert choose_strategies(moe, None) == moe.header.captured


@pytest.mark.parametrize("asked", ["grouped", "moe=grouped", {"moe": "grouped"}])
def test_a_strategy_is_named_in_three_ways(moe: Trace, asked: str | dict[str, str]) -> None:
    assert choose_strategies(moe, asked) == {"moe": "grouped"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("compacted", "'compacted' is not for moe; these are:.*grouped"),
        ("same-params", "is not for moe"),
        ({"skip": "wait"}, "unknown mechanism 'skip'"),
        ({"moe": "wait"}, "'wait' is not for moe"),
        ("moe=", "must be NAME or MECHANISM=NAME"),
        ("moe=grouped,moe=looped", "names moe twice"),
    ],
)
def test_what_does_not_fit_is_refused(moe: Trace, asked: str | dict[str, str], words: str) -> None:
    with pytest.raises(CondsimError, match=words):
        choose_strategies(moe, asked)


def test_a_device_runs_what_it_has(moe: Trace) -> None:
    assert set(strategies_on_kind(moe, "cpu")) <= {*probed_strategies(moe), "batched", "offloaded"}
    static = strategies_on_kind(moe, "npu", static=True)
    assert "looped" not in static


def test_weights_in_fewer_bits_need_kernels() -> None:
    check_weights(condsim.hardware("raspberry-pi-5"), None)
    with pytest.raises(CondsimError, match="has no kernels for weights in int4"):
        check_weights(condsim.hardware("raspberry-pi-5"), "int4")


def test_fused_kernels_have_no_training_steps() -> None:
    trace = condsim.load(resource("traces") / "moe-bytes-train")
    assert "fused" not in strategies_on_kind(trace, "gpu")
    with pytest.raises(CondsimError, match="has no program for strategy 'fused'"):
        condsim.simulate(trace, "nvidia-h100-sxm", "fused")
