"""Cases of operators on compressed sparse matrices, and the tables made of their times.

Matrices have as many values in each row, one somewhere in each of as many parts of it. They are in
fp32: PyTorch has no sparse products of other types on every CPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch

from condsim.calibrate import shapes
from condsim.calibrate.scattered import LEAST_POINTS, LEAST_UNCERTAINTY, NOISE
from condsim.cost.cpu.scattered import choose_scales
from condsim.cost.cpu.sparse_time import MULTIPLIED, PICKED, SAMPLED, TURNED
from condsim.hardware import Curve, Scatter
from condsim.timing.cases import Pool, existing
from condsim.timing.yardstick import Call

SEED = 20251
LEAST_DENSITY, MOST_DENSITY = 0.005, 0.6
MOST_ELEMENTS = 2**22
"""Of a matrix that is sparse, were it dense."""
VIEW_SIDE, VIEW_VALUES = 64, 8
"""Rows of the matrix that views are timed on, and values of each."""


class Sparse(NamedTuple):
    """A matrix [n, k] with `values`, and a dense one of m units.

    left, right: 1 where that dense operand lies otherwise than its kernel reads it.
    """

    n: int
    k: int
    m: int
    values: int
    left: int
    right: int


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


def compressed(pool: Pool, n: int, k: int, values: int) -> torch.Tensor:
    """Compressed sparse rows [n, k] with about so many values, as many in each row."""
    each = max(1, min(k, values // n))
    rng = np.random.default_rng(SEED)
    places = (np.arange(each) + rng.random((n, each))) * k / each
    columns = torch.from_numpy(np.floor(places).astype(np.int64).ravel())
    begins = torch.arange(0, n * each + 1, each)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(begins, columns, pool(n * each), (n, k))


def _dense(pool: Pool, rows: int, columns: int, turned: int) -> torch.Tensor:
    """A matrix that lies row by row, or column by column where it is turned."""
    return pool(columns, rows).t() if turned else pool(rows, columns)


def multiplied(pool: Pool, size: Sparse) -> Call:
    """Sparse rows times a matrix [k, m]."""
    sparse = compressed(pool, size.n, size.k, size.values)
    return partial(torch.mm, sparse, _dense(pool, size.k, size.m, size.left))


def turned(pool: Pool, size: Sparse) -> Call:
    """Sparse columns [n, k] times a matrix [k, m]: the rows of a matrix that is transposed."""
    sparse = compressed(pool, size.k, size.n, size.values)
    return partial(torch.mm, sparse.t(), _dense(pool, size.k, size.m, 0))


def sampled(pool: Pool, size: Sparse) -> Call:
    """[n, m] times [m, k] at the values."""
    sparse = compressed(pool, size.n, size.k, size.values)
    left = _dense(pool, size.n, size.m, size.left)
    right = _dense(pool, size.m, size.k, 1 - size.right)
    return partial(torch.sparse.sampled_addmm, sparse, left, right, beta=0.0)


def picked(pool: Pool, size: Sparse) -> Call:
    """A dense matrix at the values."""
    sparse = compressed(pool, size.n, size.k, size.values)
    dense = pool(size.n, size.k)
    return partial(dense.sparse_mask, sparse)


def _multiply_adds(size: Sparse) -> float:
    return float(size.values * size.m)


def _elements(size: Sparse) -> float:
    return float(size.n * size.k)


FAMILIES: dict[str, Family] = {
    MULTIPLIED: Family(
        ["n", "k", "m", "values", "apart"],
        160,
        multiplied,
        lambda size: size[:5],
        _multiply_adds,
    ),
    TURNED: Family(["n", "k", "m", "values"], 90, turned, lambda size: size[:4], _multiply_adds),
    SAMPLED: Family(
        ["n", "k", "m", "values", "left", "right"],
        140,
        sampled,
        lambda size: tuple(size),
        _multiply_adds,
    ),
    PICKED: Family(
        ["n", "k", "values"], 60, picked, lambda size: (size.n, size.k, size.values), _elements
    ),
}


@cache
def sizes(count: int) -> tuple[Sparse, ...]:
    """Sizes of sparse matrices, each multiplied with some units."""
    rng = np.random.default_rng(SEED)
    drawn: list[Sparse] = []
    while len(drawn) < count:
        n, k = (shapes.log_uniform(rng, 32, 4096) for _ in range(2))
        m = shapes.log_uniform(rng, 1, 512)
        density = float(np.exp(rng.uniform(np.log(LEAST_DENSITY), np.log(MOST_DENSITY))))
        each = max(1, round(density * k))
        left, right = (int(value) for value in rng.integers(0, 2, 2))
        size = Sparse(n, k, m, n * each, left, right)
        if n * k <= MOST_ELEMENTS and _multiply_adds(size) <= shapes.MATMUL_FLOPS / 2:
            drawn.append(size)
    return tuple(drawn)


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
    coordinates = np.array([family.coordinates(point) for point in timed], float)
    point_s = np.array([seconds[name, *point] for point in timed])
    scales, error = choose_scales(name, family.dims, coordinates, point_s, NOISE)
    return Scatter(
        dims=family.dims,
        points=coordinates.tolist(),
        seconds=point_s.tolist(),
        scales=scales,
        noise=NOISE,
        uncertainty=max(error, LEAST_UNCERTAINTY),
    )


def view_curves(seconds: dict[Any, float]) -> dict[str, Curve]:
    """The curve of each view of a sparse matrix, under the name that views have."""
    made = {}
    for key, view_s in seconds.items():
        if key[0] == "sparse view":
            made[f"{key[1]}.view"] = Curve(sizes=[1.0], seconds=[[view_s]])
    return made
