"""Cases of all products, and the tables of linear layers and of torch.mm."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate import grouped, scattered, shapes
from condsim.calibrate.matmul_calls import linear, linear_with_bias, mm
from condsim.hardware import Curve, Grid
from condsim.timing.cases import Pool
from condsim.timing.yardstick import Call

Cases = dict[Any, Callable[[], Call]]
"""Key → a function that makes the call. Keys are (family, *sizes), or (name,) of a single case."""
BIAS_DEPTH = 64
LEAST_BIAS_S = 1e-8


def cases(pool: Pool, size: shapes.Size) -> Cases:
    """All cases of products."""
    made: Cases = {}
    for m, n, k in itertools.product(size.rows, size.columns, size.depths):
        if shapes.timed(m, n, k, size.flops):
            made["linear", m, n, k] = partial(linear, pool, m, n, k)
    for m, n, k in itertools.product(size.mm_rows, size.mm_columns, size.mm_depths):
        if 2 * m * n * k <= size.flops:
            made["mm", m, n, k] = partial(mm, pool, m, n, k)
    for m, n in shapes.BIAS_SIZES:
        if 2 * m * n * BIAS_DEPTH <= size.flops:
            made["bias", m, n] = partial(linear_with_bias, pool, m, n, BIAS_DEPTH)
            made["unbiased", m, n] = partial(linear, pool, m, n, BIAS_DEPTH)
    made |= scattered.cases(pool, size)
    made |= grouped.cases(pool)
    made["flat",] = partial(_linear_of, pool, 8, 64)
    made["deep",] = partial(_linear_of, pool, 2, 4, 64)
    made["bmm_tiny",] = partial(_bmm_tiny, pool)
    made["matmul_tiny",] = partial(_matmul_tiny, pool)
    return made


def _linear_of(pool: Pool, *shape: int) -> Call:
    """A square linear layer on an input of this shape."""
    width = shape[-1]
    return partial(F.linear, pool(*shape), pool(width, width))


def _bmm_tiny(pool: Pool) -> Call:
    return partial(torch.bmm, pool(4, 8, 8), pool(4, 8, 8))


def _matmul_tiny(pool: Pool) -> Call:
    return partial(torch.matmul, pool(2, 2, 8, 8), pool(2, 2, 8, 8))


def grid(
    seconds: dict[Any, float],
    family: str,
    rows: Sequence[int],
    columns: Sequence[int],
    depths: Sequence[int],
    most_flops: float,
) -> Grid:
    """The full grid of a family.

    A cell that was too large to time gets the rate of the largest one with fewer columns, but at
    least the time of the cell with fewer rows. In the first column the rate is that of fewer rows,
    in the first cell that of less depth.

    seconds: of each case, by its key. most_flops: of the largest cell that was timed.
    """
    shape = (len(rows), len(columns), len(depths))
    table = np.full(shape, np.nan)
    for cell in np.ndindex(shape):
        a, b, c = cell
        m, n, k = rows[a], columns[b], depths[c]
        if (family, m, n, k) in seconds:
            table[cell] = seconds[family, m, n, k]
        elif b:
            fewer_columns_s = table[a, b - 1, c]
            table[cell] = _at_same_rate(fewer_columns_s, columns[b - 1], n)
            if a:
                fewer_rows_s = table[a - 1, b, c]
                table[cell] = max(table[cell], fewer_rows_s)
        elif a:
            fewer_rows_s = table[a - 1, b, c]
            table[cell] = _at_same_rate(fewer_rows_s, rows[a - 1], m)
        else:
            less_depth_s = table[a, b, c - 1]
            table[cell] = _at_same_rate(less_depth_s, depths[c - 1], k)
    cells_s = table.ravel().tolist()
    return Grid(m=[*rows], n=[*columns], k=[*depths], seconds=cells_s, reached=most_flops)


def _at_same_rate(seconds: float, size: int, larger_size: int) -> float:
    """Seconds at a larger size, when `seconds` were measured at a size."""
    return seconds * larger_size / size


def bias_curve(seconds: dict[Any, float]) -> Curve:
    """What a bias adds to a linear layer, by elements of its result."""
    extra_s = {}
    for (family, *sizes), biased_s in seconds.items():
        if family == "bias":
            unbiased_s = seconds["unbiased", *sizes]
            elements = float(math.prod(sizes))
            extra_s[elements] = max(biased_s - unbiased_s, LEAST_BIAS_S)
    rising_sizes = sorted(extra_s)
    rising_s = np.maximum.accumulate([extra_s[elements] for elements in rising_sizes])
    return Curve(sizes=rising_sizes, seconds=[rising_s.tolist()], uncertainty=0.3)


def peak_flops(seconds: dict[Any, float]) -> float:
    """FLOPs a second of the fastest linear layer."""
    fastest = 0.0
    for (family, *sizes), layer_s in seconds.items():
        if family == "linear":
            flops = 2 * math.prod(sizes)
            fastest = max(fastest, flops / layer_s)
    return fastest


def extra_costs(seconds: dict[Any, float]) -> dict[str, float]:
    """Seconds that an input of three dimensions adds to linear, and torch.matmul to torch.bmm."""
    deep_s = seconds["deep",] - seconds["flat",]
    matmul_s = seconds["matmul_tiny",] - seconds["bmm_tiny",]
    return {"linear.deep": max(deep_s, 0.0), "matmul.extra": max(matmul_s, 0.0)}
