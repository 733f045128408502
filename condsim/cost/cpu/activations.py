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
from typing import NamedTuple

import numpy as np

from condsim.cost.cpu.memory_blocks import Memory
from condsim.hardware import Activations, HardwareProfile

# What a calibrated operator that is no matmul turns through between two visits of the same tensors:
# so many bytes, but no more than so many sets of tensors.
BETWEEN_BYTES = 2**20
SETS = 8


class BlocksOfCall(NamedTuple):
    """The blocks of memory that a call of a step touches, as numbers of tensors.

    call: its number. reads: activations. new: storages that it makes. freed: storages that are
    dead after it.
    """

    call: int
    reads: tuple[int, ...] = ()
    new: tuple[int, ...] = ()
    freed: tuple[int, ...] = ()


@dataclass(frozen=True)
class StepMemory:
    """Bytes that the calls of one step touch, in executed order.

    blocks: of each call that has some. sizes: bytes of each tensor. call: that touches it.
    read, new: whether it is an activation that is read, or a new storage; [tensors] each.
    weights: bytes of all weights that a call reads. in_place: that it writes where something was.
    product: it is a matmul; [calls] each.
    """

    blocks: Sequence[BlocksOfCall]
    sizes: np.ndarray
    call: np.ndarray
    read: np.ndarray
    new: np.ndarray
    weights: np.ndarray
    in_place: np.ndarray
    product: np.ndarray

    @cached_property
    def visited(self) -> np.ndarray:
        """The tensors whose memory a call visits, int [visits]."""
        return np.flatnonzero(self.read | self.new)

    @cached_property
    def bytes(self) -> np.ndarray:
        """All that a call touches, float [calls]."""
        visited = self.visited
        of_tensors = np.bincount(self.call[visited], self.sizes[visited], len(self.product))
        touched: np.ndarray = of_tensors + self.weights + self.in_place
        return touched

    @property
    def usual_distance(self) -> np.ndarray:
        """Bytes touched between two visits to a tensor in the micro-benchmark, float [calls]."""
        in_between = np.minimum(BETWEEN_BYTES, SETS * self.bytes)
        return np.where(self.product, self.bytes, np.maximum(self.bytes, in_between))


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
    memory: StepMemory, owner: np.ndarray, owners: int, curves: Activations
) -> np.ndarray:
    """Return extra seconds a byte that each owner reads or writes, its mean over one step, float
    [owners].

    owner: of each call, int [calls].
    """
    visited = memory.visited
    last_distance = _last_distances(memory)[visited]
    # The visits are of two steps: more than one step's bytes is not touched before it comes round.
    distance = np.minimum(last_distance, memory.bytes.sum())
    call = memory.call[visited]
    usual = memory.usual_distance
    far_s = np.where(
        memory.new[visited],
        np.interp(distance, curves.distance, curves.written),
        np.interp(distance, curves.distance, curves.read),
    )
    usual_read_s = np.interp(usual, curves.distance, curves.read)
    usual_written_s = np.interp(usual, curves.distance, curves.written)
    usual_s = np.where(memory.new[visited], usual_written_s[call], usual_read_s[call])
    each_s = np.maximum(far_s - usual_s, 0.0)
    in_place_s = memory.in_place * np.maximum(curves.read[0] - usual_read_s, 0.0)
    sizes = memory.sizes[visited]
    seconds = np.bincount(call, each_s * sizes, len(usual)) + in_place_s
    moved = np.bincount(call, sizes, len(usual)) + memory.in_place
    return _mean_of_owners(seconds, moved, owner, owners)


def _mean_of_owners(
    seconds: np.ndarray, moved: np.ndarray, owner: np.ndarray, owners: int
) -> np.ndarray:
    """Seconds a byte of each owner. seconds, moved: of each call; moved in bytes."""
    of_owner_s = np.bincount(owner, seconds, owners)
    of_owner_bytes = np.bincount(owner, moved, owners)
    return np.divide(of_owner_s, of_owner_bytes, out=np.zeros(owners), where=of_owner_s > 0)


def _last_distances(memory: StepMemory) -> np.ndarray:
    """Bytes touched between two visits to the memory of a tensor, float [tensors].

    A step is played twice: one that repeats finds the memory that the one before it left.
    """
    one_step = memory.bytes.sum()
    touched_after = np.cumsum(memory.bytes)
    now = touched_after - memory.bytes / 2
    blocks = memory.blocks
    if not memory.sizes.all():
        blocks = [_with_bytes(of_call, memory.sizes) for of_call in blocks]
    sizes = memory.sizes.tolist()
    of_process = Memory()
    _play(blocks, sizes, now.tolist(), of_process)
    again = now + one_step
    last_touch = _play(blocks, sizes, again.tolist(), of_process)
    distances: np.ndarray = again[memory.call] - np.array(last_touch)
    return distances


def _with_bytes(blocks: BlocksOfCall, sizes: np.ndarray) -> BlocksOfCall:
    """The blocks of a call but for those of no bytes."""
    call, *groups = blocks
    return BlocksOfCall(call, *[tuple([t for t in group if sizes[t]]) for group in groups])


def _play(
    blocks: Sequence[BlocksOfCall], sizes: list[float], now: list[float], memory: Memory
) -> list[float]:
    """Run one step; returns when the memory of each tensor was touched before.

    now: when each call touches its blocks, in bytes that were touched before.
    """
    last_touch = [0.0] * len(sizes)
    for call, reads, new, freed in blocks:
        for tensor in reads:
            last_touch[tensor] = memory.touch(sizes[tensor])
        for tensor in new:
            last_touch[tensor] = memory.take(sizes[tensor])
        memory.settle(now[call])
        for tensor in freed:
            memory.give_back(sizes[tensor])
    return last_touch
