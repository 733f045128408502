"""Timing many cases so that a neighbour's noise hits all alike.

Every round visits every case once, in another order: warm up, then a few samples of as many calls as take long enough for the clock; the fastest
counts. A case is a call without arguments, its time the median over the visits that a yardstick found undisturbed.
"""

from __future__ import annotations

import gc
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from condsim.hardware import UNDISTURBED

Call = Callable[[], Any]
Progress = Callable[[str, float], None]
SAMPLE_S = 1.5e-4
HEAVY_S = 1e-3  # above, fewer rounds do
AGAIN_S = 12.0  # a measurement's time for visits again
WARM_S = 4e-5  # an operator that is timed alone needs some calls until its branches are predicted
_POOL_ELEMENTS = 24_000_000


class Pool:
    """Tensors cut from one buffer, so that thousands of cases need no memory of their own."""

    def __init__(self) -> None:
        self._buffer = torch.randn(_POOL_ELEMENTS, generator=torch.Generator().manual_seed(0))
        self._next = 0

    def __call__(self, *shape: int) -> torch.Tensor:
        """A float tensor of this shape, at another place than the one before (64-byte aligned)."""
        count = 1
        for s in shape:
            count *= s
        if count > _POOL_ELEMENTS:
            return torch.randn(shape)
        if self._next + count > _POOL_ELEMENTS:
            self._next = 0
        cut = self._buffer[self._next : self._next + count].view(shape)
        self._next += -(-count // 16) * 16
        return cut


def sample(call: Call) -> float:
    """Seconds of one call: the fastest of up to three samples, after a warm-up.

    With one torch thread it is the thread's CPU time, which leaves out when another process had the core.
    """
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    call()
    start = clock()
    call()
    once = max(clock() - start, 1e-7)
    if once < WARM_S:
        for _ in range(25):
            call()
        start = clock()
        for _ in range(10):
            call()
        once = max((clock() - start) / 10, 1e-7)
    repeats = max(1, min(300, int(SAMPLE_S / once)))
    best = once if repeats == 1 else float("inf")
    for _ in range(3 if once < 1e-3 else 1):
        start = clock()
        for _ in range(repeats):
            call()
        best = min(best, (clock() - start) / repeats)
    return best


class Rotation:
    """The same call on several sets of tensors in turn, their results kept until they come round again: what each call reads and writes was last touched
    when the others ran, as in a model, where a call that is repeated alone would find it in the first or second cache."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls, self._kept = itertools.cycle(calls), deque[Any](maxlen=len(calls))
        for _ in calls:
            self()

    def __call__(self) -> None:
        self._kept.append(next(self._calls)())


_EMPTY: Call = lambda: None  # noqa: E731


class Yardstick:
    """How fast the core is right now: a matmul of 64 x 64, whose matrices fit the second-level cache.

    Virtual processors share cores. While a neighbour's is busy, everything takes up to 1.5 times as long, for milliseconds or minutes, and no clock shows it.
    So timings count only between two fast readings. Readings gate, they never correct.
    """

    RUNS, SAMPLES = 4, 3

    def __init__(self, readings: int = 50) -> None:
        square = torch.ones(64, 64)
        self._call: Call = partial(torch.mm, square, square)
        self._seconds: list[float] = []
        for _ in range(readings):
            self()

    def __call__(self) -> float:
        """Seconds of one matmul: the fastest of a few samples, after some that find its code and matrices again."""
        clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
        for _ in range(self.RUNS):
            self._call()
        best = float("inf")
        for _ in range(self.SAMPLES):
            start = clock()
            for _ in range(self.RUNS):
                self._call()
            best = min(best, (clock() - start) / self.RUNS)
        self._seconds.append(best)
        return best

    @property
    def fast_s(self) -> float:
        """Seconds when nothing disturbs: the 5 % quantile of the readings so far."""
        return float(np.quantile(self._seconds, 0.05))


def measure(
    cases: Mapping[Any, Callable[[], Call]], rounds: int, progress: Callable[[float], None] | None = None, yardstick: Yardstick | None = None
) -> dict[Any, float]:
    """Seconds of each case.

    cases: key → a function that makes the call (its tensors exist only while it is timed). Every visit is between two readings of the yardstick; visits
    with a slow one do not count, and cases without a good one get up to as many rounds again, for AGAIN_S seconds in all. Returns key → `typical` of
    the visits; the cost of the empty call is taken off.
    """
    yardstick = yardstick or Yardstick()
    found: dict[Any, list[tuple[float, float]]] = {key: [] for key in cases}
    empty, turning = (sorted(sample(e) for _ in range(9))[4] for e in (_EMPTY, Rotation([_EMPTY] * 8)))
    order = list(cases)
    total, done = rounds * max(len(cases), 1), 0
    until = float("inf")
    with quiet():
        for r in range(2 * rounds):
            if r == rounds:
                until = time.monotonic() + AGAIN_S
            limit = UNDISTURBED * yardstick.fast_s
            random.Random(r).shuffle(order)
            for key in order:
                good = [t for t, yard in found[key] if yard <= limit]
                heavy = bool(found[key]) and found[key][0][0] > HEAVY_S
                if (heavy and len(good) >= 2) or (r >= rounds and (heavy or good)):
                    continue
                if time.monotonic() > until:
                    break
                call = cases[key]()
                before = yardstick()
                t = sample(call) - (turning if isinstance(call, Rotation) else empty)
                found[key].append((t, max(before, yardstick())))
                done += 1
                if progress is not None and done % 64 == 0:
                    progress(min(done / total, 1.0))
    return {key: max(typical(visits, yardstick), 2e-8) for key, visits in found.items()}


def typical(visits: list[tuple[float, float]], yardstick: Yardstick) -> float:
    """The median of what was timed between fast readings (of two the faster one: nothing makes an operator faster than it is), the least of all where there
    is none. visits: (seconds, slowest reading)."""
    limit = UNDISTURBED * yardstick.fast_s
    good = [t for t, reading in visits if reading <= limit]
    return float(np.quantile(good, 0.5, method="lower")) if good else min(t for t, _ in visits)


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection inside."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def settle_allocator() -> None:
    """Free a block of nearly 32 MiB once, so that glibc keeps freed memory of that size for the next operator.

    Before, each large result is mapped anew and every page of it faults: a 5 MB result was seen to cost 9 ms instead of 0.4 ms, depending on what the
    process had freed earlier. A process whose times are to be compared with a calibration must do the same.
    """
    block = torch.empty(8_000_000)
    block.fill_(0)
    del block


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many torch threads inside, inference mode, and the allocator settled."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    settle_allocator()
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


def yardsticks(pool: Pool) -> dict[str, Call]:
    """A matmul that stays in the second-level cache, and a read of 64 MB: they say how loaded the machine is."""
    a, b = pool(128, 128), pool(128, 128)
    big = pool(16_000_000)
    return {"matmul_l2": lambda: torch.mm(a, b), "read_64mb": lambda: torch.sum(big)}
