"""Where the tensors of a step lie: blocks of memory in use, and free ones that results take.

Time is counted in bytes that the steps have touched.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

NEVER = float("-inf")

Touch = tuple[float, int]
"""(when a block was touched, minus its place among the operands of that operator)."""


class Memory:
    """Blocks in use, and free ones that the next results take.

    A result takes the smallest free block that is large enough; the rest of that block stays free.
    Blocks of one size are alike but for when they were touched, so they are kept by size, the one
    touched last at the end.
    """

    def __init__(self) -> None:
        self._live: dict[float, list[Touch]] = {}
        self._free: list[tuple[float, int, float]] = []  # bytes, order of death, when touched
        self._deaths = 0
        self._of_running_operator: list[float] = []

    def take(self, size: float) -> float:
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

    def touch(self, size: float) -> float:
        """Use the block that an operand of so many bytes lies in.

        It is the last touched of those of its size, else of the larger ones. Returns when it was
        touched before, `NEVER` where there is none: an input of the step.
        """
        holder = size
        if not self._live.get(size):
            larger = [held for held, blocks in self._live.items() if blocks and held > size]
            if not larger:
                return NEVER
            holder = max(larger, key=self._last_touch)
        touched, _ = self._live[holder].pop()
        self._of_running_operator.append(holder)
        return touched

    def _last_touch(self, size: float) -> Touch:
        return self._live[size][-1]

    def settle(self, now: float) -> None:
        """The operator is done: its blocks were touched now, and are in use until they die."""
        operands = self._of_running_operator
        for place in range(len(operands) - 1, -1, -1):
            self._live.setdefault(operands[place], []).append((now, -place))
        self._of_running_operator = []

    def give_back(self, size: float) -> None:
        """A block of so many bytes dies: of several the one that was not touched for longest.

        Of those that one operator touched it is the one of the first operand.
        """
        blocks = self._live.get(size)
        if blocks:
            longest_ago, _ = blocks[0]
            first_operand = bisect_right(blocks, (longest_ago, 0)) - 1
            touched, _ = blocks.pop(first_operand)
            self._deaths += 1
            insort(self._free, (size, self._deaths, touched))
