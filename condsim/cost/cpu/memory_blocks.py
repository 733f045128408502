"""Where the tensors of a step lie: blocks of memory in use, and free ones that results take.

Time is counted in calls of operators.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

NEVER = -1
"""When a block was touched that is new."""
NOWHERE = 0.0
"""The size of no block."""

Touch = tuple[int, int]
"""(call that touched a block, minus its place among the operands of that call)."""


class Memory:
    """Blocks in use, and free ones that the next results take.

    A result takes the smallest free block that is large enough; the rest of that block stays free.
    Blocks of one size are alike but for when they were touched, so they are kept by size, the one
    touched last at the end.
    """

    def __init__(self) -> None:
        self._live: dict[float, list[Touch]] = {}  # none of the lists is empty
        self._free: list[tuple[float, int, int]] = []  # bytes, order of death, when touched
        self._deaths = 0
        self._of_running_operator: list[float] = []

    def take(self, size: float) -> int:
        """Make a new block of so many bytes for the operator that runs.

        Returns when its memory was touched before, `NEVER` where none was free.
        """
        self._of_running_operator.append(size)
        smallest = bisect_left(self._free, (size,))
        if smallest == len(self._free):
            return NEVER
        free_bytes, order, touched = self._free.pop(smallest)
        if free_bytes > size:
            insort(self._free, (free_bytes - size, order, touched))
        return touched

    def touch(self, size: float) -> int:
        """Use the block that an operand of so many bytes lies in.

        It is the last touched of those of its size, else of the larger ones. Returns when it was
        touched before, `NEVER` where there is none: an input of the step.
        """
        live = self._live
        holder = size if size in live else self._larger(size)
        if holder == NOWHERE:
            return NEVER
        blocks = live[holder]
        touched, _ = blocks.pop()
        if not blocks:
            del live[holder]
        self._of_running_operator.append(holder)
        return touched

    def _larger(self, size: float) -> float:
        """The size of the block that was touched last among the larger ones, else `NOWHERE`."""
        holder = NOWHERE
        last_touch: Touch = (NEVER, 0)
        for held, blocks in self._live.items():
            if held > size and blocks[-1] > last_touch:
                holder, last_touch = held, blocks[-1]
        return holder

    def settle(self, now: int) -> None:
        """The operator is done: its blocks were touched now, and are in use until they die.

        now: number of its call.
        """
        operands, live = self._of_running_operator, self._live
        for place in range(len(operands) - 1, -1, -1):
            size = operands[place]
            if size in live:
                live[size].append((now, -place))
            else:
                live[size] = [(now, -place)]
        operands.clear()

    def give_back(self, size: float) -> None:
        """A block of so many bytes dies: of several the one that was not touched for longest.

        Of those that one operator touched it is the one of the first operand.
        """
        blocks = self._live.get(size)
        if blocks is None:
            return
        longest_ago, _ = blocks[0]
        first_operand = bisect_right(blocks, (longest_ago, 0)) - 1
        touched, _ = blocks.pop(first_operand)
        if not blocks:
            del self._live[size]
        self._deaths += 1
        insort(self._free, (size, self._deaths, touched))
