"""Timing many cases so that a neighbour's noise hits all alike.

Every round visits every case once, in another order: a warm-up, then a few samples, each of as many
calls as take long enough for the clock; the median of the samples counts. A case is a call without
arguments. Its time is the median over the visits that a yardstick found undisturbed.
"""

from __future__ import annotations

import functools
import gc
import itertools
import math
import os
import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch

from condsim.cost.cpu.heap import MAPPED_BYTES
from condsim.timing.yardstick import Call, Yardstick, processors, the_clock, timed

K = TypeVar("K")

Progress = Callable[[str, float], None]
"""Called with (what is done now, share of it done)."""
Visits = list[tuple[float, float]]
"""The visits of one case: (seconds, slowest reading of the yardstick before and after)."""

SAMPLE_S, SAMPLES = 5e-5, 6
"""Seconds of a sample, and how many: short and several, so that most fall between disturbances.

A core was seen to change its speed many times a second."""
HEAVY_S, HEAVY_SAMPLES = 1e-3, 2
"""A call that is longer than HEAVY_S has HEAVY_SAMPLES samples, and is never visited again."""
AGAIN = 3
"""Most extra visits of a case whose visits were all disturbed."""
WARM_S, WARM_CALLS = 4e-5, 25
"""A shorter call, timed alone, needs some more calls until its branches are predicted."""
LEAST_S = 2e-8
"""No case is said to take less than this."""
PROGRESS_EVERY = 64
"""Visits between two reports of progress."""
POOL_ELEMENTS = 24_000_000
ALIGNMENT_BYTES = 64


def no_progress(_what: str, _share: float) -> None:
    """Tell nobody how far it is."""


class Pool:
    """Tensors of one dtype cut from one buffer, so that thousands of cases share its memory."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.itemsize = dtype.itemsize
        generator = torch.Generator().manual_seed(0)
        self._buffer = torch.randn(POOL_ELEMENTS, generator=generator).to(dtype)
        self._next = 0

    def __call__(self, *shape: int) -> torch.Tensor:
        """A tensor of this shape, at another place than the one before (64-byte aligned)."""
        count = math.prod(shape)
        if count > POOL_ELEMENTS:
            return torch.randn(shape).to(self.dtype)
        if self._next + count > POOL_ELEMENTS:
            self._next = 0
        cut = self._buffer[self._next : self._next + count].view(shape)
        lines = -(-count * self.itemsize // ALIGNMENT_BYTES)
        self._next += lines * ALIGNMENT_BYTES // self.itemsize
        return cut


def sample(call: Call) -> float:
    """Seconds of one call: the median of a few samples, after a warm-up."""
    clock = the_clock()
    call()
    once = timed(call, 1, clock)
    if once < WARM_S:
        for _ in range(WARM_CALLS):
            call()
        once = timed(call, 4, clock)
    repeats = max(1, min(100, int(SAMPLE_S / once)))
    samples = SAMPLES if once < HEAVY_S else HEAVY_SAMPLES
    seconds = [timed(call, repeats, clock) for _ in range(samples)]
    if repeats == 1:
        seconds.append(once)
    return statistics.median_low(seconds)


class Rotation:
    """The same call on several sets of tensors in turn.

    What each call reads and writes was last touched before the others ran, as in a model. A call
    that is repeated alone would find it in the first or second cache. Results are kept until their
    set comes round again.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = itertools.cycle(calls)
        self._results: deque[Any] = deque(maxlen=len(calls))
        for _ in calls:
            self()

    def __call__(self) -> None:
        call = next(self._calls)
        self._results.append(call())


def existing(calls: Mapping[K, Call]) -> dict[K, Callable[[], Call]]:
    """Cases for `measure` out of calls whose tensors exist already."""
    entries: dict[K, Callable[[], Call]] = {}
    for key, call in calls.items():
        entries[key] = functools.partial(_itself, call)
    return entries


def _itself(call: Call) -> Call:
    return call


def _nothing() -> None:
    pass


def _overhead_s(call: Call) -> float:
    """Seconds that calling takes when the call does nothing: the median of a few samples."""
    return sorted(sample(call) for _ in range(9))[4]


