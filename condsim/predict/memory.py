"""What a step needs of a device's memory, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass

from condsim.cost.device import Target
from condsim.lowered import Lowered
from condsim.predict.peak_memory import peak_with_weights
from condsim.runtimes.appended import kept_storages


@dataclass(frozen=True)
class Memory:
    """Bytes.

    weights_bytes: of the whole model. cache_bytes: what a step leaves behind for the next: keys and
    values. activations_bytes: the rest of what is alive at once. device_bytes: that there are.
    """

    weights_bytes: int
    cache_bytes: int
    activations_bytes: int
    device_bytes: float

    @property
    def needed_bytes(self) -> int:
        return self.weights_bytes + self.cache_bytes + self.activations_bytes

    @property
    def fits(self) -> bool:
        """Whether the device has room for all of it."""
        return self.needed_bytes <= self.device_bytes


def memory_of(lowered: Lowered, target: Target) -> Memory:
    """Return what a program needs, at the step that needs most."""
    peak = peak_with_weights(lowered, target)
    cache = _cache_bytes(lowered, target)
    rest = max(0, peak - target.weights_bytes - cache)
    return Memory(target.weights_bytes, cache, rest, target.profile.dram.bytes.value)


def _cache_bytes(lowered: Lowered, target: Target) -> int:
    """The largest sum over steps of what outlives them."""
    program = lowered.program
    sizes = dict(lowered.steps.extents)
    total = 0 * next(iter(sizes.values()))
    for position in kept_storages(program):
        for elements, dtype in program.root.nodes[position].allocs:
            total = total + elements(sizes) * target.itemsize(dtype)
    return int(total.max())
