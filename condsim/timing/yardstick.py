"""How fast the core is right now, and the clock of a calibration."""

from __future__ import annotations

import functools
import os
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from condsim.hardware import UNDISTURBED
from condsim.timing.clock import Clock

T = TypeVar("T")

Call = Callable[[], Any]
STAY_S = 2e-3
"""How long a waiting thread stays on a processor that is disturbed."""
REVIVED_S = 4e-3
"""How long a core must compute until it is as fast as ever."""


def the_clock() -> Clock:
    """The clock of a calibration.

    With one torch thread it is the thread's CPU time, which stands still while another process has
    the core; with several it is the wall clock.
    """
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter


def timed(call: Call, repeats: int, clock: Clock) -> float:
    """Seconds of one call out of `repeats` in a row, without what reading the clock costs."""
    start = clock()
    for _ in range(repeats):
        call()
    return max((clock() - start - _reading_s(clock)) / repeats, 1e-9)


@functools.cache
def _reading_s(clock: Clock) -> float:
    """Seconds between two readings of a clock that follow each other at once."""
    return min(-clock() + clock() for _ in range(1000))


def processors() -> list[int]:
    """The processors that this thread may run on and be moved between.

    Empty if several torch threads work, or if the system cannot move a thread.
    """
    if torch.get_num_threads() > 1 or not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))


class Yardstick:
    """How fast the core is right now: it times a matmul of 64 x 64, which fits the second cache.

    Virtual processors share cores. While a neighbour's is busy, everything takes up to 1.8 times as
    long, for a fraction of a millisecond or for minutes, and no clock shows it. So timings begin
    after a fast reading, as long as patience_s lasts, and count only between two fast readings.
    Readings decide which timings count; they never correct one.

    readings: how many are taken at once, to learn what a fast one is.
    patience_s: seconds that may be spent on waiting for fast readings, all waits together.
    """

    RUNS, SAMPLES = 4, 3

    def __init__(self, readings: int = 50, patience_s: float = 0.0) -> None:
        square = torch.ones(64, 64)
        self._call: Call = partial(torch.mm, square, square)
        self._readings: list[float] = []
        self._fast_s = float("inf")
        self._readings_of_fast_s = 0  # how many _fast_s was computed from
        self.patience_s = patience_s
        self._processors = deque(processors())
        for _ in range(readings):
            self()

    def __call__(self) -> float:
        """Seconds of one matmul: the fastest of a few samples after a warm-up.

        The warm-up brings the matmul's code and matrices back into the caches.
        """
        reading = self._read()
        self._readings.append(reading)
        return reading

    def _read(self) -> float:
        clock = the_clock()
        for _ in range(self.RUNS):
            self._call()
        samples = [timed(self._call, self.RUNS, clock) for _ in range(self.SAMPLES)]
        return min(samples)

    @property
    def fast_s(self) -> float:
        """Seconds of the matmul when nothing disturbs it: the 5 % quantile of the readings so far.

        It is computed anew whenever there are a tenth more readings.
        """
        if len(self._readings) > 1.1 * self._readings_of_fast_s:
            self._fast_s = float(np.quantile(self._readings, 0.05))
            self._readings_of_fast_s = len(self._readings)
        return self._fast_s

    @property
    def limit_s(self) -> float:
        """The slowest reading that still says that nothing disturbs."""
        return UNDISTURBED * self.fast_s

    def begin(self) -> float:
        """The reading before a timing. While patience lasts, a slow one is waited out."""
        reading = self()
        if reading > self.limit_s:
            reading, waited_s = self.wait(self.limit_s, self.patience_s)
            self.patience_s -= waited_s
        return reading

    def around(self, run: Callable[[], T]) -> tuple[T, float]:
        """(what `run` returns, the slower one of the readings before and after it)."""
        before = self.begin()
        result = run()
        return result, max(before, self())

    def wait(self, limit_s: float, patience_s: float) -> tuple[float, float]:
        """Wait for a reading within a limit, at most patience_s.

        Returns (the last reading, seconds waited). Readings while waiting do not count for
        `fast_s`.

        It waits busily: a processor that slept takes some 10 ms to be as fast as before. And it
        moves from one processor to the next, since each has neighbours of its own, to stay where it
        finds quiet; `let_go` and the end of `threads` let the thread run anywhere again.
        """
        began = moved = now = time.monotonic()
        reading = self._read()
        while reading > limit_s and now - began < patience_s:
            if now - moved > STAY_S and self._processors:
                self._processors.rotate()
                os.sched_setaffinity(0, {self._processors[0]})
                moved = now
            reading = self._read()
            now = time.monotonic()
        return reading, now - began

    def after(self) -> float:
        """A reading after something long, taken once the core is fast again.

        Arithmetic is slow for two to three milliseconds after a stretch with little of it, which is
        no disturbance.
        """
        until = time.perf_counter() + REVIVED_S
        while time.perf_counter() < until:
            self._call()
        return self()

    def let_go(self) -> None:
        """Let this thread run again on every processor that it might use before any wait."""
        if self._processors:
            os.sched_setaffinity(0, self._processors)
