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
from dataclasses import dataclass
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

    @cached_property
    def usual_distance(self) -> float:
        """Bytes touched between two visits to a tensor in the micro-benchmark."""
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


def far_per_byte(
    places: Sequence[Place], calls: Sequence[CallMemory], curves: Activations
) -> dict[Place, float]:
    """Return extra seconds a byte that each place of a program reads or writes, its mean over one
    step.

    places, calls: where each call of the step stands and what it touches, in executed order.
    """
    visits, touched_bytes = _visits(calls)
    if not visits:
        return {}
    columns = [np.array(column) for column in zip(*visits, strict=True)]
    call, size, written, last_distance = columns
    usual = np.array([memory.usual_distance for memory in calls])[call]
    # The visits are of two steps: more than one step's bytes is not touched before it comes round.
    distance = np.minimum(last_distance, touched_bytes / 2)
    extra_s = np.zeros(len(size))
    for curve, chosen in ((curves.read, ~written), (curves.written, written)):
        far_s = np.interp(distance[chosen], curves.distance, curve)
        usual_s = np.interp(usual[chosen], curves.distance, curve)
        extra_s_per_byte = np.maximum(far_s - usual_s, 0.0)
        extra_s[chosen] = extra_s_per_byte * size[chosen]
    by_call_s = np.bincount(call, extra_s, len(calls))
    by_call_bytes = np.bincount(call, size, len(calls))
    return _by_place(places, by_call_s, by_call_bytes)


def _by_place(
    places: Sequence[Place], seconds: np.ndarray, moved: np.ndarray
) -> dict[Place, float]:
    """Return seconds a byte of each place. seconds, moved: of each call; moved in bytes."""
    total_s: dict[Place, float] = {}
    total_bytes: dict[Place, float] = {}
    for place, call_s, call_bytes in zip(places, seconds.tolist(), moved.tolist(), strict=True):
        total_s[place] = total_s.get(place, 0.0) + call_s
        total_bytes[place] = total_bytes.get(place, 0.0) + call_bytes
    return {place: s / total_bytes[place] for place, s in total_s.items() if s}


Visit = tuple[int, float, bool, float]
"""(number of the call, bytes of an activation, its storage is new, bytes touched since its memory
was)."""


def _visits(calls: Sequence[CallMemory]) -> tuple[list[Visit], float]:
    """Play a step twice: one that repeats finds the memory that the one before it left.

    Returns the visits of the second run, and the bytes that both touch.
    """
    memory = Memory()
    one_step = sum(call.bytes for call in calls)
    _play(calls, memory, 0.0)
    return _play(calls, memory, one_step), 2 * one_step


def _play(calls: Sequence[CallMemory], memory: Memory, touched_bytes: float) -> list[Visit]:
    """Run one step. touched_bytes: before it."""
    visits: list[Visit] = []
    for number, call in enumerate(calls):
        if call.bytes:
            now = touched_bytes + call.bytes / 2
            for size in call.reads:
                visits.append((number, size, False, now - memory.touch(size)))
            for size in call.new:
                visits.append((number, size, True, now - memory.take(size)))
            if call.in_place:
                visits.append((number, call.in_place, False, 0.0))
            memory.settle(now)
            touched_bytes += call.bytes
        for size in call.freed:
            memory.give_back(size)
    return visits
