"""The yardstick: what its readings say, and how it waits for fast ones."""

from __future__ import annotations

import os
import time

import pytest
import torch

from condsim.timing.cases import threads
from condsim.timing.yardstick import Yardstick, processors, the_clock, timed


def test_one_thread_is_timed_by_its_own_clock_and_several_by_the_wall_clock() -> None:
    with threads(1):
        assert the_clock() is time.thread_time
    with threads(2):
        assert the_clock() is time.perf_counter
        assert processors() == []


def test_a_time_is_of_one_call_and_never_zero() -> None:
    called: list[int] = []
    assert timed(lambda: called.append(1), 3, the_clock()) >= 1e-9
    assert called == [1, 1, 1]


def test_a_fast_reading_is_within_the_limit() -> None:
    yardstick = Yardstick(readings=20)
    assert 0 < yardstick.fast_s < yardstick.limit_s


def test_a_run_is_between_two_readings() -> None:
    yardstick = Yardstick(readings=5)
    result, reading = yardstick.around(lambda: "done")
    assert result == "done"
    assert reading == max(yardstick._readings[-2:])


def test_patience_is_used_up_by_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    yardstick = Yardstick(patience_s=0.01)
    monkeypatch.setattr(Yardstick, "fast_s", 1e-12)  # no reading is ever as fast
    yardstick.begin()
    assert yardstick.patience_s < 0.001
    before = len(yardstick._readings)
    yardstick.begin()
    assert len(yardstick._readings) == before + 1


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="this system does not say where a thread may run"
)
def test_waiting_moves_between_processors_and_lets_the_thread_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allowed = os.sched_getaffinity(0)
    seen: set[frozenset[int]] = set()

    def slow_reading() -> float:
        seen.add(frozenset(os.sched_getaffinity(0)))
        return 1.0

    with threads(1):
        yardstick = Yardstick()
        monkeypatch.setattr(yardstick, "_read", slow_reading)
        reading, waited_s = yardstick.wait(limit_s=0.5, patience_s=0.02 * len(allowed))
        assert reading == 1.0
        assert waited_s >= 0.02 * len(allowed)
        assert seen >= {frozenset({processor}) for processor in allowed}
        yardstick.let_go()
        assert os.sched_getaffinity(0) == allowed
        yardstick.wait(limit_s=0.5, patience_s=0.01)
    assert os.sched_getaffinity(0) == allowed


def test_a_reading_after_something_long_counts_like_any_other() -> None:
    yardstick = Yardstick(readings=5)
    with torch.inference_mode():
        assert yardstick.after() == yardstick._readings[-1]
