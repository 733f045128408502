"""What a ragged grouped matmul costs beyond the linear layers of its groups."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import nnls

from condsim.calibrate.matmul_calls import grouped
from condsim.cost.cpu.residency import Weight, miss_per_byte
from condsim.cost.cpu.tables import grid_seconds
from condsim.hardware import Grid, Residency
from condsim.timing.cases import Pool
from condsim.timing.yardstick import Call


class Grouped(NamedTuple):
    """A grouped matmul whose groups have equally many rows: weights [groups, n, k]."""

    groups: int
    rows: int
    n: int
    k: int


SMALL = ((0, 64, 64), (1, 32, 32), (1, 64, 64), (8, 64, 64), (3, 128, 48))
"""(rows of a group, n, k), where set-up counts."""
LARGE = (
    (1, 512, 256),
    (4, 256, 128),
    (32, 128, 256),
    (64, 64, 64),
    (32, 256, 512),
    (64, 512, 256),
)
"""(rows of a group, n, k), where products count."""
SIZES = [
    *(Grouped(groups, *size) for groups in (4, 16, 32) for size in SMALL),
    *(Grouped(groups, *size) for groups in (4, 8) for size in LARGE),
]
COSTS = ("grouped_mm.setup", "grouped_mm.group", "grouped_mm.busy")


def cases(pool: Pool) -> dict[Any, Callable[[], Call]]:
    """The cases, keyed by ("grouped_mm", number)."""
    made: dict[Any, Callable[[], Call]] = {}
    for number, size in enumerate(SIZES):
        rows = [size.rows] * size.groups
        made["grouped_mm", number] = partial(grouped, pool, rows, size.n, size.k)
    return made


def grouped_costs(
    seconds: dict[Any, float], linear: Grid, residency: Residency, itemsize: int = 4
) -> dict[str, float]:
    """Seconds of the set-up, of each group, and of each group with rows, by least squares.

    They are what grouped matmuls take beyond the linear layers of their groups, and beyond what
    weights cost that the other groups' weights evicted. Large ones take 1.0 to 1.1 times their
    layers: a factor fitted to that would come out of the noise.

    seconds: of each case, by its key. linear, residency: tables of the same calibration.
    itemsize: bytes of an element of the weights.
    """
    dispatch_s = min(linear.seconds)
    counts = []
    measured = []
    beyond = []
    for number, (groups, rows, n, k) in enumerate(SIZES):
        busy = groups if rows else 0
        weight_bytes = itemsize * n * k
        layers_s = evicted_s = 0.0
        all_weights_bytes = weight_bytes * busy
        for _ in range(busy):
            layer_s, _outside = grid_seconds(linear, rows, n, k)
            layers_s += max(float(layer_s) - dispatch_s, 0.0)
            weight = Weight(float(weight_bytes), itemsize * k, rows)
            miss = miss_per_byte(residency, weight, all_weights_bytes)
            evicted_s += float(miss) * weight_bytes
        case_s = seconds["grouped_mm", number]
        counts.append([1.0, groups, busy])
        measured.append(case_s)
        beyond.append(max(case_s - layers_s - evicted_s, 0.0))
    scale_s = np.array(measured)
    relative_counts = np.array(counts) / scale_s[:, None]
    relative_s = np.array(beyond) / scale_s
    fitted, _ = nnls(relative_counts, relative_s)
    return dict(zip(COSTS, fitted.tolist(), strict=True))
