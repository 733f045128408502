"""What a step needs of a device's memory, whether it fits, and what would help."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from condsim.cost.device import Target
from condsim.cost.roofline import DTYPE_BYTES
from condsim.lowered import Lowered
from condsim.predict.own_caches import POSITIONS, own_caches_bytes
from condsim.predict.peak_memory import peak_with_weights, sampled_steps
from condsim.predict.training_memory import TrainingPeak, training_peak
from condsim.program import Op, elements
from condsim.runtimes.quantised import WEIGHT_DTYPES
from condsim.runtimes.served import kept_storages

GB = 1e9


@dataclass(frozen=True)
class Memory:
    """Bytes.

    weights_bytes: of the whole model. caches_bytes: what a step leaves for the next, or is handed
    and writes in place: keys and values. activations_bytes: the rest of what is alive at once.
    device_bytes: that there are.
    training: of a training step, all parts by name; its optimizer's state counts as activations.
    dtypes: those of the device that are narrower → how many times as narrow.
    """

    weights_bytes: int
    caches_bytes: int
    activations_bytes: int
    device_bytes: float
    dtypes: Mapping[str, float] = field(default_factory=dict)
    training: TrainingPeak | None = None

    @property
    def needed_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.caches_bytes + self.activations_bytes

    @property
    def fits(self) -> bool:
        """Whether the device has room for all of it."""
        return self.needed_bytes <= self.device_bytes

    @property
    def ways_out(self) -> list[str]:
        """What would make it fit, in a few words each; empty where it fits."""
        return [] if self.fits else list(self._ways_out())

    def _ways_out(self) -> Iterator[str]:
        for dtype, times in self.dtypes.items():
            narrower = self.needed_bytes / times
            if narrower <= self.device_bytes:
                yield f"dtype {dtype} ({narrower / GB:.0f} GB)"
        left = self.device_bytes - self.weights_bytes - self.activations_bytes
        if left > 0:
            yield f"caches of {left / GB:.0f} GB: a smaller batch or context"
        yield f"{math.ceil(self.needed_bytes / self.device_bytes)} such devices"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = {
            "weights_bytes": self.weights_bytes,
            "caches_bytes": self.caches_bytes,
            "activations_bytes": self.activations_bytes,
            "device_bytes": self.device_bytes,
            "fits": self.fits,
            "ways_out": self.ways_out,
        }
        if self.training is not None:
            plain["training"] = self.training.to_dict()
        return plain


def memory_of(lowered: Lowered, target: Target, away_bytes: int = 0) -> Memory:
    """Return what a program needs, at the step that needs most.

    away_bytes: of weights that are in the host's memory.
    """
    if lowered.program.stages:
        return _memory_of_training(lowered, target)
    weights = target.weights_bytes
    alive = peak_with_weights(lowered, target) - weights
    saved_bytes = _saved_bytes(lowered, target)
    caches = min(alive, _caches_bytes(lowered, target))
    own_caches = own_caches_bytes(lowered, target)
    device = target.profile.dram.bytes.value
    return Memory(
        weights_bytes=weights - saved_bytes - away_bytes,
        caches_bytes=caches + own_caches,
        activations_bytes=alive - caches,
        device_bytes=device,
        dtypes=_narrower(target),
    )


def _memory_of_training(lowered: Lowered, target: Target) -> Memory:
    """What a training step needs: weights and state of what it trains, and all that it makes."""
    peak = training_peak(lowered, target, sampled_steps(len(lowered.steps)))
    device = target.profile.dram.bytes.value
    made = peak.optimizer_bytes + peak.alive_bytes
    return Memory(peak.weights_bytes, 0, made, device, _narrower(target), peak)


def _saved_bytes(lowered: Lowered, target: Target) -> int:
    """Bytes that weights in a narrower dtype than activations take less."""
    narrow: dict[str, float] = {}
    for placed in lowered.program.scopes:
        for op in placed.scope.nodes:
            if not isinstance(op, Op):
                continue
            for tensor in op.inputs:
                if tensor.weight and tensor.dtype in WEIGHT_DTYPES:
                    saved = target.float_bytes - target.bytes_an_element(tensor.dtype)
                    narrow[tensor.weight] = saved * elements(tensor.shape({}))
    return int(sum(narrow.values()))


def _narrower(target: Target) -> dict[str, float]:
    """The device's dtypes that take fewer bytes, one of each width → how many times fewer."""
    found: dict[float, str] = {}
    for dtype in target.profile.peak_flops:
        if dtype in DTYPE_BYTES and DTYPE_BYTES[dtype] < target.float_bytes:
            found.setdefault(target.float_bytes / DTYPE_BYTES[dtype], dtype)
    return {dtype: times for times, dtype in found.items()}


def _caches_bytes(lowered: Lowered, target: Target) -> int:
    """The largest sum, over steps, of what outlives them."""
    sizes = lowered.steps.extents
    if (sizes[POSITIONS] <= 1).all():
        return 0  # what outlives a step of an image is a result of it
    total = np.zeros(len(lowered.steps))
    for position in kept_storages(lowered.program):
        op = lowered.program.root.nodes[position]
        assert isinstance(op, Op)
        for size, dtype in op.allocs:
            total += np.asarray(size(sizes)) * target.itemsize(dtype)
    return int(total.max(initial=0))
