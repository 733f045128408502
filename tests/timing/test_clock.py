"""Which clock times a call."""

from __future__ import annotations

import time

import pytest

from condsim.timing import clock
from condsim.timing.clock import CPU, WALL, clock_for, pauses


def test_a_call_that_sleeps_pauses() -> None:
    assert pauses(lambda: time.sleep(0.001)) > 0


def test_calls_that_all_pause_are_timed_by_the_wall_clock() -> None:
    assert clock_for([1, 3, 2]) is WALL


def test_one_call_without_a_pause_shows_that_the_work_does_not_wait() -> None:
    assert clock_for([1, 0, 2]) is CPU


def test_without_a_count_a_call_is_taken_to_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    monkeypatch.setattr(clock, "resource", None)
    assert pauses(lambda: called.append(1)) == 1
    assert called == [1]
