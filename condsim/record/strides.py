"""How PyTorch's elementwise loop goes over operands that do not lie in memory as one piece."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch


def inner_loops(operands: Sequence[torch.Tensor]) -> tuple[int, ...]:
    """(elements that the two innermost loops take together, 1 if those of the innermost are next to each other, or all the same, in every operand, else 0);
    () where that is all there is to do, and next to each other.

    operands: results first; they broadcast. Dimensions are put in order of their strides and merged where all operands allow it; what is left beyond two is
    counted through by a slower loop. Source: PyTorch, aten/src/ATen/TensorIterator.cpp, reorder_dimensions, coalesce_dimensions and serial_for_each.
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
    together = all(s <= 1 for s in merged[0][1])
    return (
        ()
        if len(merged) <= 2 and together
        else (math.prod(size for size, _ in merged[:2]), int(together))
    )


def _strides(t: torch.Tensor, dims: int) -> list[int]:
    """Of a tensor that is broadcast to so many dimensions: 0 along those that it lacks."""
    return [0] * (dims - t.dim()) + [
        0 if size == 1 else stride for size, stride in zip(t.shape, t.stride(), strict=True)
    ]


def _faster(a: tuple[int, list[int]], b: tuple[int, list[int]]) -> int:
    """Which of two dimensions is stepped through first: by the first operand that has both and tells them apart."""
    for x, y in zip(a[1], b[1], strict=True):
        if x and y and x != y:
            return -1 if x < y else 1
    return 0
