"""Which kernel a product runs on a CPU, and in what tiles these kernels compute."""

from __future__ import annotations

from typing import Any

import numpy as np

ROW_TILE = 4
"""Rows that one pass of an fp32 kernel computes; a remainder of 1 to 3 costs a pass of its own."""
COLUMN_TILE = 8
"""Columns of one vector register; a remainder costs masked passes."""
SMALL_BMM_MULTIPLY_ADDS = 400


def bmm_family(groups: Any, m: Any, n: Any, k: Any) -> Any:
    """Which kernel a batch of products runs; numbers, or arrays [n].

    Two or more products of below 400 multiply-adds run a plain loop, larger ones the BLAS, whose
    vector forms differ. Returns a str, or str array [n]. Source: PyTorch,
    aten/src/ATen/native/LinearAlgebra.cpp, bmm_out_or_baddbmm_.
    """
    groups, m, n, k = np.broadcast_arrays(groups, m, n, k)
    small = m * n * k < SMALL_BMM_MULTIPLY_ADDS
    conditions = [groups < 2, small, m == 1, n == 1]
    family = np.select(conditions, ["mm", "bmm_small", "bmm_row", "bmm_column"], "bmm")
    return family if family.ndim else str(family)


def conv_family(
    batch: Any, image: Any, kernel: Any, stride: int, groups: Any, threads: int = 1
) -> Any:
    """Which kernel a convolution runs: oneDNN ("conv2d") or im2col and BLAS ("conv2d_native").

    batch: images; image: elements of one; kernel: its width; numbers or arrays [n], as is groups.
    Returns a str, or str array [n]. Source: PyTorch, aten/src/ATen/native/Convolution.cpp,
    ConvParams::use_mkldnn.
    """
    batch, image = np.asarray(batch), np.asarray(image)
    worth_it = (stride > 1) | (batch >= 16) | (kernel != 1) | (threads > 1)
    large = (groups > 1) | (kernel > 3) | (batch > 1) | (batch * image > 20480)
    family = np.where(worth_it & large, "conv2d", "conv2d_native")
    return family if family.ndim else str(family)
