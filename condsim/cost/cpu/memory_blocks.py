"""Where the tensors of a step lie: blocks of memory in use, and free ones that results take.

Time is counted in bytes that the steps have touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

NEVER = float("-inf")


@dataclass(eq=False)
class Block:
    """A piece of memory. touched: bytes that the steps had touched when it was used last."""

    bytes: float
    touched: float


class Memory:
    """Blocks in use, and free ones that the next results take.

    A result takes the smallest free block that is large enough; the rest of it stays free.
    """

    def __init__(self) -> None:
        self.live: list[Block] = []
        self.free: list[Block] = []
        self._of_running_operator: list[Block] = []

    def take(self, size: float, now: float) -> float:
        """A new block of so many bytes, touched now.

        Returns when its memory was touched before, `NEVER` where none was free.
        """
        self._of_running_operator.append(Block(size, now))
        fitting = [block for block in self.free if block.bytes >= size]
        if not fitting:
            return NEVER
        smallest = min(fitting, key=attrgetter("bytes"))
        smallest.bytes -= size
        if not smallest.bytes:
            self.free = [block for block in self.free if block.bytes]
        return smallest.touched

    def touch(self, size: float, now: float) -> float:
        """Use the block that an operand of so many bytes lies in.

        It is the last touched of those of its size, else of the larger ones. Returns when it was
        touched before, `NEVER` where there is none: an input of the step.
        """
        large_enough = [block for block in self.live if block.bytes >= size]
        of_its_size = [block for block in large_enough if block.bytes == size]
        candidates = of_its_size or large_enough
        if not candidates:
            return NEVER
        block = max(candidates, key=attrgetter("touched"))
        before, block.touched = block.touched, now
        self.live = _without(self.live, block)
        self._of_running_operator.append(block)
        return before

    def settle(self) -> None:
        """The operator is done: its blocks are in use until they die."""
        self.live += self._of_running_operator
        self._of_running_operator = []

    def give_back(self, size: float) -> None:
        """A block of so many bytes dies: of several the one that was not touched for longest."""
        of_this_size = [block for block in self.live if block.bytes == size]
        if not of_this_size:
            return
        oldest = min(of_this_size, key=attrgetter("touched"))
        self.live = _without(self.live, oldest)
        self.free.append(oldest)


def _without(blocks: Iterable[Block], removed: Block) -> list[Block]:
    return [block for block in blocks if block is not removed]
