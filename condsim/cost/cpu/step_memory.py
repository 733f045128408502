"""What the calls of one step touch in memory, as numbers of tensors and as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from condsim.results import Results

# What a calibrated operator that is no matmul turns through between two visits of the same tensors:
# so many bytes, but no more than so many sets of tensors.
BETWEEN_BYTES = 2**20
SETS = 8


class BlocksOfCall(NamedTuple):
    """The blocks of memory that a call of a step touches, as numbers of tensors.

    call: its number. reads: activations. new: storages that it makes. freed: storages that are
    dead after it. temporary: copies of its own, which nobody else sees.
    """

    call: int
    reads: tuple[int, ...] = ()
    new: tuple[int, ...] = ()
    freed: tuple[int, ...] = ()
    temporary: tuple[int, ...] = ()


@dataclass(frozen=True)
class StepBlocks:
    """The blocks of memory that the calls of a step touch, whatever their sizes are.

    calls: those that touch some, in executed order.
    """

    calls: Sequence[BlocksOfCall]

    @cached_property
    def tensors(self) -> np.ndarray:
        """The tensors that are among them, temporary ones apart, int [n]."""
        found: set[int] = set()
        for of_call in self.calls:
            found.update(of_call.reads, of_call.new, of_call.freed)
        return np.array(sorted(found), np.int64)

    @cached_property
    def lives(self) -> tuple[np.ndarray, np.ndarray]:
        """(tensor, 1 where it is made and -1 where it dies) in executed order, int [2 * made]."""
        tensors: list[int] = []
        changes: list[int] = []
        made: set[int] = set()
        for of_call in self.calls:
            born = (*of_call.temporary, *of_call.new)
            made.update(born)
            freed = (*of_call.temporary, *of_call.freed)
            dead = [tensor for tensor in freed if tensor in made]
            tensors += [*born, *dead]
            changes += [1] * len(born) + [-1] * len(dead)
        return np.array(tensors, np.int64), np.array(changes, np.int64)

    @cached_property
    def results(self) -> Results:
        """What was lately worked out of them."""
        return Results()


@dataclass(frozen=True)
class StepMemory:
    """Bytes that the calls of one step touch, in executed order.

    blocks: of the calls. sizes: bytes of each tensor. call: that touches it.
    read, new, temporary: whether it is an activation that is read, a new storage, or a copy that an
    operator makes for itself; [tensors] each.
    weights: bytes of all weights that a call reads. in_place: that it writes where something was.
    product: it is a matmul; [calls] each.
    """

    blocks: StepBlocks
    sizes: np.ndarray
    call: np.ndarray
    read: np.ndarray
    new: np.ndarray
    temporary: np.ndarray
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
    def most_alive(self) -> float:
        """The largest sum of bytes that the step has made and still has."""
        tensors, changes = self.blocks.lives
        alive = np.cumsum(changes * self.sizes[tensors])
        return float(alive.max(initial=0.0))

    @property
    def usual_distance(self) -> np.ndarray:
        """Bytes touched between two visits to a tensor in the micro-benchmark, float [calls]."""
        in_between = np.minimum(BETWEEN_BYTES, SETS * self.bytes)
        return np.where(self.product, self.bytes, np.maximum(self.bytes, in_between))
