"""What calls cost more because memory that they write is new: pages are zeroed at their first use.

    extra seconds of a call = bytes of new memory * seconds a byte

A step is played over the heap of the C library (`condsim.cost.cpu.heap`) until it repeats itself.
Nothing is new in a step that never has `MAPPED_BYTES` alive: the heap keeps what it once got, and
gives twice as much back. Some of a larger step is new each time where so much dies at once that the
end of the heap is given back. The play begins with an empty heap: what a process freed earlier may
serve a result that is new here.
"""

from __future__ import annotations

import numpy as np

from condsim.cost.cpu.heap import MAPPED_BYTES, Block, Heap
from condsim.cost.cpu.step_memory import StepMemory

NEW = "fresh_page"
"""Of a profile's extra_s: seconds a byte."""
ROUNDS = 3
"""Steps that are played; the last one counts."""
LEAST_BYTES = 4096
"""Smaller blocks are not played: a page."""


def new_bytes(memory: StepMemory) -> np.ndarray:
    """Return the bytes of new memory that each call of a step writes, float [calls]."""
    if memory.most_alive < MAPPED_BYTES:
        return np.zeros(len(memory.product))
    key = ("new memory", memory.sizes.tobytes())
    return memory.blocks.results.remember(key, lambda: _settled(memory))


def _settled(memory: StepMemory) -> np.ndarray:
    """The bytes of a step that follows others like it."""
    heap, sizes = Heap(), memory.sizes.tolist()
    of_calls = np.zeros(len(memory.product))
    for _ in range(ROUNDS):
        of_calls = _play(memory, heap, sizes)
    return of_calls


def _play(memory: StepMemory, heap: Heap, sizes: list[float]) -> np.ndarray:
    """Run one step over a heap. sizes: bytes of each tensor."""
    of_calls = np.zeros(len(memory.product))
    live: dict[int, Block] = {}
    for of_call in memory.blocks.calls:
        for tensor in (*of_call.temporary, *of_call.new):
            if sizes[tensor] >= LEAST_BYTES:
                live[tensor], new = heap.take(sizes[tensor])
                of_calls[of_call.call] += new
        for tensor in (*of_call.temporary, *of_call.freed):
            if tensor in live:
                heap.give_back(live.pop(tensor))
    for block in live.values():
        heap.give_back(block)
    return of_calls
