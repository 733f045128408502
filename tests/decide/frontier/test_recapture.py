"""Capturing again: which settings, and of which models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from condsim.decide.frontier.recapture import Asked, captured_at, usual
from condsim.errors import CondsimError
from condsim.trace import Trace


def test_settings_are_parsed() -> None:
    assert Asked.parse("threshold=0.5,1") == Asked("threshold", [0.5, 1.0])
    for text in ("threshold", "threshold=", "a b=1", "threshold=x", "=1"):
        with pytest.raises(CondsimError, match="NAME=VALUE"):
            Asked.parse(text)


def test_the_zoo_knows_its_settings(exits: Trace) -> None:
    assert [asked.name for asked in usual(exits)] == ["threshold"]
    with pytest.raises(CondsimError, match="--settings NAME=VALUE"):
        usual(without_spec(exits))


@pytest.mark.slow
def test_a_model_is_captured_at_each_setting(exits: Trace) -> None:
    ((name, trace),) = captured_at(exits, Asked("threshold", [0.0]), batches=1)
    assert name == "threshold=0"
    assert trace.header.provenance.spec == "exit-fashion:threshold=0"
    assert trace.unit_counts("exit0")[:, 0].all()
    with pytest.raises(CondsimError, match="no setting 'top_k'"):
        next(iter(captured_at(exits, Asked("top_k", [1]))))


def test_a_model_without_a_spec_cannot_run_again(exits: Trace) -> None:
    with pytest.raises(CondsimError, match="captured in Python"):
        next(iter(captured_at(without_spec(exits), Asked("threshold", [0.5]))))


def without_spec(trace: Trace) -> Trace:
    provenance = trace.header.provenance.model_copy(update={"spec": None})
    return replace(trace, header=trace.header.model_copy(update={"provenance": provenance}))
