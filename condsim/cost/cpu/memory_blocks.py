"""Where the tensors of a step lie: blocks of memory in use, and free ones that results take.

Time is counted in calls of operators.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence

from condsim.cost.cpu.step_memory import BlocksOfCall

NEVER = -1
"""When a block was touched that is new."""
NOWHERE = 0.0
"""The size of no block."""

Touch = tuple[int, int]
"""(call that touched a block, minus its place among the operands of that call)."""


class Memory:
    """Blocks in use, and free ones that the next results take.

    An operand lies in the block of its size that was touched last, else in the larger one that was;
    what fits none is an input of the step. A result takes the smallest free block that is large
    enough; the rest of that block stays free. Of several blocks of a size the one dies that was not
    touched for longest: of those that one call touched, the one of its first operand.

    Blocks of one size are alike but for when they were touched, so they are kept by size, the one
    touched last at the end.
    """

    def __init__(self) -> None:
        self._live: defaultdict[float, list[Touch]] = defaultdict(list)
        self._free: list[tuple[float, int, int]] = []  # bytes, order of death, when touched
        self._deaths = 0

    def play(
        self, calls: Iterable[BlocksOfCall], sizes: Sequence[float], before: int = 0
    ) -> list[int]:
        """Run the calls of a step; returns which call touched the memory of each tensor before,
        `NEVER` for none.

        sizes: bytes of each tensor; one of none has no memory. before: calls that ran before the
        step.
        """
        live, touched_by = self._live, [NEVER] * len(sizes)
        for call, reads, new, freed, _ in calls:
            held: list[float] = []  # sizes of the blocks that the call touches
            for tensor in reads:
                size = sizes[tensor]
                if size and not live.get(size):
                    size = self._larger(size)
                if size:
                    touched_by[tensor], _ = live[size].pop()
                    held.append(size)
            for tensor in new:
                size = sizes[tensor]
                if size:
                    touched_by[tensor] = self._take(size)
                    held.append(size)
            now = before + call
            for place in range(len(held) - 1, -1, -1):
                live[held[place]].append((now, -place))
            for tensor in freed:
                if live.get(sizes[tensor]):
                    self._give_back(sizes[tensor])
        return touched_by

    def _larger(self, size: float) -> float:
        """The size of the block that was touched last among the larger ones, else `NOWHERE`."""
        holder = NOWHERE
        last_touch: Touch = (NEVER, 0)
        for held, blocks in self._live.items():
            if held > size and blocks and blocks[-1] > last_touch:
                holder, last_touch = held, blocks[-1]
        return holder

    def _take(self, size: float) -> int:
        """Take memory for a new block; returns when it was touched, `NEVER` where none is free."""
        smallest = bisect_left(self._free, (size,))
        if smallest == len(self._free):
            return NEVER
        free_bytes, order, touched = self._free.pop(smallest)
        if free_bytes > size:
            insort(self._free, (free_bytes - size, order, touched))
        return touched

    def _give_back(self, size: float) -> None:
        """Let a block of a size die, of which there is one."""
        blocks = self._live[size]
        longest_ago, _ = blocks[0]
        first_operand = bisect_right(blocks, (longest_ago, 0)) - 1
        touched, _ = blocks.pop(first_operand)
        self._deaths += 1
        insort(self._free, (size, self._deaths, touched))
