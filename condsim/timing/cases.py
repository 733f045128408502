"""Timing many cases so that a neighbour's noise hits all alike.

Every round visits every case once, in another order: warm up, then a few samples of as many calls as take long enough for the clock; their
median counts. A case is a call without arguments, its time the median over the visits that a yardstick found undisturbed.
"""

from __future__ import annotations

import functools
import gc
import itertools
import os
import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from condsim.timing.yardstick import Call, Yardstick, processors, the_clock, timed

Progress = Callable[[str, float], None]
Visits = list[tuple[float, float]]
"""Of a case: (seconds, slowest reading of the yardstick around)."""
SAMPLE_S, SAMPLES = (
    5e-5,
    6,
)  # short and several, so that most fall between disturbances: a core was seen to change many times a second
HEAVY_S = 1e-3  # above, two do, and no visit again
AGAIN = 3  # visits of a case that none counts of
WARM_S = 4e-5  # an operator that is timed alone needs some calls until its branches are predicted
_POOL_ELEMENTS = 24_000_000


class Pool:
    """Tensors of one dtype cut from one buffer, so that thousands of cases need no memory of their own."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype, self.itemsize = dtype, dtype.itemsize
        self._buffer = torch.randn(_POOL_ELEMENTS, generator=torch.Generator().manual_seed(0)).to(
            dtype
        )
        self._next = 0

    def __call__(self, *shape: int) -> torch.Tensor:
        """A tensor of this shape, at another place than the one before (64-byte aligned)."""
        count = 1
        for s in shape:
            count *= s
        if count > _POOL_ELEMENTS:
            return torch.randn(shape).to(self.dtype)
        if self._next + count > _POOL_ELEMENTS:
            self._next = 0
        cut = self._buffer[self._next : self._next + count].view(shape)
        self._next += -(-count * self.itemsize // 64) * 64 // self.itemsize
        return cut


def sample(call: Call) -> float:
    """Seconds of one call: the median of a few samples, after a warm-up."""
    clock = the_clock()
    call()
    once = timed(call, 1, clock)
    if once < WARM_S:
        for _ in range(25):
            call()
        once = timed(call, 4, clock)
    repeats = max(1, min(100, int(SAMPLE_S / once)))
    found = [timed(call, repeats, clock) for _ in range(SAMPLES if once < HEAVY_S else 2)]
    return statistics.median_low(found + [once] * (repeats == 1))


class Rotation:
    """The same call on several sets of tensors in turn, their results kept until they come round again: what each call reads and writes was last touched
    when the others ran, as in a model, where a call that is repeated alone would find it in the first or second cache."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls, self._kept = itertools.cycle(calls), deque[Any](maxlen=len(calls))
        for _ in calls:
            self()

    def __call__(self) -> None:
        self._kept.append(next(self._calls)())


def itself(call: Call) -> Call:
    """For `measure`, a case whose tensors exist already."""
    return call


_EMPTY: Call = lambda: None  # noqa: E731


def measure(
    cases: Mapping[Any, Callable[[], Call]],
    rounds: int,
    progress: Callable[[float], None] | None = None,
    yardstick: Yardstick | None = None,
    doubtful: set[Any] | None = None,
) -> dict[Any, float]:
    """Seconds of each case.

    cases: key → a function that makes the call (its tensors exist only while it is timed). Every visit is between two readings of the yardstick; visits
    with a slow one do not count, and cases without a good one get up to AGAIN more, as long as the yardstick's patience lasts; who has none then
    is put into doubtful. Returns key → `typical` of the visits; the cost of the empty call is taken off.
    """
    yardstick = yardstick or Yardstick()
    found: dict[Any, Visits] = {key: [] for key in cases}
    empty, turning = (
        sorted(sample(e) for _ in range(9))[4] for e in (_EMPTY, Rotation([_EMPTY] * 8))
    )
    order = list(cases)
    total, done = rounds * max(len(cases), 1), 0
    with quiet():
        for r in range(rounds + AGAIN):
            limit = yardstick.limit_s
            random.Random(r).shuffle(order)
            for key in order:
                if r >= rounds:
                    if found[key][0][0] > HEAVY_S or any(yard <= limit for _, yard in found[key]):
                        continue
                    if yardstick.patience_s <= 0:
                        break
                call = cases[key]()
                before, began = yardstick.begin(), time.monotonic()
                t = sample(call) - (turning if isinstance(call, Rotation) else empty)
                found[key].append((t, max(before, yardstick())))
                done += 1
                if r >= rounds:
                    yardstick.patience_s -= time.monotonic() - began
                if progress is not None and done % 64 == 0:
                    progress(min(done / total, 1.0))
    if doubtful is not None:
        doubtful |= {
            key
            for key, visits in found.items()
            if all(yard > yardstick.limit_s for _, yard in visits)
        }
    return {key: max(typical(visits, yardstick), 2e-8) for key, visits in found.items()}


def typical(visits: Visits, yardstick: Yardstick) -> float:
    """The median of what was timed between fast readings (of two the faster one: nothing makes an operator faster than it is), the least of all where there
    is none."""
    limit = yardstick.limit_s
    good = [t for t, reading in visits if reading <= limit]
    return float(np.quantile(good, 0.5, method="lower")) if good else min(t for t, _ in visits)


def between_neighbours(times: Mapping[Any, float], doubtful: set[Any]) -> dict[Any, float]:
    """The times, doubtful ones no longer than those of the same case at the next smaller and larger last size say (logarithms; a disturbance only adds).

    Of matmuls that is the depth: leaving out every other one is 3 % off in the median.
    """
    lines: dict[Any, list[Any]] = {}
    for key in sorted(times.keys() - doubtful, key=str):
        lines.setdefault(key[:-1], []).append(key)
    found = dict(times)
    for key in doubtful:
        known = {k[-1]: times[k] for k in lines.get(key[:-1], ()) if len(key) > 2}
        if known and min(known) < key[-1] < max(known):
            sizes = sorted(known)
            found[key] = min(
                times[key],
                float(
                    np.exp(
                        np.interp(np.log(key[-1]), np.log(sizes), np.log([known[s] for s in sizes]))
                    )
                ),
            )
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection inside."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@functools.cache
def settle_allocator() -> None:
    """Free a block of nearly 32 MiB, once in a process, so that glibc keeps freed memory of that size for the next operator.

    Before, each large result is mapped anew and every page of it faults: a 5 MB result was seen to cost 9 ms instead of 0.4 ms, depending on what the
    process had freed earlier. A process whose times are to be compared with a calibration must do the same.
    A second such block would come from the heap, which would then have room for results that are mapped anew otherwise (`condsim.cost.cpu.new_memory`).
    """
    block = torch.empty(8_000_000)
    block.fill_(0)
    del block


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many torch threads inside, inference mode, and the allocator settled; afterwards the thread may run where it might before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    allowed = processors()
    settle_allocator()
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
        if allowed:
            os.sched_setaffinity(0, allowed)


def yardsticks(pool: Pool) -> dict[str, Call]:
    """A matmul that stays in the second-level cache, and a read of 64 MB: they say how loaded the machine is."""
    a, b = pool(128, 128), pool(128, 128)
    big = pool(16_000_000)
    return {"matmul_l2": lambda: torch.mm(a, b), "read_64mb": lambda: torch.sum(big)}
