"""What an operator costs more because its activations lie further away than in a micro-benchmark.

    extra seconds = sum over its operands: bytes * (penalty(bytes touched since their memory was)
                    - penalty(bytes between two visits of the benchmark))

One step is played back in order: what an operator reads was written some operators ago, and its
result takes the free block of memory that fits best, whose last use may be long ago. The C
library's allocator does so, too (malloc(3), "best fit"). Only the order of one step is looked at;
sizes are each call's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from condsim.cost.cpu.memory_blocks import Memory
from condsim.hardware import Activations, HardwareProfile
from condsim.lower import Place

# What a calibrated operator that is no matmul turns through between two visits of the same tensors:
# so many bytes, but no more than so many sets of tensors.
BETWEEN_BYTES = 2**20
SETS = 8


@dataclass(frozen=True)
class CallMemory:
    """Bytes that one call of a step touches.

    reads: of each activation that it reads. weights: of all weights that it reads. new: of each
    storage that it makes. in_place: that it writes where something was. freed: of each storage that
    is dead after it. product: it is a matmul.
    """

    place: Place
    reads: tuple[float, ...] = ()
    weights: float = 0.0
    new: tuple[float, ...] = ()
    in_place: float = 0.0
    freed: tuple[float, ...] = ()
    product: bool = False

    @cached_property
    def bytes(self) -> float:
        """All that it touches."""
        return sum(self.reads) + self.weights + sum(self.new) + self.in_place

    def usual_distance(self) -> float:
        """Return the bytes touched between two visits to a tensor in the micro-benchmark."""
        if self.product:
            return self.bytes
        return max(self.bytes, min(BETWEEN_BYTES, SETS * self.bytes))


def activation_curves(profile: HardwareProfile) -> Activations | None:
    """The calibrated curves of activations.

    A profile from before they were calibrated answers with the curve of its smallest weight, since
    a byte takes as long whatever it means. None without either.
    """
    residency = profile.residency
    if profile.activations is not None or residency is None:
        return profile.activations
    smallest = residency.one_row[0]
    return Activations(distance=residency.distance, read=smallest, written=smallest)


def far_per_byte(calls: Sequence[CallMemory], curves: Activations) -> dict[Place, float]:
    """Return extra seconds a byte that each place of a program reads or writes, its mean over one
    step.

    calls: of the step in executed order.
    """
    visits = _visits(calls)
    if not visits.call:
        return {}
    size, written = np.array(visits.bytes), np.array(visits.written)
    usual = np.array([call.usual_distance() for call in calls])[visits.call]
    # The visits are of two steps: more than one step's bytes is not touched before it comes round.
    distance = np.minimum(np.array(visits.distance), visits.touched_bytes / 2)
    extra_s = np.zeros(len(size))
    for curve, chosen in ((curves.read, ~written), (curves.written, written)):
        far_s = np.interp(distance[chosen], curves.distance, curve)
        usual_s = np.interp(usual[chosen], curves.distance, curve)
        extra_s[chosen] = np.maximum(far_s - usual_s, 0.0) * size[chosen]
    by_call_s = np.bincount(visits.call, extra_s, len(calls))
    by_call_bytes = np.bincount(visits.call, size, len(calls))
    return _by_place(calls, by_call_s, by_call_bytes)


def _by_place(
    calls: Sequence[CallMemory], seconds: np.ndarray, moved: np.ndarray
) -> dict[Place, float]:
    """Return seconds a byte of each place. seconds, moved: of each call; moved in bytes."""
    total_s: dict[Place, float] = {}
    total_bytes: dict[Place, float] = {}
    for call, call_s, call_bytes in zip(calls, seconds.tolist(), moved.tolist(), strict=True):
        total_s[call.place] = total_s.get(call.place, 0.0) + call_s
        total_bytes[call.place] = total_bytes.get(call.place, 0.0) + call_bytes
    return {place: s / total_bytes[place] for place, s in total_s.items() if s}


@dataclass
class _Visits:
    """Visits to activations in one step, a list a column.

    call: number of the call. bytes: of the activation. written: its storage is new. distance:
    bytes touched since its memory was. touched_bytes: by two steps.
    """

    call: list[int] = field(default_factory=list)
    bytes: list[float] = field(default_factory=list)
    written: list[bool] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)
    touched_bytes: float = 0.0

    def add(self, call: int, size: float, written: bool, distance: float) -> None:
        self.call.append(call)
        self.bytes.append(size)
        self.written.append(written)
        self.distance.append(distance)


def _visits(calls: Sequence[CallMemory]) -> _Visits:
    """Play a step twice: one that repeats finds the memory that the one before it left."""
    memory = Memory()
    _play(calls, memory, 0.0)
    return _play(calls, memory, sum(call.bytes for call in calls))


def _play(calls: Sequence[CallMemory], memory: Memory, touched_bytes: float) -> _Visits:
    """Run one step. touched_bytes: before it."""
    visits = _Visits()
    for number, call in enumerate(calls):
        if call.bytes:
            now = touched_bytes + call.bytes / 2
            for size in call.reads:
                visits.add(number, size, False, now - memory.touch(size))
            for size in call.new:
                visits.add(number, size, True, now - memory.take(size))
            if call.in_place:
                visits.add(number, call.in_place, False, 0.0)
            memory.settle(now)
            touched_bytes += call.bytes
        for size in call.freed:
            memory.give_back(size)
    visits.touched_bytes = touched_bytes
    return visits
