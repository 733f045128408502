"""How the two sides of a case are timed in turn, so that caches are what the protocol says.

A yardstick says whether anything disturbed a timing, but reading it takes some milliseconds, in
which whoever shares the caches evicts what the sides had there. So both sides run for a while after
a reading before any call counts (`SETTLE_S`), and several calls count before the next one
(`STRETCH_S`). What lies between two readings is a stretch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from condsim.measure.gate import Gate
from condsim.measure.replay import Step
from condsim.measure.sides import Side
from condsim.protocols import Protocol
from condsim.timing.clock import Clock

ATTEMPTS = 2
"""At a stretch that counts."""
SETTLE_S = 0.02
"""For so long the sides of a stretch run before any call counts, at least once. A megabyte of
weights was seen to be kept by a shared cache only when it had come back five times."""
STRETCH_S = 0.04
"""For so long the pairs of a stretch are timed."""
LEAST_PAIRS, MOST_BEFORE = 2, 32
"""Pairs of a stretch, where as many are wanted; steps of a stream that run before it."""
LEAST_CALLS, MOST_CALLS = 5, 500
"""Calls of a loop that count."""
WARM_CALLS = 3
"""Calls of a loop that do not, at least."""


@dataclass(frozen=True)
class Pair:
    """One timed pair. yardstick_s: the slowest of the readings before and after its stretch.

    calls: of each side, of which the median counts, at least.
    """

    step: Step
    conditional_s: float
    baseline_s: float
    yardstick_s: float
    calls: int = 1


@dataclass(frozen=True)
class Times:
    """Seconds of both sides in a step. calls: as in `Pair`."""

    step: Step
    of_sides: tuple[float, float]
    calls: int = 1


@dataclass
class Watch:
    """What times calls, and says when. patience_s: how long it waits, in all, for a quiet machine.

    order: which side comes first.
    """

    clock: Clock
    gate: Gate
    order: np.random.Generator
    patience_s: float

    def wait(self) -> float:
        """Wait for a quiet machine. Returns the yardstick's last reading."""
        reading_s, waited_s = self.gate.wait(self.patience_s)
        self.patience_s -= waited_s
        return reading_s


class Timer(ABC):
    """Times the pairs of one case, a stretch after the other."""

    def __init__(self, sides: tuple[Side, Side], watch: Watch) -> None:
        self.sides = sides
        self.watch = watch

    @abstractmethod
    def pairs(self, steps: Sequence[Step], wanted: int) -> Iterator[Pair]:
        """Yield pairs, at least so many of all steps together.

        Those of a disturbed stretch come once more.
        """

    @abstractmethod
    def _stretch(self, steps: Sequence[Step], first: int, most: int) -> list[Times]:
        """Time a stretch. first: the number of its first step; most: how many pairs are wanted."""

    def _pairs_of_stretch(self, steps: Sequence[Step], first: int, most: int) -> list[list[Pair]]:
        """The pairs of each attempt at a stretch, the last one that counts."""
        attempts = []
        for _ in range(ATTEMPTS):
            before_s = self.watch.wait()
            times = self._stretch(steps, first, most)
            reading_s = max(before_s, self.watch.gate.yardstick.after())
            attempts.append([Pair(t.step, *t.of_sides, reading_s, t.calls) for t in times])
            if self.watch.gate.is_open(reading_s):
                break
        return attempts

    def _in_order(self) -> list[int]:
        """The numbers of the sides, in the order in which they run."""
        numbers: list[int] = self.watch.order.permutation(2).tolist()
        return numbers

    def _run(self, number: int, step: Step) -> float:
        """Seconds of a call of a side."""
        return self.sides[number].run(step, self.watch.clock)


