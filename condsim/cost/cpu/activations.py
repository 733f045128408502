"""What an operator costs more because its activations lie further away than in a micro-benchmark.

    extra seconds = sum over its operands: bytes * (penalty(bytes touched since their memory was)
                    - penalty(bytes between two visits of the benchmark))
                    + bytes of new memory that it writes * seconds a byte

One step is played back in order: what an operator reads was written some operators ago, and its
result takes the free block of memory that fits best, whose last use may be long ago. The C
library's allocator does so, too (malloc(3), "best fit"). Only the order of one step is looked at;
sizes are each call's own.
"""

from __future__ import annotations

import numpy as np

from condsim.cost.cpu.memory_blocks import Memory
from condsim.cost.cpu.new_memory import new_bytes
from condsim.cost.cpu.step_memory import StepMemory
from condsim.hardware import Activations, HardwareProfile


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
    memory: StepMemory, owner: np.ndarray, owners: int, curves: Activations, new_s: float = 0.0
) -> np.ndarray:
    """Return extra seconds a byte that each owner reads or writes, its mean over one step, float
    [owners].

    owner: of each call, int [calls]. new_s: seconds a byte of new memory.
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
    if new_s:
        seconds = seconds + new_s * new_bytes(memory)
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
    again = now + one_step
    when = np.concatenate([now, again, [-np.inf]])  # the last one: never
    distances: np.ndarray = again[memory.call] - when[_touched_by(memory)]
    return distances


def _touched_by(memory: StepMemory) -> np.ndarray:
    """The call that touched the memory of each tensor before, int [tensors]; `NEVER` for none.

    The calls of the second of two steps are numbered after those of the first. Which they are
    follows from how large the blocks are beside each other.
    """
    blocks = memory.blocks
    of_blocks = memory.sizes[blocks.tensors]
    unit = np.gcd.reduce(of_blocks.astype(np.int64))
    in_units = of_blocks / max(unit, 1)

    def play() -> np.ndarray:
        sizes = np.zeros(len(memory.sizes))
        sizes[blocks.tensors] = in_units
        of_process = Memory(sizes)
        of_process.play(blocks.calls)
        return of_process.play(blocks.calls, before=len(memory.product))

    return blocks.results.remember(("touched by", in_units.tobytes()), play)
