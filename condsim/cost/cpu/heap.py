"""The heap of the C library: where a process's blocks lie, and which of their pages are new.

A request takes the smallest free block that is large enough, else the end of the heap, which grows
as needed. As soon as `TRIMMED_BYTES` of the end are free, it is given back, and what was given back
is new when it comes again. Sources: malloc(3), "best fit"; mallopt(3), M_TRIM_THRESHOLD; glibc,
malloc/malloc.c.

A request of `MAPPED_BYTES` and more that nothing free holds is mapped apart at first. It is not
played so: small blocks that live on soon leave a hole that holds it. In a loop of a mixture that
copies 34 MB of weights a layer all was mapped apart in the first step, and nothing after some ten.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple

MAPPED_BYTES = 32_000_000
"""M_MMAP_THRESHOLD: what `condsim.timing.cases.settle_allocator` makes it."""
TRIMMED_BYTES = 2 * MAPPED_BYTES
"""M_TRIM_THRESHOLD, which goes along."""
SPARE_BYTES = 128 * 1024
"""M_TOP_PAD: the heap grows by so much more than is needed, and keeps so much."""
ALIGNMENT = 64
"""PyTorch's, in bytes."""
OVERHEAD = 80
"""Bytes that an aligned request takes besides its own."""


class Block(NamedTuple):
    """Bytes of the heap."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


class Heap:
    """Blocks in use and free ones, with what of the heap was touched since the process got it."""

    def __init__(self) -> None:
        self._used_end = 0  # behind it, all is free
        self._end = 0
        self._touched_end = 0  # behind it, all pages are new
        self._by_size: list[tuple[int, int]] = []  # (size, start) of each free block
        self._free_at: dict[int, int] = {}  # start -> size
        self._free_until: dict[int, int] = {}  # end -> start

    def take(self, size: float) -> tuple[Block, int]:
        """Return a block of so many bytes, and how many of them are new."""
        whole = (int(size) + OVERHEAD + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        smallest = bisect_left(self._by_size, (whole, 0))
        if smallest < len(self._by_size):
            _, start = self._by_size[smallest]
            self._split(start, whole)
        else:
            start = self._extend(whole)
        block = Block(start, whole)
        new = max(block.end - max(start, self._touched_end), 0)
        self._touched_end = max(self._touched_end, block.end)
        return block, new

    def give_back(self, block: Block) -> None:
        """Free a block. It joins the free ones beside it."""
        start, end = block.start, block.end
        if end in self._free_at:
            end += self._remove(end)
        if start in self._free_until:
            before = self._free_until[start]
            self._remove(before)
            start = before
        if end < self._used_end:
            self._add(start, end - start)
            return
        self._used_end = start
        if self._end - start >= TRIMMED_BYTES:
            self._end = start + SPARE_BYTES
            self._touched_end = min(self._touched_end, self._end)

    def _extend(self, size: int) -> int:
        """Take bytes from the end of the heap. Returns where they start."""
        start = self._used_end
        self._used_end += size
        if self._used_end > self._end:
            self._end = self._used_end + SPARE_BYTES
        return start

    def _split(self, start: int, size: int) -> None:
        """Take the first bytes of a free block."""
        left = self._remove(start) - size
        if left:
            self._add(start + size, left)

    def _add(self, start: int, size: int) -> None:
        insort(self._by_size, (size, start))
        self._free_at[start] = size
        self._free_until[start + size] = start

    def _remove(self, start: int) -> int:
        """Forget a free block. Returns its size."""
        size = self._free_at.pop(start)
        del self._free_until[start + size]
        self._by_size.pop(bisect_left(self._by_size, (size, start)))
        return size