def measure(
    cases: Mapping[Any, Callable[[], Call]],
    rounds: int,
    progress: Callable[[float], None] | None = None,
    yardstick: Yardstick | None = None,
    doubtful: set[Any] | None = None,
) -> dict[Any, float]:
    """Seconds of each case, without what an empty call costs.

    cases: key → a function that makes the call (its tensors exist only while it is timed).
    rounds: visits of every case. Every visit is between two readings of the yardstick. Visits with
        a slow one do not count, and a case of which none counts gets up to AGAIN more, as long as
        the yardstick's patience lasts.
    progress: called with the share done.
    doubtful: the keys of cases of which no visit counts in the end are put into it.
    Returns key → `typical` of its visits.
    """
    yardstick = yardstick or Yardstick()
    visits_of: dict[Any, Visits] = {key: [] for key in cases}
    empty_s = _overhead_s(_nothing)
    empty_rotation_s = _overhead_s(Rotation([_nothing] * 8))
    order = list(cases)
    total = rounds * max(len(cases), 1)
    done = 0
    with quiet():
        for number in range(rounds + AGAIN):
            limit_s = yardstick.limit_s
            random.Random(number).shuffle(order)
            for key in order:
                extra = number >= rounds
                if extra and not _worth_another_visit(visits_of[key], limit_s):
                    continue
                if extra and yardstick.patience_s <= 0:
                    break
                call = cases[key]()
                before = yardstick.begin()
                began = time.monotonic()
                overhead_s = empty_rotation_s if isinstance(call, Rotation) else empty_s
                seconds = sample(call) - overhead_s
                visits_of[key].append((seconds, max(before, yardstick())))
                done += 1
                if extra:
                    yardstick.patience_s -= time.monotonic() - began
                if progress is not None and done % PROGRESS_EVERY == 0:
                    progress(min(done / total, 1.0))
    if doubtful is not None:
        for key, visits in visits_of.items():
            if not _undisturbed(visits, yardstick.limit_s):
                doubtful.add(key)
    times = {}
    for key, visits in visits_of.items():
        times[key] = max(typical(visits, yardstick), LEAST_S)
    return times


def _worth_another_visit(visits: Visits, limit_s: float) -> bool:
    """Whether no visit of a case was undisturbed and another one takes little time."""
    first_s, _ = visits[0]
    return first_s <= HEAVY_S and not _undisturbed(visits, limit_s)


def _undisturbed(visits: Visits, limit_s: float) -> list[float]:
    """Seconds of the visits with fast readings before and after."""
    return [seconds for seconds, reading in visits if reading <= limit_s]


def typical(visits: Visits, yardstick: Yardstick) -> float:
    """Seconds of a case: the median of the undisturbed visits, the least of all if there is none.

    Of two undisturbed visits the faster one: nothing makes an operator faster than it is.
    """
    undisturbed = _undisturbed(visits, yardstick.limit_s)
    if undisturbed:
        return float(np.quantile(undisturbed, 0.5, method="lower"))
    return min(seconds for seconds, _ in visits)


def between_neighbours(times: Mapping[Any, float], doubtful: Collection[Any]) -> dict[Any, float]:
    """The times, with each doubtful one at most what its two neighbours say.

    A key is (family, *sizes). Neighbours are the same case at the next smaller and the next larger
    last size; between them logarithms are interpolated. Only a longer time is replaced, since a
    disturbance only adds. Of matmuls the last size is the depth: leaving out every other depth is
    3 % off in the median.
    """
    sure: dict[Any, dict[Any, float]] = {}
    for key, seconds in times.items():
        if key not in doubtful:
            sure.setdefault(key[:-1], {})[key[-1]] = seconds
    result = dict(times)
    for key in doubtful:
        size = key[-1]
        known = sure.get(key[:-1], {}) if len(key) > 2 else {}
        if known and min(known) < size < max(known):
            result[key] = min(times[key], _interpolated(size, known))
    return result


def _interpolated(size: float, seconds: Mapping[Any, float]) -> float:
    """Seconds at a size between known ones, linear in logarithms. seconds: by size."""
    sizes = sorted(seconds)
    logs = np.log([seconds[known] for known in sizes])
    log = np.interp(np.log(size), np.log(sizes), logs)
    return float(np.exp(log))


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
    """Make glibc keep freed blocks of up to `MAPPED_BYTES` for the next operator, in this process.

    It frees a block of that size, once. Before that, each large result is mapped anew and every
    page of it faults: a 5 MB result was seen to cost 9 ms instead of 0.4 ms, depending on what the
    process had freed earlier. A process whose times are to be compared with a calibration must do
    the same. A second such block would come from the heap, which would then have room for results
    that are mapped anew otherwise (`condsim.cost.cpu.new_memory`).
    """
    block = torch.empty(MAPPED_BYTES, dtype=torch.uint8)
    block.fill_(0)
    del block


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many torch threads inside, under inference mode, with the allocator settled.

    Afterwards torch has as many threads as before, and this thread may run on every processor that
    it might use before.
    """
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
    """Calls that say how loaded the machine is.

    They are a matmul that stays in the second-level cache, and a read of 64 MB.
    """
    a, b = pool(128, 128), pool(128, 128)
    big = pool(16_000_000)
    matmul = functools.partial(torch.mm, a, b)
    read = functools.partial(torch.sum, big)
    return {"matmul_l2": matmul, "read_64mb": read}
