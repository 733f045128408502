"""The clock of a measurement: seconds that the calling thread spent on the CPU.

For one thread that never waits, that is the wall clock of a machine without neighbours: it stands
still while another process has the core, and it includes what neighbours do to caches and memory
bandwidth (yardsticks watch for that). A thread that gives up the CPU by itself, because it waits
for a disk, a device or another thread, is timed by the wall clock instead. So is everything on
systems that do not count a thread's switches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

Clock = Callable[[], float]
CPU: Clock = time.thread_time
WALL: Clock = time.perf_counter


def pauses(call: Callable[[], object]) -> int:
    """How often the thread gave up the CPU by itself in one call; 1 where nothing counts that."""
    if not hasattr(resource, "RUSAGE_THREAD"):
        call()
        return 1
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    call()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before


def clock_for(pauses_of_calls: Iterable[int]) -> Clock:
    """The CPU's clock unless every call paused: one that did not shows that work need not wait."""
    return WALL if all(pauses_of_calls) else CPU
