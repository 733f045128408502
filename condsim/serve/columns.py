"""A number of each request: in memory for some of them, in a temporary file for many.

A run goes through requests in the order of their arrival, so numbers that were used long ago need
not stay in memory: `let_go` gives it back, and what is asked again is read again.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from condsim.files import named_errors

IN_MEMORY = 1 << 17
"""Requests whose numbers stay in memory."""
BLOCK = 1 << 16
"""Requests that are looked at together."""
PREFIX = "condsim-serve-"
"""How the name of a temporary file begins, which nobody sees: it has no place in its folder."""


def new_column(count: int, dtype: Any, fill: float = 0) -> np.ndarray:
    """Return a number of each request, all `fill`; [count].

    Raises CondsimError where the temporary folder has no room for it.
    """
    if count <= IN_MEMORY:
        return np.full(count, fill, dtype)
    size = count * np.dtype(dtype).itemsize
    with _temporary() as file:
        _reserve(file, size)
        column = _mapped(file, dtype, size)
    if fill:
        for (block,) in blocks(column):
            block[:] = fill
    return column


def same_for_all(value: int, count: int) -> np.ndarray:
    """Return one number as that of each request, which takes no memory; int [count], read-only."""
    return np.broadcast_to(np.int64(value), count)


class GrowingColumn:
    """A number of each of some requests, whose count is not known before the last of them."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.count = 0
        self._file = _temporary()

    def add(self, values: np.ndarray) -> None:
        """Add numbers behind the others. Raises CondsimError where there is no room for them."""
        with _named():
            self._file.write(values.astype(self.dtype).tobytes())
        self.count += len(values)

    def column(self) -> np.ndarray:
        """Return all numbers, [count]; nothing can be added any more."""
        size = self.count * self.dtype.itemsize
        with _named(), self._file as file:
            file.flush()
            if self.count <= IN_MEMORY:
                file.seek(0)
                return np.frombuffer(bytearray(file.read(size)), self.dtype)
            return _mapped(file, self.dtype, size)


def blocks(*columns: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield numbers of some requests after the other, and let go of those that were looked at."""
    for begin in range(0, len(columns[0]), BLOCK):
        yield tuple(column[begin : begin + BLOCK] for column in columns)
        for column in columns:
            let_go(column)


def largest(column: np.ndarray) -> float:
    """Return the largest number."""
    return max(float(block.max()) for (block,) in blocks(column))


def let_go(numbers: np.ndarray | memoryview) -> None:
    """Give back the memory of numbers that stand in a file; they stay what they are."""
    owner: Any = numbers
    while isinstance(owner, (np.ndarray, memoryview)):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def packed(values: np.ndarray) -> Any:
    """Return numbers of all requests for loops that take one at a time, without a copy.

    values: int or float [n]; in a list each would take 32 bytes.
    """
    return values.data


def _temporary() -> IO[bytes]:
    with _named():
        return tempfile.TemporaryFile(prefix=PREFIX)


def _named() -> Any:
    """Errors of the operating system in one line."""
    return named_errors(tempfile.gettempdir(), "has no room for what is noted of requests")


def _reserve(file: IO[bytes], size: int) -> None:
    """Make a file so large, and be sure of its room: a full disk could not be told later."""
    with _named():
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def _mapped(file: IO[bytes], dtype: Any, size: int) -> np.ndarray:
    with _named():
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype)
