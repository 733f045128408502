"""Cases of all products, and the tables of linear layers and of torch.mm."""

from __future__ import annotations

import itertools
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
    return partial(F.linear, pool(*shape), pool(shape[-1], shape[-1]))


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
    table = np.full((len(rows), len(columns), len(depths)), np.nan)
    for a, b, c in np.ndindex(table.shape):
        m, n, k = rows[a], columns[b], depths[c]
        if (family, m, n, k) in seconds:
            table[a, b, c] = seconds[family, m, n, k]
        elif b:
            at_same_rate = table[a, b - 1, c] * n / columns[b - 1]
            of_fewer_rows = table[a - 1, b, c] if a else 0.0
            table[a, b, c] = max(at_same_rate, of_fewer_rows)
        elif a:
            table[a, b, c] = table[a - 1, b, c] * m / rows[a - 1]
        else:
            table[a, b, c] = table[a, b, c - 1] * k / depths[c - 1]
    return Grid(
        m=list(rows),
        n=list(columns),
        k=list(depths),
        seconds=table.ravel().tolist(),
        reached=most_flops,
    )


def bias_curve(seconds: dict[Any, float]) -> Curve:
    """What a bias adds to a linear layer, by elements of its result."""
    extra_s = []
    for family, *sizes in seconds:
        if family == "bias":
            m, n = sizes
            extra = seconds["bias", m, n] - seconds["unbiased", m, n]
            extra_s.append((m * n, max(extra, LEAST_BIAS_S)))
    extra_s.sort()
    rising_s = np.maximum.accumulate([extra for _, extra in extra_s])
    return Curve(
        sizes=[float(elements) for elements, _ in extra_s],
        seconds=[rising_s.tolist()],
        uncertainty=0.3,
    )


def peak_flops(seconds: dict[Any, float]) -> float:
    """FLOPs a second of the fastest linear layer."""
    fastest = 0.0
    for family, *sizes in seconds:
        if family == "linear":
            m, n, k = sizes
            fastest = max(fastest, 2 * m * n * k / seconds[family, m, n, k])
    return fastest


def extra_costs(seconds: dict[Any, float]) -> dict[str, float]:
    """Seconds that an input of three dimensions adds to linear, and torch.matmul to torch.bmm."""
    return {
        "linear.deep": max(seconds["deep",] - seconds["flat",], 0.0),
        "matmul.extra": max(seconds["matmul_tiny",] - seconds["bmm_tiny",], 0.0),
    }
