"""Memory traffic of a kernel in a prepared graph: activations stay on the chip where they fit.

    seconds = max(weights / main bandwidth, activations / on-chip bandwidth)
                    where the kernel's tensors fit on the chip
              (weights + activations) / main bandwidth
                    where they do not
    weights = bytes * max(0, 1 - weight cache / all weights)
              bytes where nothing keeps them between runs

Source: compilers of fixed graphs place tensors ahead of time (jax-ml/scaling-book, tpus.md, on
VMEM; maderix.substack.com on the cliff at 32 MB of an M4 Neural Engine;
coral.ai/docs/edgetpu/compiler on the parameter cache and what is streamed beyond it).
Not true where a compiler tiles a larger operator so that its parts stay on the chip.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from condsim.cost.rounding import round_up
from condsim.hardware import HardwareProfile, Level
from condsim.program import elements
from condsim.program.work import Shape

LANES = 128
"""Elements of a tile along the lanes."""
SUBLANE_BYTES = 4
"""Bytes of one element of a sublane: narrower dtypes are packed, so that a tile has more rows."""


def on_chip(profile: HardwareProfile) -> Level | None:
    """The smallest memory, None where there is one only."""
    if len(profile.memory) < 2:
        return None
    return min(profile.memory.values(), key=_capacity_bytes)


def _capacity_bytes(level: Level) -> float:
    return level.bytes.value


def weight_share(profile: HardwareProfile, all_weights_bytes: float) -> float:
    """Share of the weights that each run reads from main memory, 0 to 1.

    It is what a cache of weights does not hold of them.
    """
    if profile.weight_cache_bytes is None:
        return 1.0
    cached = profile.weight_cache_bytes.value / max(all_weights_bytes, 1.0)
    return max(0.0, 1.0 - cached)


def traffic_seconds(
    weights_bytes: Any, activation_bytes: Any, profile: HardwareProfile
) -> tuple[Any, Any, Any]:
    """(seconds of weights, seconds of activations, whether the activations are on the chip).

    weights_bytes, activation_bytes: numbers or arrays [n]. The two overlap where the activations
    are on the chip, else they share main memory and add up.
    """
    main = profile.dram.bandwidth.value
    weights_s = np.asarray(weights_bytes, dtype=float) / main
    chip = on_chip(profile)
    if chip is None:
        activations_s = np.asarray(activation_bytes, dtype=float) / main
        return weights_s, activations_s, np.zeros(np.shape(activation_bytes), dtype=bool)
    fits = np.asarray(activation_bytes) + weights_bytes <= chip.bytes.value
    bandwidth = np.where(fits, chip.bandwidth.value, main)
    return weights_s, np.asarray(activation_bytes) / bandwidth, fits


def tiled_elements(shape: Shape, itemsize: int, sublanes: float) -> Any:
    """Elements that an array takes where two of its dimensions are padded to whole tiles.

    A tile is (sublanes * 4 / itemsize) x 128. The pair of dimensions that wastes least is taken,
    since a compiler chooses layouts. itemsize: bytes of an element. Returns int or int array [n].
    Source: jax-ml/scaling-book, tpus.md and profiling.md: T(8,128), bf16 (2,1) inside.
    """
    if not shape:
        return 1
    tile_rows = max(int(sublanes * SUBLANE_BYTES // itemsize), 1)
    if len(shape) == 1:
        return round_up(shape[0], LANES)
    least: Any = None
    for lane, row in itertools.permutations(range(len(shape)), 2):
        other_sizes = [size for i, size in enumerate(shape) if i not in (lane, row)]
        lanes = round_up(shape[lane], LANES)
        rows = round_up(shape[row], tile_rows)
        padded = elements(tuple(other_sizes)) * lanes * rows
        least = padded if least is None else np.minimum(least, padded)
    return least
