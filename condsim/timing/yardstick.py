"""How fast the core is right now, and what a calibration times by."""

from __future__ import annotations

import functools
import os
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from condsim.hardware import UNDISTURBED

Call = Callable[[], Any]
STAY_S = 2e-3  # on a processor that is disturbed
REVIVED_S = 4e-3  # of arithmetic, until it is as fast as ever


def the_clock() -> Callable[[], float]:
    """Of a calibration: with one torch thread the thread's CPU time, which leaves out when another process had the core."""
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter


def timed(call: Call, repeats: int, clock: Callable[[], float]) -> float:
    """Seconds of one of so many calls in a row, the clock's own taken off."""
    start = clock()
    for _ in range(repeats):
        call()
    return max((clock() - start - _own_s(clock)) / repeats, 1e-9)


@functools.cache
def _own_s(clock: Callable[[], float]) -> float:
    """Seconds between two readings of a clock."""
    return min(-clock() + clock() for _ in range(1000))


def processors() -> list[int]:
    """Where this thread may run and be moved to: nowhere if several torch threads work, or the system cannot."""
    one = torch.get_num_threads() == 1 and hasattr(os, "sched_getaffinity")
    return sorted(os.sched_getaffinity(0)) if one else []


class Yardstick:
    """How fast the core is right now: a matmul of 64 x 64, whose matrices fit the second-level cache.

    Virtual processors share cores. While a neighbour's is busy, everything takes up to 1.8 times as long, for a fraction of a millisecond or for minutes, and
    no clock shows it. So timings begin after a fast reading, as long as patience_s lasts, and count only between two. Readings gate, they never correct.
    """

    RUNS, SAMPLES = 4, 3

    def __init__(self, readings: int = 50, patience_s: float = 0.0) -> None:
        square = torch.ones(64, 64)
        self._call: Call = partial(torch.mm, square, square)
        self._seconds: list[float] = []
        self._fast, self._of = float("inf"), 0
        self.patience_s = patience_s
        self._processors = deque(processors())
        for _ in range(readings):
            self()

    def __call__(self) -> float:
        """Seconds of one matmul: the fastest of a few samples, after some that find its code and matrices again."""
        self._seconds.append(self._read())
        return self._seconds[-1]

    def _read(self) -> float:
        clock = the_clock()
        for _ in range(self.RUNS):
            self._call()
        return min(timed(self._call, self.RUNS, clock) for _ in range(self.SAMPLES))

    @property
    def fast_s(self) -> float:
        """Seconds when nothing disturbs: the 5 % quantile of the readings so far, taken anew when there are a tenth more."""
        if len(self._seconds) > 1.1 * self._of:
            self._fast, self._of = float(np.quantile(self._seconds, 0.05)), len(self._seconds)
        return self._fast

    @property
    def limit_s(self) -> float:
        """The slowest reading that says that nothing disturbs."""
        return UNDISTURBED * self.fast_s

    def begin(self) -> float:
        """A reading to begin with: after waiting for a fast one, if there is patience left."""
        reading = self()
        if reading > self.limit_s:
            reading, waited = self.wait(self.limit_s, self.patience_s)
            self.patience_s -= waited
        return reading

    def wait(self, limit_s: float, patience_s: float) -> tuple[float, float]:
        """(the reading after waiting for one within a limit, seconds that it took), at most so long. What it reads meanwhile does not count for `fast_s`.

        It waits busily: a processor that slept takes some 10 ms to be as fast as before. And it moves from one to the next, since each has neighbours of its
        own, to stay where it finds quiet; `let_go` and the end of `threads` let the thread run anywhere again.
        """
        began = moved = now = time.monotonic()
        reading = self._read()
        while reading > limit_s and now - began < patience_s:
            if now - moved > STAY_S and self._processors:
                self._processors.rotate()
                os.sched_setaffinity(0, {self._processors[0]})
                moved = now
            reading, now = self._read(), time.monotonic()
        return reading, now - began

    def after(self) -> float:
        """A reading after something long: arithmetic is slow for two to three milliseconds after a stretch with little of it, which is no disturbance."""
        until = time.perf_counter() + REVIVED_S
        while time.perf_counter() < until:
            self._call()
        return self()

    def let_go(self) -> None:
        """This thread may run where it might before any wait."""
        if self._processors:
            os.sched_setaffinity(0, self._processors)
