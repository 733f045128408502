"""Measuring in the calling process: a trace in, the same trace with timings out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.measure import in_process, measure_live, protocol
from condsim.measure.gate import Gate
from condsim.measure.replay import Captured


@pytest.fixture(autouse=True)
def no_yardsticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.yardsticks, "read", lambda: {"read_64mb": 1.0})
    monkeypatch.setattr(in_process, "this_machine", lambda *_: None)
    monkeypatch.setattr(Gate, "is_open", lambda _self, _reading: True)


def test_timings_are_added_to_the_trace(leaving: Captured) -> None:
    trace = measure_live(
        leaving.trace,
        leaving.live,
        leaving.inputs,
        strategies="wait",
        module=nn.Linear(8, 4),
        batch=12,
        pairs=2,
        steps=1,
    )
    table = trace.measurements
    assert set(table["strategy"]) == {"wait"}
    assert set(table["baseline"]) == {"same-params", "same-flops", "module"}
    assert set(table["batch"]) == {12}
    assert set(table["where"]) == {"caller"}
    assert bool((table["yardstick_ratio"] >= 1).all())
    assert len(leaving.trace.measurements) == 0


def test_measuring_again_adds_another_process(leaving: Captured) -> None:
    options = {"pairs": 2, "steps": 1}
    once = measure_live(leaving.trace, leaving.live, leaving.inputs, **options)
    twice = measure_live(once, leaving.live, leaving.inputs, strategies="wait", **options)
    strategies = twice.measurements.groupby("process")["strategy"].first()
    assert strategies.to_dict() == {0: "compacted", 1: "wait"}


def test_it_runs_inside_inference_mode(leaving: Captured) -> None:
    with torch.inference_mode():
        trace = measure_live(leaving.trace, leaving.live, leaving.inputs, pairs=1, steps=1)
    assert trace.measurements["runtime"].eq("eager").all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairs": 0}, "pairs must be at least 1, got 0"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"protocol": "strem"}, "unknown protocol 'strem'; did you mean 'stream'"),
        ({"baselines": ("same-flop",)}, "unknown baseline 'same-flop'"),
        ({"baselines": ("module",)}, "needs the dense module"),
        ({"strategies": "waits"}, "unknown strategy 'waits'; did you mean 'wait'"),
        ({"batch": 49}, "batch 49 is more than the 48 units"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
    ],
)
def test_bad_arguments(leaving: Captured, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CondsimError, match=message):
        measure_live(leaving.trace, leaving.live, leaving.inputs, **options)
