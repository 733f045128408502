"""How a call of an operator is made for a number of elements and a row length.

A `Build` makes the call, on tensors of a pool. Most are `on(function, *arguments)`, where an
argument is a number or an `Operand`, a function that makes a tensor of that size. A few operators
whose arguments depend on each other have a function each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from condsim.timing.cases import Pool
from condsim.timing.yardstick import Call

Build = Callable[[Pool, int, int], Call]
"""(pool, elements, row length) → call."""
Operand = Callable[[Pool, int, int], torch.Tensor]
"""(pool, elements, row length) → tensor."""

CHANNELS = 16
SOURCE_ELEMENTS = 2**16
"""Most elements of a tensor whose rows are looked up."""
FEW_ROWS, SHORT_ROW = 4, 64
"""Least rows of a tensor whose rows are looked up, while its rows are short."""


# Operands


def rows_of(elements: int, length: int) -> int:
    """How many rows of a length have about so many elements, at least one."""
    return max(1, elements // length)


def matrix(pool: Pool, elements: int, length: int) -> torch.Tensor:
    """[rows, length], of at most so many elements."""
    return pool(rows_of(elements, length), min(elements, length))


def positive(pool: Pool, elements: int, length: int) -> torch.Tensor:
    """The same above 0: a root or a logarithm of less is no number, which takes up to ten times as
    long on some CPUs."""
    return matrix(pool, elements, length).abs().add_(1e-3)


def zeros(pool: Pool, elements: int, length: int) -> torch.Tensor:
    """A matrix outside of the pool, for operators that write in place."""
    return torch.zeros(rows_of(elements, length), min(elements, length), dtype=pool.dtype)


def small_integers(_pool: Pool, elements: int, length: int) -> torch.Tensor:
    """[rows, elements a row], int64, from 0 to 6."""
    return torch.arange(elements).view(rows_of(elements, length), -1) % 7


def expert_ids(_pool: Pool, elements: int, length: int) -> torch.Tensor:
    """[rows, length], int64, from 0 to 7, at random."""
    shape = (rows_of(elements, length), min(elements, length))
    return torch.randint(0, 8, shape, generator=torch.Generator().manual_seed(1))


def images(pool: Pool, elements: int, length: int) -> torch.Tensor:
    """A batch of images [batch, CHANNELS, side, side]; the side is the row length, if it fits."""
    side = max(2, min(length, int((elements / CHANNELS) ** 0.5)))
    batch = max(1, elements // (CHANNELS * side * side))
    return pool(batch, CHANNELS, side, side)


def blocks(pool: Pool, elements: int, length: int) -> torch.Tensor:
    """[blocks, length, 16], to be reduced over the middle."""
    return pool(rows_of(elements, length * 16), length, 16)


def _at_random(count: int) -> torch.Tensor:
    """The numbers below count, in a random order."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(1))


