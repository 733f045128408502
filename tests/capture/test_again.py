"""Observing once more: the same inputs give the same decisions, and room for all drops nothing."""

from __future__ import annotations

import numpy as np
import pytest

import condsim
from condsim.capture.again import observe_again, observe_dropping
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.trace import Trace
from condsim.zoo import load


def shipped(name: str) -> Trace:
    return condsim.load(resource("traces") / name)


def test_the_same_inputs_decide_the_same() -> None:
    trace, example = shipped("exit-fashion"), load("exit-fashion", batches=2)
    assert example.quality is not None
    again = observe_again(trace, example.model, example.inputs, example.quality, "exit-fashion")
    assert again.units == 64
    for site in trace.sites:
        same = again.decisions(site.name).ids == trace.decisions(site.name).ids[:64]
        assert same.mean() > 0.98  # another machine rounds otherwise
    assert again.quality["conditional"].mean() == pytest.approx(
        trace.quality["conditional"][:64].mean(), abs=0.02
    )
    assert condsim.simulate(again, "raspberry-pi-5", batch=32).speedup > 1


def test_less_room_drops_more() -> None:
    trace, example = shipped("moe-bytes"), load("moe-bytes")
    assert example.quality is not None
    mean = {}
    for factor in (4.0, 1.0):
        dropping = observe_dropping(
            trace, example.model, example.inputs[:1], example.quality, factor
        )
        assert dropping.header.provenance.spec == f"moe-bytes:capacity_factor={factor:g}"
        mean[factor] = float(dropping.quality["conditional"].mean())
    whole = np.mean(trace.quality["conditional"][:32])
    assert mean[4.0] == pytest.approx(whole, rel=1e-3)  # an expert never takes over half
    assert mean[1.0] > 1.2 * whole


def test_another_model_is_refused() -> None:
    example = load("exit-fashion", batches=1)
    assert example.quality is not None
    with pytest.raises(CondsimError, match="other sites"):
        observe_again(
            shipped("branch-fashion"), example.model, example.inputs, example.quality, "exit"
        )
    with pytest.raises(CondsimError, match="more than mixtures of experts"):
        observe_dropping(
            shipped("exit-fashion"), example.model, example.inputs, example.quality, 1.0
        )
