"""What the C library does with the memory of large results while something is timed.

glibc keeps what an operator freed for the next one, up to a limit that grows with what a process
happened to free, and a large result costs several times as much where it is mapped anew. Calls are
timed with the same limits everywhere. What is built before (other weights, checked outputs) lies
outside of the heap: where such a block was freed, results that are mapped anew in the loop of a
user would find room. Other C libraries than glibc are left alone.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

from condsim.cost.cpu.heap import MAPPED_BYTES, TRIMMED_BYTES

BUILT_BYTES = 65_536
"""While something is built, blocks of so many bytes lie outside of the heap."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of the parameters. Source: mallopt(3), malloc.h."""


def settle_allocator() -> None:
    """Keep freed blocks of up to `MAPPED_BYTES` for the next operator, in this process.

    Without that, each large result is mapped anew and every page of it faults: a result of 5 MB was
    seen to cost 9 ms instead of 0.4 ms, depending on what the process had freed earlier.
    """
    _set(M_MMAP_THRESHOLD, MAPPED_BYTES)
    _set(M_TRIM_THRESHOLD, TRIMMED_BYTES)


@contextmanager
def building() -> Iterator[None]:
    """What is made inside leaves no room in the heap when it is freed."""
    _set(M_MMAP_THRESHOLD, BUILT_BYTES)
    try:
        yield
    finally:
        settle_allocator()


@contextmanager
def timing() -> Iterator[None]:
    """Inside of `building`: results lie in the heap as in a process that does nothing else."""
    settle_allocator()
    _give_back()
    try:
        yield
    finally:
        _set(M_MMAP_THRESHOLD, BUILT_BYTES)


def _set(parameter: int, value: int) -> None:
    if _is_glibc():
        ctypes.CDLL(None).mallopt(parameter, value)


def _give_back() -> None:
    """Return the free end of the heap to the operating system."""
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _is_glibc() -> bool:
    library, _ = platform.libc_ver()
    return library == "glibc"
