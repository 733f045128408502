"""Cases of operators on compressed sparse matrices and of those that move a mask, and the tables
made of their times.

They are in fp32: PyTorch has no sparse products of other types on every CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from condsim.calibrate import shapes
from condsim.calibrate.scattered import LEAST_POINTS, scatter_of
from condsim.calibrate.sparse_calls import (
    SEED,
    Sparse,
    chosen,
    compressed,
    drawn,
    filled,
    multiplied,
    picked,
    sampled,
    turned,
)
from condsim.cost.cpu.sparse_time import (
    CHOSEN,
    DRAWN,
    FILLED,
    MULTIPLIED,
    PICKED,
    SAMPLED,
    TURNED,
)
from condsim.hardware import Curve, Scatter
from condsim.timing.cases import Pool, existing
from condsim.timing.yardstick import Call

LEAST_DENSITY, MOST_DENSITY = 0.005, 0.6
MOST_ELEMENTS = 2**22
"""Of a matrix that is sparse, were it dense."""
VIEW_SIDE, VIEW_VALUES = 64, 8
"""Rows of the matrix that views are timed on, and values of each."""


@dataclass(frozen=True)
class Family:
    """One kind of operator.

    dims: the coordinates of its table. points: how many sizes are drawn. call: (pool, size) → the
    call. coordinates: size → its numbers in the order of dims. work: size → multiply-adds of it.
    """

    dims: list[str]
    points: int
    call: Callable[[Pool, Sparse], Call]
    coordinates: Callable[[Sparse], tuple[float, ...]]
    work: Callable[[Sparse], float]


def _multiply_adds(size: Sparse) -> float:
    return float(size.values * size.m)


def _elements(size: Sparse) -> float:
    return float(size.n * size.k)


def _all_sizes(size: Sparse) -> tuple[float, ...]:
    return tuple(size)


def _without_right(size: Sparse) -> tuple[float, ...]:
    return size[:5]


def _without_sides(size: Sparse) -> tuple[float, ...]:
    return size[:4]


def _matrix_and_values(size: Sparse) -> tuple[float, ...]:
    return size.n, size.k, size.values


def _elements_alone(size: Sparse) -> tuple[float, ...]:
    return (size.n * size.k,)


def _elements_and_moved(size: Sparse) -> tuple[float, ...]:
    return size.n * size.k, size.moved


FAMILIES: dict[str, Family] = {
    MULTIPLIED: Family(
        dims=["n", "k", "m", "values", "apart"],
        points=160,
        call=multiplied,
        coordinates=_without_right,
        work=_multiply_adds,
    ),
    TURNED: Family(
        dims=["n", "k", "m", "values"],
        points=90,
        call=turned,
        coordinates=_without_sides,
        work=_multiply_adds,
    ),
    SAMPLED: Family(
        dims=["n", "k", "m", "values", "left", "right"],
        points=140,
        call=sampled,
        coordinates=_all_sizes,
        work=_multiply_adds,
    ),
    PICKED: Family(
        dims=["n", "k", "values"],
        points=60,
        call=picked,
        coordinates=_matrix_and_values,
        work=_elements,
    ),
    CHOSEN: Family(
        dims=["elements", "values"],
        points=40,
        call=chosen,
        coordinates=_elements_and_moved,
        work=_elements,
    ),
    FILLED: Family(
        dims=["elements", "values"],
        points=24,
        call=filled,
        coordinates=_elements_and_moved,
        work=_elements,
    ),
    DRAWN: Family(
        dims=["elements"],
        points=16,
        call=drawn,
        coordinates=_elements_alone,
        work=_elements,
    ),
}


@cache
def sizes(count: int) -> tuple[Sparse, ...]:
    """Sizes of sparse matrices, each multiplied with some units."""
    rng = np.random.default_rng(SEED)
    made: list[Sparse] = []
    while len(made) < count:
        n, k = (shapes.log_uniform(rng, 32, 4096) for _ in range(2))
        m = shapes.log_uniform(rng, 1, 512)
        density = float(np.exp(rng.uniform(np.log(LEAST_DENSITY), np.log(MOST_DENSITY))))
        each = max(1, round(density * k))
        left, right = (int(value) for value in rng.integers(0, 2, 2))
        size = Sparse(n, k, m, n * each, left, right)
        if n * k <= MOST_ELEMENTS and _multiply_adds(size) <= shapes.MATMUL_FLOPS / 2:
            made.append(size)
    return tuple(made)


def points(name: str, size: shapes.Size) -> list[Sparse]:
    """The sizes at which a family is timed. size: of the calibration."""
    family = FAMILIES[name]
    count = max(LEAST_POINTS, int(family.points * size.points))
    return [point for point in sizes(count) if 2 * family.work(point) <= size.flops]


def cases(pool: Pool, size: shapes.Size) -> dict[Any, Callable[[], Call]]:
    """The cases of all families, keyed by (family, *sizes), and those of views; none for bf16."""
    made: dict[Any, Callable[[], Call]] = {}
    if pool.dtype != torch.float32:
        return made
    for name, family in FAMILIES.items():
        for point in points(name, size):
            made[name, *point] = partial(family.call, pool, point)
    return made | existing({("sparse view", name): call for name, call in _views(pool).items()})


def _views(pool: Pool) -> dict[str, Call]:
    """What makes a sparse matrix of its parts, or its parts of it, and moves no values."""
    matrix = compressed(pool, VIEW_SIDE, VIEW_SIDE, VIEW_SIDE * VIEW_VALUES)
    begins, columns, values = matrix.crow_indices(), matrix.col_indices(), matrix.values()
    size = tuple(matrix.shape)
    return {
        "sparse_compressed_tensor": partial(torch.sparse_csr_tensor, begins, columns, values, size),
        "csr_t": matrix.t,
        "csr_detach": matrix.detach,
        "csr_values": matrix.values,
    }


def tables(
    seconds: dict[Any, float], size: shapes.Size, doubtful: Collection[Any] = ()
) -> dict[str, Scatter]:
    """The table of each family that was timed, its scales chosen by leaving one point out.

    seconds: of each case, by its key. doubtful: keys of cases that are left out where enough others
    remain.
    """
    made = {}
    for name, family in FAMILIES.items():
        timed = [point for point in points(name, size) if (name, *point) in seconds]
        sure = [point for point in timed if (name, *point) not in doubtful]
        if 2 * len(sure) >= len(timed):
            timed = sure
        if timed:
            made[name] = _table(name, family, timed, seconds)
    return made


def _table(name: str, family: Family, timed: list[Sparse], seconds: dict[Any, float]) -> Scatter:
    coordinates = [family.coordinates(point) for point in timed]
    point_s = [seconds[name, *point] for point in timed]
    return scatter_of(name, family.dims, coordinates, point_s)


def view_curves(seconds: dict[Any, float]) -> dict[str, Curve]:
    """The curve of each view of a sparse matrix, under the name that views have."""
    made = {}
    for key, view_s in seconds.items():
        if key[0] == "sparse view":
            made[f"{key[1]}.view"] = Curve(sizes=[1.0], seconds=[[view_s]])
    return made
