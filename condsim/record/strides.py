"""How PyTorch's elementwise loop goes over operands that do not lie in memory as one piece.

Source: PyTorch, aten/src/ATen/TensorIterator.cpp, reorder_dimensions, coalesce_dimensions and
serial_for_each.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

INNERMOST = 2
"""Dimensions that the fast loops take; a slower loop counts through the others."""


@dataclass(frozen=True)
class LoopDimension:
    """A dimension that a loop goes through. strides: of each operand, in elements."""

    size: int
    strides: tuple[int, ...]

    def merges(self, outer: LoopDimension) -> bool:
        """Whether one loop can go through both, for every operand."""
        following = tuple(self.size * stride for stride in self.strides)
        return outer.strides == following


def inner_loops(operands: Sequence[torch.Tensor]) -> tuple[int, ...]:
    """How the two innermost loops of an elementwise operator go over its operands.

    operands: results first; they broadcast.
    Returns (elements that the two loops take together, 1 if in every operand those of the innermost
    are next to each other or all the same, else 0); () where the two loops take all there is, and
    it is next to each other.
    """
    loops = _loops(operands)
    if not loops:
        return ()
    adjacent = all(stride <= 1 for stride in loops[0].strides)
    if len(loops) <= INNERMOST and adjacent:
        return ()
    elements = math.prod(loop.size for loop in loops[:INNERMOST])
    return (elements, int(adjacent))


def _loops(operands: Sequence[torch.Tensor]) -> list[LoopDimension]:
    """The loops from the innermost out, merged where all operands allow it; [] without elements."""
    shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    if math.prod(shape) == 0:
        return []
    strides = [_broadcast_strides(operand, len(shape)) for operand in operands]
    dimensions = []
    for dim in reversed(range(len(shape))):
        if shape[dim] > 1:
            of_operands = tuple(of_operand[dim] for of_operand in strides)
            dimensions.append(LoopDimension(shape[dim], of_operands))
    loops: list[LoopDimension] = []
    for dimension in sorted(dimensions, key=functools.cmp_to_key(_which_first)):
        if loops and loops[-1].merges(dimension):
            inner = loops[-1]
            size = inner.size * dimension.size
            loops[-1] = LoopDimension(size, inner.strides)
        else:
            loops.append(dimension)
    return loops


def _broadcast_strides(operand: torch.Tensor, dims: int) -> list[int]:
    """The strides of a tensor that is broadcast to `dims` dimensions: 0 along those it lacks."""
    strides = [0] * (dims - operand.dim())
    for size, stride in zip(operand.shape, operand.stride(), strict=True):
        step = 0 if size == 1 else stride
        strides.append(step)
    return strides


def _which_first(one: LoopDimension, other: LoopDimension) -> int:
    """Which of two dimensions is stepped through first: -1, 1, or 0 where no operand tells.

    The first operand that has both dimensions and different strides along them tells.
    """
    for stride, other_stride in zip(one.strides, other.strides, strict=True):
        if stride and other_stride and stride != other_stride:
            return -1 if stride < other_stride else 1
    return 0
