"""What an operator costs more because its activations lie further away than in a micro-benchmark.

    extra seconds = sum over its operands: bytes * (penalty(bytes touched since their memory was)
                    - penalty(bytes between two visits of the benchmark))

One step is played back in order: what an operator reads was written some operators ago, and its
result takes the free block of memory that fits best, whose last use may be long ago. The C
library's allocator does so, too (malloc(3), "best fit"). Only the order of one step is looked at;
sizes are each call's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from condsim.cost.cpu.memory_blocks import Memory
from condsim.hardware import Activations, HardwareProfile
from condsim.lower import Call, Place
from condsim.program import Op, Tensor
from condsim.program.operators import OPERATORS

# What a calibrated operator that is no matmul turns through between two visits of the same tensors:
# so many bytes, but no more than so many sets of tensors.
BETWEEN_BYTES = 2**20
SETS = 8

BytesOf = Callable[[Op, Tensor, Any, Any], float]
ItemSize = Callable[[str], int]


def curves_of(profile: HardwareProfile) -> Activations | None:
    """The calibrated curves of activations.

    A profile from before they were calibrated answers with the curve of its smallest weight, since
    a byte takes as long whatever it means. None without either.
    """
    residency = profile.residency
    if profile.activations is not None or residency is None:
        return profile.activations
    smallest = residency.one_row[0]
    return Activations(distance=residency.distance, read=smallest, written=smallest)


def far_per_byte(
    calls: list[Call], bytes_of: BytesOf, itemsize: ItemSize, curves: Activations
) -> dict[Place, float]:
    """Extra seconds a byte that each place of a program reads or writes, its mean over one step.

    calls: of the step in executed order. bytes_of: (operator, tensor, its shape, shapes of the
    results) → bytes of it that one call touches. itemsize: dtype → bytes of an element.
    """
    step = _Step(calls, bytes_of, itemsize)
    visits, touched_bytes = step.visits()
    if not visits:
        return {}
    call = np.array([visit.call for visit in visits])
    size = np.array([visit.bytes for visit in visits])
    written = np.array([visit.written for visit in visits])
    usual = np.array([visit.usual_distance for visit in visits])
    distance = np.array([visit.distance for visit in visits])
    # The visits are of two steps: more than one step's bytes is not touched before it comes round.
    distance = np.minimum(distance, touched_bytes / 2)
    extra_s = np.zeros(len(size))
    for curve, chosen in ((curves.read, ~written), (curves.written, written)):
        far_s = np.interp(distance[chosen], curves.distance, curve)
        usual_s = np.interp(usual[chosen], curves.distance, curve)
        extra_s[chosen] = np.maximum(far_s - usual_s, 0.0) * size[chosen]
    by_call_s = np.bincount(call, extra_s, len(calls))
    by_call_bytes = np.bincount(call, size, len(calls))
    return _by_place(calls, by_call_s, by_call_bytes)


def _by_place(calls: list[Call], seconds: np.ndarray, moved: np.ndarray) -> dict[Place, float]:
    """Seconds a byte of each place. seconds, moved: of each call; moved in bytes."""
    sums: dict[Place, list[float]] = {}
    for call, call_s, call_bytes in zip(calls, seconds.tolist(), moved.tolist(), strict=True):
        total = sums.setdefault(call.place, [0.0, 0.0])
        total[0] += call_s
        total[1] += call_bytes
    return {place: total_s / size for place, (total_s, size) in sums.items() if total_s}


@dataclass(frozen=True)
class _Operand:
    """Bytes of a tensor that a call touches.

    weight: it is one. new: its storage is. in_place: it is written where it was read.
    """

    bytes: float
    weight: bool = False
    new: bool = False
    in_place: bool = False


@dataclass(frozen=True)
class _Visit:
    """An activation that a call touches. call: its number in the step.

    distance: bytes touched since its memory was; usual_distance: in the micro-benchmark.
    """

    call: int
    bytes: float
    written: bool
    distance: float
    usual_distance: float = 0.0


class _Step:
    """A step that is played back."""

    def __init__(self, calls: list[Call], bytes_of: BytesOf, itemsize: ItemSize) -> None:
        self._calls = calls
        self._bytes_of = bytes_of
        self._itemsize = itemsize
        self._operands = [self._operands_of(call) for call in calls]
        self._memory = Memory()
        self._touched_bytes = 0.0

    def visits(self) -> tuple[list[_Visit], float]:
        """All visits to activations in a step, and the bytes that two steps touch.

        A step that repeats finds the memory that the one before it left: the second is returned.
        """
        self._play()
        return self._play(), self._touched_bytes

    def _play(self) -> list[_Visit]:
        visits = []
        for number, call in enumerate(self._calls):
            if self._operands[number]:
                visits += self._run(number, call)
            for count, dtype in call.freed:
                self._memory.give_back(count * self._itemsize(dtype))
        return visits

    def _run(self, number: int, call: Call) -> list[_Visit]:
        """Touch the operands of a call."""
        operands = self._operands[number]
        call_bytes = sum(operand.bytes for operand in operands)
        now = self._touched_bytes + call_bytes / 2
        visits = []
        for operand in operands:
            if not operand.weight:
                distance = now - self._last_touched(operand, now)
                visits.append(_Visit(number, operand.bytes, operand.new, distance))
        self._memory.settle()
        self._touched_bytes += call_bytes
        usual_distance = call_bytes
        if call.op.name not in OPERATORS:
            usual_distance = max(call_bytes, min(BETWEEN_BYTES, SETS * call_bytes))
        return [replace(visit, usual_distance=usual_distance) for visit in visits]

    def _last_touched(self, operand: _Operand, now: float) -> float:
        """Touch an operand. Returns when its memory was touched before."""
        if operand.in_place:
            return now
        if operand.new:
            return self._memory.take(operand.bytes, now)
        return self._memory.touch(operand.bytes, now)

    def _operands_of(self, call: Call) -> Sequence[_Operand]:
        """What a call reads, and what it writes: new storages, the rest in place."""
        op = call.op
        if op.view:
            return ()
        result_shapes = [t.shape(call.bindings) for t in op.outputs]
        operands = []
        for tensor in op.inputs:
            shape = tensor.shape(call.bindings)
            size = self._bytes_of(op, tensor, shape, result_shapes)
            operands.append(_Operand(size, weight=bool(tensor.weight)))
        new_bytes: float = 0
        for count, dtype in call.born:
            size = float(count * self._itemsize(dtype))
            operands.append(_Operand(size, new=True))
            new_bytes += size
        written_bytes: float = 0
        for tensor, shape in zip(op.outputs, result_shapes, strict=True):
            written_bytes += self._bytes_of(op, tensor, shape, result_shapes)
        operands.append(_Operand(max(written_bytes - new_bytes, 0.0), in_place=True))
        return [operand for operand in operands if operand.bytes]