def _rows_looked_up(elements: int, length: int) -> int:
    least = FEW_ROWS if length <= SHORT_ROW else 1
    return max(least, elements // length)


def _column_ids(x: torch.Tensor) -> torch.Tensor:
    """One column number for each element of x, [rows, length]."""
    return torch.arange(x.numel()).view(x.shape) % x.shape[1]


def _whole_rows(x: torch.Tensor) -> torch.Tensor:
    """A condition [rows, 1] as models have it, alike for whole rows.

    One that is random in every element costs 4 times as much, in branches that were mispredicted.
    """
    return x[:, :1] > 0


# Builds


def on(function: Callable[..., Any], *arguments: Operand | float) -> Build:
    """The build of a function's call; each operand among the arguments becomes a tensor."""

    def build(pool: Pool, elements: int, length: int) -> Call:
        given: list[Any] = []
        for argument in arguments:
            if callable(argument):
                given.append(argument(pool, elements, length))
            else:
                given.append(argument)
        return partial(function, *given)

    return build


def on_masks(function: Callable[..., Any]) -> Build:
    """A function of two boolean matrices, which are one and the same."""

    def build(pool: Pool, elements: int, length: int) -> Call:
        mask = matrix(pool, elements, length) > 0
        return partial(function, mask, mask)

    return build


def reading_rows(function: Callable[..., Any]) -> Build:
    """A function of a matrix and of numbers of its rows in a random order.

    A large matrix is replaced by a smaller one whose rows are read again and again: what it costs
    to read what was evicted is measured by `condsim.calibrate.residency`.
    """

    def build(pool: Pool, elements: int, length: int) -> Call:
        rows = _rows_looked_up(elements, length)
        most_rows = max(SOURCE_ELEMENTS // length, 1)
        x = pool(min(rows, most_rows), length)
        return partial(function, x, _at_random(rows) % x.shape[0])

    return build


def writing_rows(function: Callable[..., Any]) -> Build:
    """A function of a target, of numbers of its rows in a random order, and of as many rows."""

    def build(pool: Pool, elements: int, length: int) -> Call:
        x = pool(_rows_looked_up(elements, length), length)
        return partial(function, torch.zeros_like(x), _at_random(x.shape[0]), x)

    return build


def made(function: Callable[..., Any], *values: float) -> Build:
    """A function that makes a tensor of so many elements."""

    def build(pool: Pool, elements: int, _length: int) -> Call:
        return partial(function, elements, *values, dtype=pool.dtype)

    return build


def masked_fill(pool: Pool, elements: int, length: int) -> Call:
    x = matrix(pool, elements, length)
    return partial(x.masked_fill, _whole_rows(x), 0.0)


def where(pool: Pool, elements: int, length: int) -> Call:
    x = matrix(pool, elements, length)
    return partial(torch.where, _whole_rows(x), x, matrix(pool, elements, length))


def gather(pool: Pool, elements: int, length: int) -> Call:
    x = matrix(pool, elements, length)
    return partial(lambda x, columns: x.gather(1, columns), x, _column_ids(x))


def scatter_(pool: Pool, elements: int, length: int) -> Call:
    x = matrix(pool, elements, length)
    return partial(torch.zeros_like(x).scatter_, 1, _column_ids(x), x)


def layer_norm(pool: Pool, elements: int, length: int) -> Call:
    x = matrix(pool, elements, length)
    width = x.shape[1]
    return partial(F.layer_norm, x, (width,), pool(width), pool(width))


def rms_norm(pool: Pool, elements: int, length: int) -> Call:
    x = matrix(pool, elements, length)
    width = x.shape[1]
    return partial(F.rms_norm, x, (width,), pool(width))


def batch_norm(pool: Pool, elements: int, length: int) -> Call:
    x = images(pool, elements, length)
    of_channels = pool(CHANNELS).abs()
    return partial(F.batch_norm, x, of_channels, of_channels, of_channels, of_channels)


def group_norm(pool: Pool, elements: int, length: int) -> Call:
    x = images(pool, elements, length)
    of_channels = pool(CHANNELS)
    return partial(F.group_norm, x, 4, of_channels, of_channels)


def new_zeros(pool: Pool, elements: int, _length: int) -> Call:
    return partial(pool(64).new_zeros, (elements,))


def arange(_pool: Pool, elements: int, _length: int) -> Call:
    return partial(torch.arange, elements)


def cat(pool: Pool, elements: int, length: int) -> Call:
    shape = (rows_of(elements, length), max(1, length // 2))
    halves = (pool(*shape), pool(*shape))
    return partial(torch.cat, halves, -1)


def histc(pool: Pool, elements: int, _length: int) -> Call:
    """On fp32, the only one of the dtypes here that it takes."""
    return partial(torch.histc, pool(elements).float(), bins=8, min=0, max=7)


def topk(pool: Pool, elements: int, length: int) -> Call:
    x = matrix(pool, elements, length)
    return partial(torch.topk, x, min(2, x.shape[1]), dim=-1)


def one_hot(_pool: Pool, elements: int, _length: int) -> Call:
    ids = torch.arange(max(1, elements // 8)) % 8
    return partial(F.one_hot, ids, 8)


def nonzero(pool: Pool, elements: int, length: int) -> Call:
    return partial(torch.where, matrix(pool, elements, length) > 1.0)


def item(_pool: Pool, _elements: int, _length: int) -> Call:
    return torch.tensor(1).item


def is_nonzero(_pool: Pool, _elements: int, _length: int) -> Call:
    return partial(bool, torch.tensor(True))


def to_fp32(pool: Pool, elements: int, length: int) -> Call:
    """From the dtype that a model has beside fp32: integers where its weights are fp32."""
    if pool.dtype == torch.float32:
        return partial((torch.arange(elements) % 7).to, torch.float32)
    return partial(matrix(pool, elements, length).to, torch.float32)


def contiguous(pool: Pool, elements: int, length: int) -> Call:
    """Of a transposed matrix; of a single row, which would be contiguous, a copy."""
    x = matrix(pool, elements, length)
    return x.t().contiguous if x.shape[0] > 1 else x.clone


def heads_together(pool: Pool, elements: int, length: int) -> Call:
    """[1, heads, positions, depth] → [1, positions, heads * depth], the copy after attention."""
    heads = 4
    positions = max(2, elements // (heads * length))
    x = pool(1, heads, positions, length).transpose(1, 2)
    return partial(x.reshape, 1, positions, heads * length)


def repeat_interleave(pool: Pool, elements: int, length: int) -> Call:
    x = matrix(pool, max(elements // 2, 1), length)
    return partial(x.repeat_interleave, 2, dim=0)
