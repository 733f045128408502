"""How PyTorch's elementwise loop goes over operands that do not lie in memory as one piece."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch


def inner_loop(operands: Sequence[torch.Tensor]) -> tuple[int, ...]:
    """(elements that the innermost loop takes, 1 if in every operand they are next to each other or all the same, else 0); () where one such loop takes all.

    operands: results first; they broadcast. Dimensions are put in order of their strides and merged where all operands allow it. Source: PyTorch,
    aten/src/ATen/TensorIterator.cpp, reorder_dimensions and coalesce_dimensions.
    """
    shape = torch.broadcast_shapes(*(t.shape for t in operands))
    if not math.prod(shape):
        return ()
    columns = [_strides(t, len(shape)) for t in operands]
    dims = [(size, strides) for size, *strides in zip(shape, *columns, strict=True) if size > 1]
    dims.reverse()
    merged: list[tuple[int, list[int]]] = []
    for size, strides in sorted(dims, key=functools.cmp_to_key(_faster)):
        if merged and strides == [merged[-1][0] * s for s in merged[-1][1]]:
            merged[-1] = merged[-1][0] * size, merged[-1][1]
        else:
            merged.append((size, strides))
    if not merged:
        return ()
    size, strides = merged[0]
    together = all(s <= 1 for s in strides)
    return () if len(merged) == 1 and together else (size, int(together))


def _strides(t: torch.Tensor, dims: int) -> list[int]:
    """Of a tensor that is broadcast to so many dimensions: 0 along those that it lacks."""
    return [0] * (dims - t.dim()) + [0 if size == 1 else stride for size, stride in zip(t.shape, t.stride(), strict=True)]


def _faster(a: tuple[int, list[int]], b: tuple[int, list[int]]) -> int:
    """Which of two dimensions is stepped through first: by the first operand that has both and tells them apart."""
    for x, y in zip(a[1], b[1], strict=True):
        if x and y and x != y:
            return -1 if x < y else 1
    return 0
