"""How each operator that is not a product is called, as models call it.

A `Build` makes the call for a number of elements and a row length, on tensors of a pool. Most are
`on(function, *arguments)`, where an argument is a number or an `Operand`, a function that makes a
tensor of that size. A few operators whose arguments depend on each other have a function each.
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


# Tables


ELEMENTWISE: dict[str, Build] = {
    "add": on(torch.add, matrix, matrix),
    "sub": on(torch.sub, matrix, matrix),
    "mul": on(torch.mul, matrix, matrix),
    "div": on(torch.div, matrix, matrix),
    "relu": on(F.relu, matrix),
    "silu": on(F.silu, matrix),
    "gelu": on(F.gelu, matrix),
    "sigmoid": on(torch.sigmoid, matrix),
    "tanh": on(torch.tanh, matrix),
    "exp": on(torch.exp, matrix),
    "log": on(lambda x: x.log(), positive),
    "pow": on(lambda x: x.pow(2), matrix),
    "rsqrt": on(torch.rsqrt, positive),
    "sqrt": on(torch.sqrt, positive),
    "neg": on(torch.neg, matrix),
    "abs": on(torch.abs, matrix),
    "cos": on(torch.cos, matrix),
    "sin": on(torch.sin, matrix),
    "softplus": on(F.softplus, matrix),
    "leaky_relu": on(F.leaky_relu, matrix),
    "where": where,
    "masked_fill": masked_fill,
    "clamp": on(torch.clamp, matrix, -1.0, 1.0),
    "eq": on(torch.eq, small_integers, 3),
    "ne": on(torch.ne, small_integers, 3),
    "gt": on(torch.gt, matrix, 0.5),
    "lt": on(torch.lt, matrix, 0.5),
    "ge": on(torch.ge, matrix, 0.5),
    "le": on(torch.le, matrix, 0.5),
    "bitwise_and": on_masks(torch.bitwise_and),
    "bitwise_not": on_masks(lambda mask, _same: ~mask),
    "__and__": on_masks(lambda mask, same: mask & same),
    "bitwise_or": on_masks(torch.bitwise_or),
    "floor_divide": on(torch.floor_divide, small_integers, 2),
    "add_": on(torch.Tensor.add_, zeros, matrix),
    "mul_": on(torch.Tensor.mul_, zeros, matrix),
    "div_": on(lambda x, y: x.div_(y), zeros, matrix),
    "relu_": on(lambda x, _y: F.relu_(x), zeros, matrix),
    "to": to_fp32,
    "copy_": on(torch.Tensor.copy_, zeros, matrix),
    "clone": on(torch.clone, matrix),
    "zeros_like": on(torch.zeros_like, matrix),
    "ones_like": on(torch.ones_like, matrix),
    "new_zeros": new_zeros,
    "zeros": made(torch.zeros),
    "ones": made(torch.ones),
    "full": made(lambda elements, value, dtype: torch.full((elements,), value, dtype=dtype), 1.0),
    "arange": arange,
    "empty_like": on(torch.empty_like, matrix),
    "roll": on(lambda x: x.roll(x.shape[-1] // 2, -1), matrix),
    "fill_": on(lambda x, _y: x.fill_(1.0), zeros, matrix),
}
"""Time follows the elements, whatever the length of a row."""

ROWWISE: dict[str, Build] = {
    "sum": on(lambda x: x.sum(-1), matrix),
    "mean": on(lambda x: x.mean(-1, keepdim=True), matrix),
    "amax": on(lambda x: x.amax(-1), matrix),
    "max": on(lambda x: x.max(-1), matrix),
    "any": on(lambda x: x.any(-1), matrix),
    "argmax": on(lambda x: x.argmax(-1), matrix),
    "sum.outer": on(torch.sum, blocks, 1),
    "mean.outer": on(torch.mean, blocks, 1),
    "max.outer": on(torch.max, blocks, 1),
    "amax.outer": on(torch.amax, blocks, 1),
    "softmax": on(partial(torch.softmax, dim=-1), matrix),
    "log_softmax": on(partial(F.log_softmax, dim=-1), matrix),
    "cumsum": on(partial(torch.cumsum, dim=-1), matrix),
    "topk": topk,
    "sort": on(torch.sort, expert_ids),
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "batch_norm": batch_norm,
    "group_norm": group_norm,
    "cat": cat,
    "index": reading_rows(lambda x, rows: x[rows]),
    "index_select": reading_rows(lambda x, rows: x.index_select(0, rows)),
    "embedding": reading_rows(lambda x, rows: F.embedding(rows, x)),
    "index_add_": writing_rows(lambda target, rows, x: target.index_add_(0, rows, x)),
    "index_add": writing_rows(lambda target, rows, x: target.index_add(0, rows, x)),
    "index_copy_": writing_rows(lambda target, rows, x: target.index_copy_(0, rows, x)),
    "index_copy": writing_rows(lambda target, rows, x: target.index_copy(0, rows, x)),
    "index_put_": writing_rows(torch.Tensor.__setitem__),
    "gather": gather,
    "scatter_": scatter_,
    "repeat_interleave": repeat_interleave,
    "contiguous": contiguous,
    "reshape": heads_together,
    "max_pool2d": on(lambda x: F.max_pool2d(x, 2), images),
    "avg_pool2d": on(lambda x: F.avg_pool2d(x, 2), images),
    "adaptive_avg_pool2d": on(lambda x: F.adaptive_avg_pool2d(x, 1), images),
    "pad": on(lambda x: F.pad(x, (1, 1, 1, 1)), images),
}
"""Time follows the elements and the length of a row (for an image: its side)."""

WHOLE_ROWS = (
    "index",
    "index_select",
    "embedding",
    "index_add_",
    "index_add",
    "index_copy_",
    "index_copy",
    "index_put_",
)
"""Operators of ROWWISE that keep the row length even where it is more than the elements."""

OTHERS: dict[str, Build] = {"histc": histc, "one_hot": one_hot, "nonzero": nonzero}
"""Time follows the elements, but what is computed for each is of a kind of its own."""
CONSTANT: dict[str, Build] = {"item": item, "is_nonzero": is_nonzero}
"""Time is the same for every size."""

_X = torch.ones(2, 8, 4, 16)
VIEWS: dict[str, Call] = {
    "view": lambda: _X.view(2, 8, 64),
    "reshape": lambda: _X.reshape(2, 8, 64),
    "transpose": lambda: _X.transpose(1, 2),
    "permute": lambda: _X.permute(0, 2, 1, 3),
    "unsqueeze": lambda: _X.unsqueeze(1),
    "squeeze": lambda: _X.squeeze(0),
    "expand": lambda: _X.expand(2, 8, 4, 16),
    "select": lambda: _X[0],
    "slice": lambda: _X[..., :8],
    "chunk": lambda: _X.chunk(2, -1),
    "split": lambda: _X.split(8, -1),
    "unbind": lambda: _X.unbind(0),
    "flatten": lambda: _X.flatten(1),
    "t": lambda: _X[0, 0].t(),
    "to": lambda: _X.to(torch.float32),
    "contiguous": lambda: _X.contiguous(),
    "dropout": lambda: F.dropout(_X, 0.1, False),
    "alias": lambda: _X[...],
    "detach_": lambda: _X.detach(),
    "narrow": lambda: _X.narrow(0, 0, 1),
}
"""Operators that make no new storage, as models call them."""
