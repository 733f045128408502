"""The largest sum of bytes that are alive at once."""

from __future__ import annotations

import numpy as np

from condsim.cost.device import ITEMSIZE, Target
from condsim.errors import CondsimError
from condsim.lowered import Call, Lowered

SAMPLED_STEPS = 8


def peak_bytes(calls: list[Call], float_bytes: int = 4) -> int:
    """Return the largest sum of bytes alive at once that a step allocates; weights and inputs are
    not counted.

    calls: of the step in executed order. float_bytes: of one activation.
    Raises CondsimError for a dtype that has no known size.
    """
    itemsize = {"float": float_bytes, **ITEMSIZE}
    for dtype in {dtype for call in calls for _, dtype in call.born}:
        if dtype not in itemsize:
            raise CondsimError(f"a tensor of dtype {dtype!r} has no known size")
    live = peak = 0
    for call in calls:
        for elements, dtype in call.born:
            live += elements * itemsize[dtype]
        peak = max(peak, live)
        for elements, dtype in call.freed:
            live -= elements * itemsize[dtype]
    return peak


def sampled_steps(count: int) -> np.ndarray:
    """Return at most SAMPLED_STEPS evenly spread numbers of so many steps."""
    evenly_spaced = np.linspace(0, count - 1, SAMPLED_STEPS).astype(int)
    return np.unique(evenly_spaced)


def peak_with_weights(lowered: Lowered, target: Target) -> int:
    """Return the weights plus the largest sum of live tensors over at most SAMPLED_STEPS evenly
    spread steps, bytes."""
    largest = 0
    for step in sampled_steps(len(lowered.steps)):
        calls = lowered.sequence(int(step))
        live = peak_bytes(calls, target.float_bytes)
        largest = max(largest, live)
    return largest + target.weights_bytes
