"""Calls of operators on compressed sparse matrices, and of those that move a mask, on tensors of a
pool.

Matrices have values anywhere, as a mask has that was drawn at random.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from condsim.timing.cases import Pool
from condsim.timing.yardstick import Call

SEED = 20251
MOVED = 0.3
"""The share of the values of a sparse matrix that a mask moves."""


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

    @property
    def moved(self) -> int:
        """Values that a mask moves."""
        return max(1, int(MOVED * self.values))


def compressed(pool: Pool, n: int, k: int, values: int) -> torch.Tensor:
    """Compressed sparse rows [n, k] with so many values, anywhere."""
    rng = np.random.default_rng(SEED)
    places = np.sort(rng.permutation(n * k)[:values])
    rows, columns = np.divmod(places, k)
    begins = np.searchsorted(rows, np.arange(n + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(begins), torch.from_numpy(columns), pool(values), (n, k)
        )


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


def chosen(pool: Pool, size: Sparse) -> Call:
    """The smallest of as many numbers as a mask leaves, among as many as there are weights."""
    elements = size.n * size.k
    numbers = pool(elements).abs()
    there = torch.zeros(elements, dtype=torch.bool)
    there[torch.randperm(elements)[: size.values]] = True
    numbers = torch.where(there, numbers, torch.inf)
    return partial(numbers.topk, size.moved, largest=False, sorted=False)


def filled(pool: Pool, size: Sparse) -> Call:
    """One number in some places of a vector."""
    elements = size.n * size.k
    places = torch.randperm(elements)[: size.moved]
    vector = torch.zeros(elements, dtype=pool.dtype)
    return partial(vector.index_fill_, 0, places, 1.0)


def drawn(pool: Pool, size: Sparse) -> Call:
    """A random number for each weight."""
    return partial(torch.rand, size.n * size.k, dtype=pool.dtype)
