"""Where the tensors of a step lie: blocks of memory in use, and free ones that results take.

Time is counted in calls of operators.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

import numpy as np

from condsim.cost.cpu.step_memory import BlocksOfCall

NEVER = -1
"""When a block was touched that is new."""
NOWHERE = 0
"""The size of no block, which is the least of all."""
OPERANDS = 2**16
"""A touch is the number of its call times this, minus its place among the operands: touches are in
the order of their calls, and those of one call in that of its operands from the last to the
first."""


def calls_of(touches: np.ndarray) -> np.ndarray:
    """Return the call of each touch, int [n]; `NEVER` for none."""
    calls = -(-touches // OPERANDS)
    return np.where(touches == NEVER, NEVER, calls)


class Memory:
    """Blocks in use, and free ones that the next results take.

    An operand lies in the block of its size that was touched last, else in the larger one that was;
    what fits none is an input of the step. A result takes the smallest free block that is large
    enough; the rest of that block stays free. Of several blocks of a size the one dies that was not
    touched for longest: of those that one call touched, the one of its first operand.

    sizes: bytes of the tensors of a step; one of no bytes has no memory. Below, a size is its
    number among the different ones, 0 for no bytes.
    """

    def __init__(self, sizes: np.ndarray) -> None:
        different, which = np.unique(np.append(sizes, 0.0), return_inverse=True)
        self._sizes: list[float] = different.tolist()
        self._size_of: list[int] = which.tolist()
        self._live: list[list[int]] = [[] for _ in different]  # touches of the blocks of a size
        self._recent: list[tuple[int, int]] = []  # all touches so far, and the size of the block
        self._free: list[tuple[float, int, int]] = []  # bytes, order of death, touch
        self._deaths = 0

    def play(self, calls: Iterable[BlocksOfCall], before: int = 0) -> np.ndarray:
        """Run the calls of a step; returns which call touched the memory of each tensor before, int
        [tensors], `NEVER` for none.

        before: calls that ran before the step.
        """
        live, size_of, recent = self._live, self._size_of, self._recent
        touched = [NEVER] * len(size_of)
        held: list[int] = []  # sizes of the blocks of the operands
        for call, reads, new, freed, _ in calls:
            for tensor in reads:
                size = size_of[tensor]
                if size and not live[size]:
                    size = self._larger(size)
                if size:
                    touched[tensor] = live[size].pop()
                    held.append(size)
            for tensor in new:
                size = size_of[tensor]
                if size:
                    touched[tensor] = self._take(size)
                    held.append(size)
            touch = (before + call) * OPERANDS - len(held)
            while held:
                touch += 1
                size = held.pop()
                live[size].append(touch)
                recent.append((touch, size))
            for tensor in freed:
                size = size_of[tensor]
                if live[size]:
                    self._give_back(size)
        return calls_of(np.array(touched[:-1], np.int64))

    def _larger(self, size: int) -> int:
        """The larger size whose block was touched last, `NOWHERE` where there is none."""
        for touch, larger in reversed(self._recent):
            if larger > size and self._live[larger] and self._live[larger][-1] == touch:
                return larger
        return NOWHERE

    def _take(self, size: int) -> int:
        """Take memory for a new block. Returns when it was touched, `NEVER` where none is free."""
        wanted = self._sizes[size]
        smallest = bisect_left(self._free, (wanted,))
        if smallest == len(self._free):
            return NEVER
        free_bytes, order, touch = self._free.pop(smallest)
        if free_bytes > wanted:
            insort(self._free, (free_bytes - wanted, order, touch))
        return touch

    def _give_back(self, size: int) -> None:
        """Let a block of a size die, of which there is one."""
        blocks = self._live[size]
        last_of_call = -(-blocks[0] // OPERANDS) * OPERANDS
        touch = blocks.pop(bisect_right(blocks, last_of_call) - 1)
        self._deaths += 1
        insort(self._free, (self._sizes[size], self._deaths, touch))
