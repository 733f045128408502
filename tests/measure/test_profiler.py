"""The profiler sees what Python called, call by call, and what it costs is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from condsim.measure import profiler
from condsim.measure.profiler import mark, measure_profiler_cost, profile_calls
from condsim.timing.cases import Pool, threads
from condsim.timing.yardstick import Call, Yardstick


def test_a_call_is_split_into_what_python_called() -> None:
    x, w = torch.ones(64, 256), torch.ones(256, 256)

    def run() -> None:
        for _ in range(2):
            torch.neg(x)  # outside of the marks
            mark()
            F.linear(x, w).relu().view(-1)
            mark()

    with torch.inference_mode():
        first, second = profile_calls(run)
    assert first.names == second.names == ("linear", "relu", "view")
    assert list(first.events[1:]) == list(second.events[1:])
    assert first.events[0] > first.events[2] == 1  # a composite calls others
    assert bool((first.seconds > 0).all())
    assert second.seconds.argmax() == 0  # 8 MFLOP against 16,384 elements and none


def test_a_tensor_that_is_made_is_one_operator() -> None:
    def run() -> None:
        mark()
        torch.tensor(3.0).neg()
        torch.empty(2).to(torch.float64)
        mark()

    with torch.inference_mode():
        (call,) = profile_calls(run)
    assert [n for n in call.names if n != "detach_"] == ["lift_fresh", "neg", "empty", "to"]


def test_the_profilers_cost_is_fitted_from_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 us for each operator and 1 us for each event are found again."""
    events: dict[Call, int] = {}

    def extra_s(sequence: Sequence[Call], _yardstick: Yardstick) -> float:
        for call in sequence:
            if call not in events:
                events[call] = int(profiler._profile_once(call).sum())
        return 2e-6 * len(sequence) + 1e-6 * sum(events[call] for call in sequence)

    monkeypatch.setattr(profiler, "_extra_s", extra_s)
    with threads(1):
        cost = measure_profiler_cost(Pool(), Yardstick(3))
    assert cost.operator_s == pytest.approx(2e-6)
    assert cost.event_s == pytest.approx(1e-6)
    assert cost.of(np.array([1, 10])) == pytest.approx([3e-6, 12e-6])
