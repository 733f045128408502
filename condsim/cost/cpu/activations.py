"""What an operator costs more because the activations that it reads and writes lie further away than in a micro-benchmark.

    extra seconds = sum over its operands: bytes * (penalty(bytes touched since their memory was) - penalty(bytes between two visits of the benchmark))

One step is played back in order: what an operator reads was written some operators ago, and its result takes the free block of memory that fits best, whose
last use may be long ago. The C library's allocator does so, too (malloc(3), "best fit"). Only the order of one step is looked at; sizes are each call's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.hardware import Activations, HardwareProfile
from condsim.lower import Call, Place
from condsim.program import Op, Tensor
from condsim.program.operators import OPERATORS

BETWEEN_BYTES, SETS = (
    2**20,
    8,
)  # that a calibrated operator, no matmul, turns through: so many bytes, but no more than so many sets of tensors
Bytes = Callable[[Op, Tensor, Any, Any], float]


def curves_of(profile: HardwareProfile) -> Activations | None:
    """What was calibrated, or, of a profile from before, the curve of the smallest weight: a byte takes as long whatever it means. None without either."""
    if profile.activations is not None or profile.residency is None:
        return profile.activations
    r = profile.residency
    return Activations(distance=r.distance, read=r.one_row[0], written=r.one_row[0])


def far_per_byte(
    calls: list[Call], bytes_of: Bytes, itemsize: Callable[[str], int], curves: Activations
) -> dict[Place, float]:
    """Extra seconds a byte that each place of a program reads or writes, its mean over one step.

    calls: of the step in executed order. bytes_of: (operator, tensor, its shape, shapes of the results) → bytes of it that one call touches. itemsize: of a
    dtype.
    """
    memory, now = Memory(), 0.0
    of_calls = [() if call.op.view else _operands(call, bytes_of, itemsize) for call in calls]
    rows: list[
        tuple[int, float, bool, float, float]
    ] = []  # (call, bytes, written, distance, distance in the micro-benchmark)
    for last_time in (
        False,
        True,
    ):  # a step that repeats finds the memory that the one before it left
        for number, (call, operands) in enumerate(zip(calls, of_calls, strict=True)):
            if operands:
                own = sum(o.bytes for o in operands)
                found = [
                    (number, o.bytes, o.born, now + own / 2 - o.touch(memory, now + own / 2))
                    for o in operands
                    if not o.weight
                ]
                if last_time:
                    hot = (
                        own
                        if call.op.name in OPERATORS
                        else max(own, min(BETWEEN_BYTES, SETS * own))
                    )
                    rows += [(*row, hot) for row in found]
                memory.settle()
                now += own
            for count, dtype in call.freed:
                memory.give_back(count * itemsize(dtype))
    if not rows:
        return {}
    at, size, written, distance, hot_distance = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    distance = np.minimum(
        distance, now / 2
    )  # of two steps: more is not touched before a step comes round
    extra = np.zeros(len(size))
    for curve, here in ((curves.read, ~written), (curves.written, written)):
        penalty, usual = (
            np.interp(d[here], curves.distance, curve) for d in (distance, hot_distance)
        )
        extra[here] = np.maximum(penalty - usual, 0.0) * size[here]
    return _by_place(calls, np.bincount(at, extra, len(calls)), np.bincount(at, size, len(calls)))


def _by_place(calls: list[Call], seconds: np.ndarray, moved: np.ndarray) -> dict[Place, float]:
    """Seconds a byte of each place."""
    sums: dict[Place, list[float]] = {}
    for call, s, m in zip(calls, seconds.tolist(), moved.tolist(), strict=True):
        total = sums.setdefault(call.place, [0.0, 0.0])
        total[0] += s
        total[1] += m
    return {place: s / m for place, (s, m) in sums.items() if s}


@dataclass
class Block:
    """A piece of memory. touched: bytes that the steps had touched when it was used last."""

    bytes: float
    touched: float


class Memory:
    """Blocks in use, and free ones that the next results take: the smallest that is large enough, the rest of it stays free."""

    def __init__(self) -> None:
        self.live: list[Block] = []
        self.free: list[Block] = []
        self._mine: list[Block] = []  # of the operator that runs

    def take(self, size: float, now: float) -> float:
        """A new block, touched now. Returns when its memory was touched before, minus infinity where none was free."""
        free = min((b for b in self.free if b.bytes >= size), key=lambda b: b.bytes, default=None)
        self._mine.append(Block(size, now))
        if free is None:
            return float("-inf")
        free.bytes -= size
        if not free.bytes:
            self.free = [b for b in self.free if b.bytes]
        return free.touched

    def touch(self, size: float, now: float) -> float:
        """Use the block that an operand of this size lies in: the last touched of those of its size, else of the larger ones. Returns when it was touched
        before, minus infinity where there is none: an input of the step."""
        fits = [b for b in self.live if b.bytes >= size]
        block = max(
            [b for b in fits if b.bytes == size] or fits, key=lambda b: b.touched, default=None
        )
        if block is None:
            return float("-inf")
        before, block.touched = block.touched, now
        self.live = [b for b in self.live if b is not block]
        self._mine.append(block)
        return before

    def settle(self) -> None:
        """The operator is done."""
        self.live += self._mine
        self._mine = []

    def give_back(self, size: float) -> None:
        """A block of this size dies: of several the one that was not touched for longest."""
        block = min(
            (b for b in self.live if b.bytes == size), key=lambda b: b.touched, default=None
        )
        if block is not None:
            self.live = [b for b in self.live if b is not block]
            self.free.append(block)


@dataclass(frozen=True)
class _Operand:
    """bytes that a call touches; of a weight, of a new storage, or of one that is there. inside: written in place after it was read."""

    bytes: float
    weight: bool = False
    born: bool = False
    inside: bool = False

    def touch(self, memory: Memory, now: float) -> float:
        if self.inside:
            return now
        return memory.take(self.bytes, now) if self.born else memory.touch(self.bytes, now)


def _operands(call: Call, bytes_of: Bytes, itemsize: Callable[[str], int]) -> Sequence[_Operand]:
    """What a call reads, and what it writes: new storages, the rest in place."""
    op = call.op
    outs = [t.shape(call.bindings) for t in op.outputs]
    found = [
        _Operand(bytes_of(op, t, t.shape(call.bindings), outs), weight=bool(t.weight))
        for t in op.inputs
    ]
    born = [_Operand(float(count * itemsize(dtype)), born=True) for count, dtype in call.born]
    inside = sum(
        bytes_of(op, t, shape, outs) for t, shape in zip(op.outputs, outs, strict=True)
    ) - sum(o.bytes for o in born)
    return [o for o in (*found, *born, _Operand(max(inside, 0.0), inside=True)) if o.bytes]
