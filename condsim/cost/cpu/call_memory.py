"""What each call of a step touches, for playing its activations back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from condsim.cost.cpu.activations import CallMemory
from condsim.cost.device import ShapedOperator, Target
from condsim.kernels import Entry
from condsim.lower import Call, Place
from condsim.program.work import OPERATORS


class MemoryOfCalls:
    """Bytes that calls touch. Calls of one kind and size touch as many, and share one object.

    entries: of the lowered program. shaped: gives an operator at its sizes.
    """

    def __init__(
        self,
        target: Target,
        entries: Iterable[Entry],
        shaped: Callable[[Entry], ShapedOperator],
    ) -> None:
        self._target, self._shaped = target, shaped
        self._entries = {(entry.scope, entry.node): entry for entry in entries}
        self._known: dict[Any, CallMemory] = {}

    def of_step(self, calls: Iterable[Call]) -> tuple[list[Place], list[CallMemory]]:
        """Return where calls of a step stand, and what they touch and free; those that do neither
        are left out."""
        places, memories = [], []
        for call in calls:
            memory = self._of(call)
            if memory.bytes or memory.freed:
                places.append(call.place)
                memories.append(memory)
        return places, memories

    def _of(self, call: Call) -> CallMemory:
        entry = self._entries[call.scope, call.place[1]]
        size = int(entry.sizes.of_call[call.call])
        sizes = entry.size_set if entry.sizes.key is None else entry.sizes.key
        key = (entry.kind, sizes, size, tuple(call.born), tuple(call.freed))
        if key not in self._known:
            self._known[key] = self._made(call, entry, size)
        return self._known[key]

    def _made(self, call: Call, entry: Entry, size: int) -> CallMemory:
        op, target = entry.op, self._target
        freed = self._storage_bytes(call.freed)
        if op.view:
            return CallMemory(freed=freed)
        shaped = self._shaped(entry)
        reads, weights, written = [], 0.0, 0.0
        for tensor, shape in zip(op.inputs, shaped.inputs, strict=True):
            if tensor.weight:
                read = target.weight_bytes(op, tensor, shape, shaped.outputs)
                weights += _of_size(read, size)
            else:
                reads.append(_of_size(target.bytes_of(tensor, shape), size))
        for tensor, shape in zip(op.outputs, shaped.outputs, strict=True):
            written += _of_size(target.bytes_of(tensor, shape), size)
        new = self._storage_bytes(call.born)
        return CallMemory(
            reads=tuple(read for read in reads if read),
            weights=weights,
            new=new,
            in_place=max(written - sum(new), 0.0),
            freed=freed,
            product=op.name in OPERATORS,
        )

    def _storage_bytes(self, storages: list[tuple[int, str]]) -> tuple[float, ...]:
        sizes = []
        for elements, dtype in storages:
            if elements:
                sizes.append(float(elements * self._target.itemsize(dtype)))
        return tuple(sizes)


def _of_size(values: Any, size: int) -> float:
    """The value of one of several sizes."""
    return float(values[size]) if np.ndim(values) else float(values)
