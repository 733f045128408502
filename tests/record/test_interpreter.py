"""Bytecode instructions between operators."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn

from condsim.record.events import RecordedOp
from condsim.record.interpreter import Interpreter
from condsim.record.recorder import Recorder


def counted(call: Any, *args: Any) -> int:
    with Interpreter() as python:
        call(*args)
    return python.taken()


def spin(times: int) -> None:
    for _ in range(times):
        pass


def test_a_longer_loop_runs_more_instructions() -> None:
    ten, twenty, thirty = (counted(spin, n) for n in (10, 20, 30))
    assert 0 < ten < twenty
    assert thirty - twenty == twenty - ten


def test_functional_wrappers_belong_to_their_operator() -> None:
    x = torch.ones(2, 3)
    assert counted(nn.functional.layer_norm, x, (3,)) == 0
    assert counted(nn.LayerNorm(3), x) > 50


def test_a_recording_counts_what_the_model_runs_and_not_itself() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)).eval()
    x = torch.ones(1, 4)
    with torch.inference_mode():
        model(x)
        alone = counted(model, x)
        with Recorder(model) as recorder:
            model(x)
    operators = [e for e in recorder.events if isinstance(e, RecordedOp)]
    assert [op.name for op in operators] == ["linear", "relu", "linear"]
    assert (
        0.85 * alone < sum(op.instructions for op in operators) <= alone
    )  # what follows the last operator belongs to none
    assert [op.module for op in operators] == ["0", "1", "2"]
    assert [op.entered for op in operators] == [2, 1, 1]


def test_the_trace_function_of_before_is_put_back() -> None:
    seen: list[str] = []

    def own(_frame: Any, event: str, _arg: Any) -> None:
        seen.append(event)

    before = sys.gettrace()
    sys.settrace(own)
    try:
        with Interpreter():
            spin(3)
        kept = sys.gettrace()
    finally:
        sys.settrace(before)
    assert kept is own
