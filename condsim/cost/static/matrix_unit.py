"""What a systolic matrix unit really multiplies: every matrix is padded with zeros to whole blocks, and blocks go to the units in whole rounds.

    blocks = groups * ceil(m / feed) * ceil(k / rows) * ceil(n / columns)
    padded FLOPs = ceil(blocks / units) * units * 2 * feed * rows * columns

Source: jax-ml/scaling-book, tpus.md: one pass of a TPU's unit multiplies bf16[8,128] by bf16[128,128] in 8 cycles; smaller axes are padded.
Not true for convolutions with few input channels, which compilers rearrange, nor where a compiler splits the units between two products.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.hardware import Matrix
from condsim.program.operators import Work


def padded_flops(job: Work, matrix: Matrix | None, group_rows: np.ndarray | None = None) -> Any:
    """FLOPs that the unit spends on a product, zeros included; never fewer than it has. A number, or an array like the sizes.

    matrix: None = exactly those it has. group_rows: int array [calls, groups], rows of each group of a grouped product (each padded to whole blocks of
    `rows`, the tile that a grouped kernel walks); None: m rows in each group.
    """
    if matrix is None:
        return job.flops
    units, rows, columns, feed = (
        float(q) for q in (matrix.units, matrix.rows, matrix.columns, matrix.feed)
    )
    m, n, k, groups = (np.asarray(x, dtype=float) for x in (job.m, job.n, job.k, job.groups))
    if group_rows is not None:
        steps = np.ceil(group_rows / rows).sum(-1) * (rows / feed)
    elif job.family == "conv2d":
        steps, n = groups * np.ceil(m / feed), n / groups
    else:
        steps = groups * np.ceil(m / feed)
    blocks = steps * np.ceil(k / rows) * np.ceil(n / columns)
    if job.family == "attention":  # a second product, of n keys with k columns of values
        blocks = blocks + steps * np.ceil(n / rows) * np.ceil(k / columns)
    padded = np.ceil(blocks / units) * units * 2 * feed * rows * columns
    return np.where(np.asarray(job.flops) > 0, np.maximum(padded, job.flops), 0.0)
