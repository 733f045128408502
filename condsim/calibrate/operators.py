"""Cases of every operator that is not a matmul, called as models call them, and the curves made of them.

A case is built from a number of elements and a row length: a function that returns the call. ROWWISE operators are timed at several row lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate import shapes
from condsim.hardware import Curve
from condsim.timing.cases import Pool, Rotation
from condsim.timing.yardstick import Call

Build = Callable[[Pool, int, int], Call]

_DEFAULT_LENGTH = 64
_CHANNELS = 16
SOURCE_ELEMENTS = 2**16


def _x(pool: Pool, e: int, length: int) -> torch.Tensor:
    return pool(max(1, e // length), min(e, length))


def _unary(f: Callable[[torch.Tensor], Any]) -> Build:
    return lambda pool, e, length: partial(f, _x(pool, e, length))


def _binary(f: Callable[[torch.Tensor, torch.Tensor], Any]) -> Build:
    return lambda pool, e, length: partial(f, _x(pool, e, length), _x(pool, e, length))


def _scalar(f: Callable[..., Any], *values: float) -> Build:
    return lambda pool, e, length: partial(f, _x(pool, e, length), *values)


def _integers(f: Callable[..., Any], *values: Any) -> Build:
    return lambda _pool, e, length: partial(
        f, torch.arange(e).view(max(1, e // length), -1) % 7, *values
    )


def _booleans(f: Callable[..., Any]) -> Build:
    def build(pool: Pool, e: int, length: int) -> Call:
        mask = _x(pool, e, length) > 0
        return partial(f, mask, mask)

    return build


def _whole_rows(x: torch.Tensor) -> torch.Tensor:
    """A condition as models have it, alike for whole rows: one that is random in every element costs 4 times as much, in branches that were mispredicted."""
    return x[:, :1] > 0


def _masked(pool: Pool, e: int, length: int) -> Call:
    x = _x(pool, e, length)
    return partial(x.masked_fill, _whole_rows(x), 0.0)


def _where(pool: Pool, e: int, length: int) -> Call:
    x = _x(pool, e, length)
    return partial(torch.where, _whole_rows(x), x, _x(pool, e, length))


def _into(f: Callable[[torch.Tensor, torch.Tensor], Any]) -> Build:
    """In-place: the first is a copy of its own."""
    return lambda pool, e, length: partial(
        f, torch.zeros(max(1, e // length), min(e, length), dtype=pool.dtype), _x(pool, e, length)
    )


def _rows(f: Callable[[torch.Tensor, torch.Tensor], Any]) -> Build:
    """x and indices of its rows in a random order, again and again where x would be large: what it costs to read what was evicted is `residency`'s."""

    def build(pool: Pool, e: int, length: int) -> Call:
        rows = max(4 if length <= 64 else 1, e // length)
        x = pool(min(rows, max(SOURCE_ELEMENTS // length, 1)), length)
        return partial(
            f, x, torch.randperm(rows, generator=torch.Generator().manual_seed(1)) % x.shape[0]
        )

    return build


def _put(f: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Any]) -> Build:
    """A target of the caller's own, indices of its rows in a random order, and as many rows."""

    def build(pool: Pool, e: int, length: int) -> Call:
        x = pool(max(4 if length <= 64 else 1, e // length), length)
        return partial(
            f,
            torch.zeros_like(x),
            torch.randperm(x.shape[0], generator=torch.Generator().manual_seed(1)),
            x,
        )

    return build


def _elementwise_index(f: Callable[[torch.Tensor, torch.Tensor], Any]) -> Build:
    """x [rows, length] and one column index for each of its elements."""

    def build(pool: Pool, e: int, length: int) -> Call:
        x = _x(pool, e, length)
        return partial(f, x, torch.arange(x.numel()).view(x.shape) % x.shape[1])

    return build


def _scattered(pool: Pool, e: int, length: int) -> Call:
    x = _x(pool, e, length)
    return partial(
        torch.zeros_like(x).scatter_, 1, torch.arange(x.numel()).view(x.shape) % x.shape[1], x
    )


def _images(pool: Pool, e: int, length: int) -> torch.Tensor:
    """A batch of images of row length x row length."""
    side = max(2, min(length, int((e / _CHANNELS) ** 0.5)))
    return pool(max(1, e // (_CHANNELS * side * side)), _CHANNELS, side, side)


def _image(f: Callable[..., Any]) -> Build:
    return lambda pool, e, length: partial(f, _images(pool, e, length))


def _norm(pool: Pool, e: int, length: int) -> Call:
    x = _x(pool, e, length)
    return partial(F.layer_norm, x, (x.shape[1],), pool(x.shape[1]), pool(x.shape[1]))


def _rms(pool: Pool, e: int, length: int) -> Call:
    x = _x(pool, e, length)
    return partial(F.rms_norm, x, (x.shape[1],), pool(x.shape[1]))


def _batch_norm(pool: Pool, e: int, length: int) -> Call:
    x, of_channels = _images(pool, e, length), pool(_CHANNELS).abs()
    return partial(F.batch_norm, x, of_channels, of_channels, of_channels, of_channels)


def _group_norm(pool: Pool, e: int, length: int) -> Call:
    x, of_channels = _images(pool, e, length), pool(_CHANNELS)
    return partial(F.group_norm, x, 4, of_channels, of_channels)


def _made(f: Callable[..., Any], *values: float) -> Build:
    return lambda pool, e, _length: partial(f, e, *values, dtype=pool.dtype)


def _new_zeros(pool: Pool, e: int, _length: int) -> Call:
    return partial(pool(64).new_zeros, (e,))


def _cat(pool: Pool, e: int, length: int) -> Call:
    half = max(1, length // 2)
    a, b = pool(max(1, e // length), half), pool(max(1, e // length), half)
    return partial(torch.cat, (a, b), -1)


def _histc(pool: Pool, e: int, _length: int) -> Call:
    """Of fp32, the only dtype here that it takes."""
    return partial(torch.histc, pool(e).float(), bins=8, min=0, max=7)


def _sort(_pool: Pool, e: int, length: int) -> Call:
    ids = torch.randint(
        0, 8, (max(1, e // length), min(e, length)), generator=torch.Generator().manual_seed(1)
    )
    return partial(torch.sort, ids)


def _topk(pool: Pool, e: int, length: int) -> Call:
    x = _x(pool, e, length)
    return partial(torch.topk, x, min(2, x.shape[1]), dim=-1)


def _one_hot(_pool: Pool, e: int, _length: int) -> Call:
    return partial(F.one_hot, torch.arange(max(1, e // 8)) % 8, 8)


def _nonzero(pool: Pool, e: int, length: int) -> Call:
    return partial(torch.where, _x(pool, e, length) > 1.0)


def _item(_pool: Pool, _e: int, _length: int) -> Call:
    return torch.tensor(1).item


def _is_nonzero(_pool: Pool, _e: int, _length: int) -> Call:
    return partial(bool, torch.tensor(True))


def _to(pool: Pool, e: int, length: int) -> Call:
    """To fp32, from what a model has beside its weights' dtype: integers where that is fp32."""
    return partial(
        (torch.arange(e) % 7 if pool.dtype == torch.float32 else _x(pool, e, length)).to,
        torch.float32,
    )


def _arange(_pool: Pool, e: int, _length: int) -> Call:
    return partial(torch.arange, e)


def _transposed(pool: Pool, e: int, length: int) -> Call:
    x = _x(pool, e, length)
    return x.t().contiguous if x.shape[0] > 1 else x.clone


def _heads(pool: Pool, e: int, length: int) -> Call:
    """[1, heads, t, d] → [1, t, heads * d], the copy after attention."""
    heads = 4
    x = pool(1, heads, max(2, e // (heads * length)), length).transpose(1, 2)
    return partial(x.reshape, 1, x.shape[1], heads * length)


def _repeat(pool: Pool, e: int, length: int) -> Call:
    return partial(_x(pool, max(e // 2, 1), length).repeat_interleave, 2, dim=0)


def _pow(x: torch.Tensor) -> torch.Tensor:
    return x.pow(2)


def _outer(f: Callable[..., Any]) -> Build:
    """[rows, length, 16]: over the middle."""
    return lambda pool, e, length: partial(f, pool(max(1, e // (length * 16)), length, 16), 1)


ELEMENTWISE: dict[str, Build] = {
    "add": _binary(torch.add),
    "sub": _binary(torch.sub),
    "mul": _binary(torch.mul),
    "div": _binary(torch.div),
    "relu": _unary(F.relu),
    "silu": _unary(F.silu),
    "gelu": _unary(F.gelu),
    "sigmoid": _unary(torch.sigmoid),
    "tanh": _unary(torch.tanh),
    "exp": _unary(torch.exp),
    "log": _unary(lambda x: x.log()),
    "pow": _unary(_pow),
    "rsqrt": _unary(torch.rsqrt),
    "sqrt": _unary(torch.sqrt),
    "neg": _unary(torch.neg),
    "abs": _unary(torch.abs),
    "cos": _unary(torch.cos),
    "sin": _unary(torch.sin),
    "softplus": _unary(F.softplus),
    "leaky_relu": _unary(F.leaky_relu),
    "where": _where,
    "masked_fill": _masked,
    "clamp": _scalar(torch.clamp, -1.0, 1.0),
    "eq": _integers(torch.eq, 3),
    "ne": _integers(torch.ne, 3),
    "gt": _scalar(torch.gt, 0.5),
    "lt": _scalar(torch.lt, 0.5),
    "ge": _scalar(torch.ge, 0.5),
    "le": _scalar(torch.le, 0.5),
    "bitwise_and": _booleans(torch.bitwise_and),
    "bitwise_not": _booleans(lambda a, _b: ~a),
    "__and__": _booleans(lambda a, b: a & b),
    "bitwise_or": _booleans(torch.bitwise_or),
    "floor_divide": _integers(torch.floor_divide, 2),
    "add_": _into(torch.Tensor.add_),
    "mul_": _into(torch.Tensor.mul_),
    "div_": _into(lambda a, b: a.div_(b)),
    "relu_": _into(lambda a, _b: F.relu_(a)),
    "to": _to,
    "copy_": _into(torch.Tensor.copy_),
    "clone": _unary(torch.clone),
    "zeros_like": _unary(torch.zeros_like),
    "ones_like": _unary(torch.ones_like),
    "new_zeros": _new_zeros,
    "zeros": _made(torch.zeros),
    "ones": _made(torch.ones),
    "full": _made(lambda e, value, dtype: torch.full((e,), value, dtype=dtype), 1.0),
    "arange": _arange,
    "empty_like": _unary(torch.empty_like),
    "roll": _unary(lambda x: x.roll(x.shape[-1] // 2, -1)),
    "fill_": _into(lambda a, _b: a.fill_(1.0)),
}
"""Time follows the elements, whatever the length of a row."""

ROWWISE: dict[str, Build] = {
    "sum": _unary(lambda x: x.sum(-1)),
    "mean": _unary(lambda x: x.mean(-1, keepdim=True)),
    "amax": _unary(lambda x: x.amax(-1)),
    "max": _unary(lambda x: x.max(-1)),
    "any": _unary(lambda x: x.any(-1)),
    "argmax": _unary(lambda x: x.argmax(-1)),
    "sum.outer": _outer(torch.sum),
    "mean.outer": _outer(torch.mean),
    "max.outer": _outer(torch.max),
    "amax.outer": _outer(torch.amax),
    "softmax": _unary(partial(torch.softmax, dim=-1)),
    "log_softmax": _unary(partial(F.log_softmax, dim=-1)),
    "cumsum": _unary(partial(torch.cumsum, dim=-1)),
    "topk": _topk,
    "sort": _sort,
    "layer_norm": _norm,
    "rms_norm": _rms,
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
    "cat": _cat,
    "index": _rows(lambda x, i: x[i]),
    "index_select": _rows(lambda x, i: x.index_select(0, i)),
    "embedding": _rows(lambda x, i: F.embedding(i, x)),
    "index_add_": _put(lambda t, i, x: t.index_add_(0, i, x)),
    "index_add": _put(lambda t, i, x: t.index_add(0, i, x)),
    "index_copy_": _put(lambda t, i, x: t.index_copy_(0, i, x)),
    "index_copy": _put(lambda t, i, x: t.index_copy(0, i, x)),
    "index_put_": _put(torch.Tensor.__setitem__),
    "gather": _elementwise_index(lambda x, i: x.gather(1, i)),
    "scatter_": _scattered,
    "repeat_interleave": _repeat,
    "contiguous": _transposed,
    "reshape": _heads,
    "max_pool2d": _image(lambda x: F.max_pool2d(x, 2)),
    "avg_pool2d": _image(lambda x: F.avg_pool2d(x, 2)),
    "adaptive_avg_pool2d": _image(lambda x: F.adaptive_avg_pool2d(x, 1)),
    "pad": _image(lambda x: F.pad(x, (1, 1, 1, 1))),
}
"""Time follows the elements and the length of a row (for an image: its side)."""

ROW_BUILDS = [
    ROWWISE[n]
    for n in (
        "index",
        "index_select",
        "embedding",
        "index_add_",
        "index_add",
        "index_copy_",
        "index_copy",
        "index_put_",
    )
]
OTHERS: dict[str, Build] = {"histc": _histc, "one_hot": _one_hot, "nonzero": _nonzero}
CONSTANT: dict[str, Build] = {"item": _item, "is_nonzero": _is_nonzero}

_V = torch.ones(2, 8, 4, 16)
VIEWS: dict[str, Call] = {
    "view": lambda: _V.view(2, 8, 64),
    "reshape": lambda: _V.reshape(2, 8, 64),
    "transpose": lambda: _V.transpose(1, 2),
    "permute": lambda: _V.permute(0, 2, 1, 3),
    "unsqueeze": lambda: _V.unsqueeze(1),
    "squeeze": lambda: _V.squeeze(0),
    "expand": lambda: _V.expand(2, 8, 4, 16),
    "select": lambda: _V[0],
    "slice": lambda: _V[..., :8],
    "chunk": lambda: _V.chunk(2, -1),
    "split": lambda: _V.split(8, -1),
    "unbind": lambda: _V.unbind(0),
    "flatten": lambda: _V.flatten(1),
    "t": lambda: _V[0, 0].t(),
    "to": lambda: _V.to(torch.float32),
    "contiguous": lambda: _V.contiguous(),
    "dropout": lambda: F.dropout(_V, 0.1, False),
    "alias": lambda: torch.ops.aten.alias(_V),
    "detach_": lambda: _V.detach(),
    "narrow": lambda: _V.narrow(0, 0, 1),
}
"""Operators that make no new storage, as models call them."""


_HEADS, _POSITIONS, _WIDTH = 8, 64, 16
STRIDED: dict[str, Callable[[Pool], torch.Tensor]] = {
    "whole": lambda pool: pool(_HEADS, _POSITIONS, _WIDTH),
    "loops": lambda pool: pool(_POSITIONS, _HEADS, _WIDTH).transpose(0, 1),
    "elements": lambda pool: pool(_HEADS, _POSITIONS, 2 * _WIDTH)[..., ::2],
}
"""How the first operand of a product lies; the second is whole."""


def _product(pool: Pool, first: Callable[[Pool], torch.Tensor]) -> Call:
    return partial(torch.mul, first(pool), pool(_HEADS, _POSITIONS, _WIDTH))


def strided_costs(seconds: dict[Any, float]) -> dict[str, float]:
    """Seconds of each time through the two innermost loops, and of each element where they skip some (`condsim.record.strides`)."""
    loops, elements = (
        max(seconds["strided", way] - seconds["strided", "whole"], 0.0)
        for way in ("loops", "elements")
    )
    return {
        "strided.loops": loops / _POSITIONS,
        "strided.element": elements / (_HEADS * _POSITIONS * _WIDTH),
    }


TINY_ELEMENTS = 1024
MOST_SETS = 8
ROTATED_BYTES = (
    2**20
)  # of all sets of a case: more than a private cache holds, less than a shared one


def rotated(build: Build, pool: Pool, e: int, length: int) -> Call:
    """The call on as many sets of tensors in turn as ROTATED_BYTES take (two inputs and a result each), on one set where those are tiny."""
    sets = min(-(-ROTATED_BYTES // (3 * pool.itemsize * e)), MOST_SETS) if e > TINY_ELEMENTS else 1
    return (
        Rotation([build(pool, e, length) for _ in range(sets)])
        if sets > 1
        else build(pool, e, length)
    )


def _same(call: Call) -> Call:
    return call


def cases(pool: Pool, size: shapes.Size) -> dict[Any, Callable[[], Call]]:
    """All cases, keyed by (operator, row length, elements)."""
    found: dict[Any, Callable[[], Call]] = {}
    for name, build in {**ELEMENTWISE, **OTHERS}.items():
        for e in size.elements:
            found[name, _DEFAULT_LENGTH, e] = partial(
                rotated, build, pool, e, min(e, _DEFAULT_LENGTH)
            )
    for name, build in ROWWISE.items():
        for length in size.lengths:
            for e in size.elements:
                if e <= shapes.FEW_ELEMENTS[-1] or length in size.lengths[-2:]:
                    found[name, length, e] = partial(
                        rotated, build, pool, e, length if build in ROW_BUILDS else min(e, length)
                    )
    for name, way in STRIDED.items():
        found["strided", name] = partial(_product, pool, way)
    for name, build in CONSTANT.items():
        found[name, 1, 1] = partial(build, pool, 1, 1)
    for name, view in VIEWS.items():
        found[f"{name}.view", 1, 1] = partial(_same, view)
    return found


def curves(seconds: dict[Any, float], size: shapes.Size) -> dict[str, Curve]:
    """Operator → curve, and the median of those that compute element by element."""
    found: dict[str, Curve] = {}
    for name in {**ELEMENTWISE, **OTHERS}:
        row = [seconds[name, _DEFAULT_LENGTH, e] for e in size.elements]
        found[name] = Curve(sizes=[float(e) for e in size.elements], seconds=[row])
    for name in ROWWISE:
        table = []
        for length in size.lengths:
            row = [seconds.get((name, length, e), np.nan) for e in size.elements]
            for i, t in enumerate(row):
                if np.isnan(
                    t
                ):  # the largest is timed at two lengths: the others grow like the first of them
                    other = size.lengths[-2]
                    row[i] = (
                        row[i - 1]
                        * seconds[name, other, size.elements[i]]
                        / seconds[name, other, size.elements[i - 1]]
                    )
            table.append(row)
        found[name] = Curve(
            sizes=[float(e) for e in size.elements],
            lengths=[float(x) for x in size.lengths],
            seconds=table,
        )
    for name in [*CONSTANT, *(f"{v}.view" for v in VIEWS)]:
        found[name] = Curve(sizes=[1.0], seconds=[[seconds[name, 1, 1]]])
    middle = np.median([found[n].seconds[0] for n in ELEMENTWISE], axis=0)
    found["elementwise"] = Curve(
        sizes=[float(e) for e in size.elements], seconds=[middle.tolist()], uncertainty=0.5
    )
    return found
