"""What runs before a timed call, in which order, and which pairs are kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from condsim.measure.timers import (
    LEAST_CALLS,
    LEAST_PAIRS,
    SETTLE_S,
    STRETCH_S,
    Pair,
    Timer,
    Watch,
    timer_of,
)
from condsim.protocols import PROTOCOLS

STEPS: Any = [SimpleNamespace(index=index) for index in range(4)]


class Case:
    """Two sides whose calls take so long, and a yardstick that says these readings after a stretch,
    then 1.0; over 2.0 is disturbed."""

    def __init__(
        self, protocol: str, seconds: float, readings: Sequence[float] = (), seed: int = 0
    ) -> None:
        self.calls: list[str] = []
        self._seconds = seconds
        self._readings = iter(readings)
        self.patience: list[float] = []
        sides: Any = tuple(self._side(name) for name in "ab")
        gate: Any = SimpleNamespace(
            wait=self._wait,
            is_open=lambda reading: reading <= 2.0,
            yardstick=SimpleNamespace(after=self._after),
        )
        clock: Any = None
        self.watch = Watch(clock, gate, np.random.default_rng(seed), patience_s=4.0)
        self.timer: Timer = timer_of(PROTOCOLS[protocol])(sides, self.watch)

    def pairs(self, steps: Sequence[Any], wanted: int) -> list[Pair]:
        return list(self.timer.pairs(steps, wanted))

    def _side(self, name: str) -> Any:
        def run(step: Any, _clock: Any) -> float:
            self.calls.append(f"{name}{step.index}")
            return self._seconds

        def warm_up(step: Any) -> None:
            self.calls.append(f"warm {name}{step.index}")

        return SimpleNamespace(run=run, warm_up=warm_up, share_cache=lambda _: None)

    def _wait(self, patience_s: float) -> tuple[float, float]:
        self.patience.append(patience_s)
        return 1.0, 3.0

    def _after(self) -> float:
        self.calls.append("|")
        return next(self._readings, 1.0)


def stretches(case: Case) -> list[list[str]]:
    """The calls of each stretch, those that warm up left out."""
    found: list[list[str]] = [[]]
    for call in case.calls:
        if call == "|":
            found.append([])
        elif not call.startswith("warm"):
            found[-1].append(call)
    return found[:-1]


def test_in_repeat_every_timed_call_follows_the_other_side() -> None:
    case = Case("repeat", seconds=1.0)
    pairs = case.pairs(STEPS[:1], 4)
    assert [(pair.step.index, pair.calls) for pair in pairs] == [(0, 1)] * 4
    assert case.calls[:2] == ["warm a0", "warm b0"]
    for calls in stretches(case):
        settled, timed = calls[:2], calls[2:]
        assert len(timed) == 2 * LEAST_PAIRS
        assert all(one != other for one, other in itertools.pairwise(calls))
        assert sorted(settled) == ["a0", "b0"]


def test_short_steps_run_long_before_one_counts() -> None:
    case = Case("repeat", seconds=SETTLE_S / 20)
    assert len(case.pairs(STEPS[:1], 30)) == 30
    first, second = stretches(case)
    pairs_in_one = STRETCH_S / (2 * SETTLE_S / 20)
    assert len(first) == 20 + 2 * pairs_in_one
    assert len(second) == 20 + 2 * (30 - pairs_in_one)


def test_each_step_has_as_many_pairs() -> None:
    case = Case("repeat", seconds=1.0)
    pairs = case.pairs(STEPS[:3], 10)
    assert [pair.step.index for pair in pairs] == [0] * 4 + [1] * 4 + [2] * 4


def test_the_side_that_comes_first_is_random_and_seeded() -> None:
    def first_sides(seed: int) -> list[str]:
        case = Case("repeat", seconds=1.0, seed=seed)
        case.pairs(STEPS[:1], 40)
        return [calls[2] for calls in stretches(case)]

    assert set(first_sides(1)) == {"a0", "b0"}
    assert first_sides(1) == first_sides(1) != first_sides(2)


def test_a_stream_goes_on_from_step_to_step() -> None:
    """Before the steps that are timed those before them run, of the same side."""
    case = Case("stream", seconds=SETTLE_S / 2)
    pairs = case.pairs(STEPS, 7)
    assert [pair.step.index for pair in pairs] == [0, 1, 2, 3, 0, 1, 2]
    of_a = [[call for call in calls if call[0] == "a"] for calls in stretches(case)]
    first, second, third, last = of_a
    assert first == ["a3", "a0", "a1"]
    assert second == ["a0", "a1", "a2", "a3"]
    assert third == ["a2", "a3", "a0", "a1"]
    assert last == ["a0", "a1", "a2"]
    for calls in stretches(case):
        sides = [call[0] for call in calls]
        assert sides in (sorted(sides), sorted(sides, reverse=True))


def test_in_a_loop_each_side_runs_its_step_over_and_over() -> None:
    case = Case("loop", seconds=1.0)
    pairs = case.pairs(STEPS[:2], 4)
    assert [pair.step.index for pair in pairs] == [0, 0, 1, 1]
    assert {pair.calls for pair in pairs} == {LEAST_CALLS}
    for calls in stretches(case):
        half = len(calls) // 2
        assert len(set(calls[:half])) == len(set(calls[half:])) == 1
        assert half > LEAST_CALLS


@pytest.mark.parametrize("protocol", ["repeat", "stream", "loop"])
def test_a_disturbed_stretch_is_run_again_and_kept(protocol: str) -> None:
    case = Case(protocol, seconds=1.0, readings=[1.0, 9.0, 1.0, 9.0, 9.0])
    wanted = 3 if protocol == "loop" else 3 * LEAST_PAIRS
    pairs = case.pairs(STEPS[:1], wanted)
    readings = [pair.yardstick_s for pair in pairs]
    of_stretch = wanted // 3
    assert readings[::of_stretch] == [1.0, 9.0, 1.0, 9.0, 9.0]
    assert len(readings) == 5 * of_stretch


def test_what_was_waited_is_taken_off_the_patience() -> None:
    case = Case("repeat", seconds=1.0)
    case.pairs(STEPS[:2], 2)
    assert case.patience == [4.0, 1.0]


def test_both_sides_have_their_own_seconds() -> None:
    case = Case("repeat", seconds=1.0)
    slower: Callable[..., float] = lambda _step, _clock: 3.0  # noqa: E731
    case.timer.sides[1].run = slower  # type: ignore[method-assign]
    (pair, *_) = case.pairs(STEPS[:1], 1)
    assert (pair.conditional_s, pair.baseline_s) == (1.0, 3.0)
