"""What a systolic matrix unit really multiplies: whole blocks, in whole rounds over the units.

Every matrix is padded with zeros.

    blocks = groups * ceil(m / feed) * ceil(k / rows) * ceil(n / columns)
    padded FLOPs = ceil(blocks / units) * units * 2 * feed * rows * columns

Source: jax-ml/scaling-book, tpus.md: one pass of a TPU's unit multiplies bf16[8,128] by
bf16[128,128] in 8 cycles; smaller axes are padded.
Not true for convolutions with few input channels, which compilers rearrange, nor where a compiler
splits the units between two products.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.hardware import Matrix
from condsim.program.work import Work


def padded_flops(job: Work, matrix: Matrix | None, group_rows: np.ndarray | None = None) -> Any:
    """FLOPs that the unit spends on a product, zeros included; never fewer than it has.

    matrix: None = exactly those it has. group_rows: int array [calls, groups], rows of each group
    of a grouped product (each padded to whole blocks of `rows`, the tile that a grouped kernel
    walks); None: m rows in each group. Returns a number, or an array like the sizes.
    """
    if matrix is None:
        return job.flops
    units = matrix.units.value
    rows = matrix.rows.value
    columns = matrix.columns.value
    feed = matrix.feed.value
    m = np.asarray(job.m, dtype=float)
    n = np.asarray(job.n, dtype=float)
    k = np.asarray(job.k, dtype=float)
    groups = np.asarray(job.groups, dtype=float)
    if group_rows is not None:
        row_tiles = np.ceil(group_rows / rows).sum(-1)
        row_blocks = row_tiles * (rows / feed)
    else:
        row_blocks = groups * np.ceil(m / feed)
        if job.family == "conv2d":
            n = n / groups
    depth_blocks = np.ceil(k / rows)
    column_blocks = np.ceil(n / columns)
    blocks = row_blocks * depth_blocks * column_blocks
    if job.family == "attention":  # a second product, of n keys with k columns of values
        depth_blocks = np.ceil(n / rows)
        column_blocks = np.ceil(k / columns)
        blocks = blocks + row_blocks * depth_blocks * column_blocks
    rounds = np.ceil(blocks / units)
    padded = rounds * units * 2 * feed * rows * columns
    flops = np.asarray(job.flops)
    at_least_flops = np.maximum(padded, job.flops)
    return np.where(flops > 0, at_least_flops, 0.0)