class RepeatTimer(Timer):
    """The same step of both sides in turn: each finds what its partner left."""

    def pairs(self, steps: Sequence[Step], wanted: int) -> Iterator[Pair]:
        of_each = math.ceil(wanted / len(steps))
        for number, step in enumerate(steps):
            for side in self.sides:
                side.share_cache(step)
                side.warm_up(step)
            done = 0
            while done < of_each:
                *disturbed, last = self._pairs_of_stretch(steps, number, of_each - done)
                for attempt in (*disturbed, last):
                    yield from attempt
                done += len(last)

    def _stretch(self, steps: Sequence[Step], first: int, most: int) -> list[Times]:
        step, order = steps[first], self._in_order()
        settled_s = last_s = 0.0
        while settled_s < SETTLE_S:
            last_s = sum(self._run(number, step) for number in order)
            settled_s += last_s
        found = []
        for _ in range(min(most, pairs_of_stretch(last_s))):
            seconds = {number: self._run(number, step) for number in order}
            found.append(Times(step, (seconds[0], seconds[1])))
        return found


class StreamTimer(Timer):
    """Successive steps of one side, then the same steps of the other.

    The steps before them run first, untimed: each timed step finds in the caches, and among the
    kernels written for sizes seen so far, what a stream of its own would leave.
    """

    _pair_s: float | None = None
    """What a pair took last."""

    def pairs(self, steps: Sequence[Step], wanted: int) -> Iterator[Pair]:
        done = 0
        while done < wanted:
            *disturbed, last = self._pairs_of_stretch(steps, done % len(steps), wanted - done)
            for attempt in (*disturbed, last):
                yield from attempt
            done += len(last)

    def _stretch(self, steps: Sequence[Step], first: int, most: int) -> list[Times]:
        before, count = self._lengths(most)
        timed = [steps[(first + place) % len(steps)] for place in range(count)]
        seconds: dict[int, list[float]] = {}
        for number in self._in_order():
            for place in range(first - before, first):
                self._run(number, steps[place % len(steps)])
            seconds[number] = [self._run(number, step) for step in timed]
        self._pair_s = float(np.median(seconds[0]) + np.median(seconds[1]))
        of_sides = zip(seconds[0], seconds[1], strict=True)
        return [Times(step, both) for step, both in zip(timed, of_sides, strict=True)]

    def _lengths(self, most: int) -> tuple[int, int]:
        """(steps before a stretch, its pairs).

        Before the first one there is one step, so that the first use of a size is timed.
        """
        if self._pair_s is None:
            return 1, min(most, LEAST_PAIRS)
        before = math.ceil(2 * SETTLE_S / self._pair_s)
        return min(before, MOST_BEFORE), min(most, pairs_of_stretch(self._pair_s))


class LoopTimer(Timer):
    """Each side runs its step over and over, one side after the other."""

    def pairs(self, steps: Sequence[Step], wanted: int) -> Iterator[Pair]:
        of_each = math.ceil(wanted / len(steps))
        for number, step in enumerate(steps):
            for side in self.sides:
                side.share_cache(step)
                side.warm_up(step)
            for _ in range(of_each):
                for attempt in self._pairs_of_stretch(steps, number, 1):
                    yield from attempt

    def _stretch(self, steps: Sequence[Step], first: int, most: int) -> list[Times]:
        step = steps[first]
        seconds, calls = [0.0, 0.0], MOST_CALLS
        for number in self._in_order():
            of_calls = self._loop(number, step)
            seconds[number] = float(np.median(of_calls))
            calls = min(calls, len(of_calls))
        return [Times(step, (seconds[0], seconds[1]), calls)]

    def _loop(self, number: int, step: Step) -> list[float]:
        """Seconds of calls that follow each other at once, without the first ones."""
        warmed_s = last_s = 0.0
        warmed = 0
        while warmed < WARM_CALLS or warmed_s < SETTLE_S:
            last_s = self._run(number, step)
            warmed_s += last_s
            warmed += 1
        wanted = int(STRETCH_S / last_s)
        calls = min(max(wanted, LEAST_CALLS), MOST_CALLS)
        return [self._run(number, step) for _ in range(calls)]


def timer_of(protocol: Protocol) -> type[Timer]:
    """Return what times the pairs of a protocol."""
    if protocol.loops:
        return LoopTimer
    return StreamTimer if protocol.steps_follow else RepeatTimer


def pairs_of_stretch(pair_s: float) -> int:
    """Return how many pairs a stretch has. pair_s: what a pair takes."""
    return max(math.ceil(STRETCH_S / pair_s), LEAST_PAIRS)
