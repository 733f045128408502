"""Rows are rounded up to one of a few sizes, so that a compiler of fixed shapes meets few of them."""

from __future__ import annotations

import numpy as np

from condsim.strategies import ANY_ROWS, BRANCHED, Guard, Rows, rows_that_run, strategy

SMALLEST = 8


@strategy(
    "bucketed",
    *BRANCHED,
    "moe",
    "sparse_activation",
    kinds=("tpu",),
    shapes="few",
    steered="host",
    runs=ANY_ROWS,
)
def bucketed(guard: Guard) -> Rows:
    """The next power of two from 8 on, no more than arrive (blocks: than there are); none where none took the branch.

    Source of the sizes: vllm-project/tpu-inference, which pads requests to 8, 16, 32, 64, 128 or 256.
    """
    outer, rows = rows_that_run(ANY_ROWS[guard.mechanism], guard)
    most = (
        np.full_like(rows, guard.counts.shape[1])
        if guard.mechanism == "sparse_activation"
        else guard.arriving
    )
    return outer, np.where(rows > 0, np.minimum(bucket(rows), most), 0)


def bucket(rows: np.ndarray) -> np.ndarray:
    """The smallest bucket that holds so many rows; int array of the same shape."""
    exponent = np.ceil(np.log2(np.maximum(rows, SMALLEST))).astype(np.int64)
    sizes: np.ndarray = np.left_shift(np.int64(1), exponent)
    return sizes
