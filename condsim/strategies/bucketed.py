"""Rows are rounded up to one of a few sizes, so that a compiler of fixed shapes meets few."""

from __future__ import annotations

import numpy as np

from condsim.hardware import abilities
from condsim.mechanisms import Guards, Rows
from condsim.strategies.alone import ALONE, rows_alone
from condsim.strategies.strategy import EVERY_FAMILY, strategy

SMALLEST = 8


@strategy(
    "bucketed", *EVERY_FAMILY, needs=(abilities.XLA,), shapes="few", steered="host", runs=ALONE
)
def bucketed(guards: Guards) -> Rows:
    """The next power of two from 8 on, no more rows than arrive (or blocks than there are).

    Source of the sizes: vllm-project/tpu-inference, which pads requests to 8, 16, 32, 64, 128 or
    256.
    """
    arriving, rows = rows_alone(guards)
    most = guards.every_row()
    if guards.mechanism.selects_blocks:
        most = np.full_like(rows, guards.counts.shape[1])
    padded = np.minimum(bucket(rows), most)
    return arriving, np.where(rows > 0, padded, 0)


def bucket(rows: np.ndarray) -> np.ndarray:
    """Return the smallest bucket that holds so many rows; int array of the same shape."""
    least = np.maximum(rows, SMALLEST)
    exponent = np.ceil(np.log2(least)).astype(np.int64)
    sizes: np.ndarray = np.left_shift(np.int64(1), exponent)
    return sizes
