"""Memory traffic of a kernel in a prepared graph: activations stay on the chip where they fit, weights come from main memory.

    seconds = max(weights / main bandwidth, activations / on-chip bandwidth)       where the kernel's tensors fit on the chip
              (weights + activations) / main bandwidth                             where they do not
    weights = bytes * max(0, 1 - weight cache / all weights)                       bytes where nothing keeps them between runs

Source: compilers of fixed graphs place tensors ahead of time (jax-ml/scaling-book, tpus.md, on VMEM; maderix.substack.com on the cliff at 32 MB of an M4
Neural Engine; coral.ai/docs/edgetpu/compiler on the parameter cache and what is streamed beyond it).
Not true where a compiler tiles a larger operator so that its parts stay on the chip.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from condsim.hardware import HardwareProfile, Level
from condsim.program import elements
from condsim.program.operators import Shape

LANES = 128


def on_chip(profile: HardwareProfile) -> Level | None:
    """The smallest memory, None where there is one only."""
    return (
        min(profile.memory.values(), key=lambda level: level.bytes.value)
        if len(profile.memory) > 1
        else None
    )


def weight_share(profile: HardwareProfile, all_weights_bytes: float) -> float:
    """Share of the weights that each run reads from main memory, 0 to 1: what a cache of weights does not hold of them."""
    if profile.weight_cache_bytes is None:
        return 1.0
    return max(0.0, 1.0 - profile.weight_cache_bytes.value / max(all_weights_bytes, 1.0))


def traffic_seconds(
    weights_bytes: Any, activation_bytes: Any, profile: HardwareProfile
) -> tuple[Any, Any, Any]:
    """(seconds of weights, seconds of activations, whether the activations are on the chip); numbers or arrays [n].

    The two overlap where the activations are on the chip, else they share main memory and add up.
    """
    main, chip = profile.dram.bandwidth.value, on_chip(profile)
    of_weights = np.asarray(weights_bytes, dtype=float) / main
    if chip is None:
        return (
            of_weights,
            np.asarray(activation_bytes, dtype=float) / main,
            np.zeros(np.shape(activation_bytes), dtype=bool),
        )
    fits = np.asarray(activation_bytes) + weights_bytes <= chip.bytes.value
    return (
        of_weights,
        np.asarray(activation_bytes) / np.where(fits, chip.bandwidth.value, main),
        fits,
    )


def tiled_elements(shape: Shape, itemsize: int, sublanes: float) -> Any:
    """Elements that an array takes where two of its dimensions are padded to tiles of (sublanes * 4 / itemsize) x 128; int or int array [n].

    The pair that wastes least is taken, since a compiler chooses layouts. Source: jax-ml/scaling-book, tpus.md and profiling.md: T(8,128), bf16 (2,1) inside.
    """
    if not shape:
        return 1
    sub = max(int(sublanes * 4 // itemsize), 1)
    if len(shape) == 1:
        return _up(shape[0], LANES)
    best: Any = None
    for lane, row in itertools.permutations(range(len(shape)), 2):
        others = elements(tuple(d for i, d in enumerate(shape) if i not in (lane, row)))
        size = others * _up(shape[lane], LANES) * _up(shape[row], sub)
        best = size if best is None else np.minimum(best, size)
    return best


def _up(size: Any, to: int) -> Any:
    return -(-size // to) * to
