"""Whether two results of a forward are the same: bit by bit, or but for the order of sums."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""How far results in fp32 may be apart that differ in the order of sums."""
ROUNDINGS = 4
"""Roundings of the dtype by which such results may differ; that is more for half precision."""


def tensors_of(result: Any) -> list[torch.Tensor]:
    """The tensors in what a forward gave, in order."""
    tensors: list[torch.Tensor] = []
    for leaf in tree_leaves(result):
        if isinstance(leaf, torch.Tensor):
            tensors.append(leaf)
        elif is_dataclass(leaf) and not isinstance(leaf, type):
            tensors += tensors_of([getattr(leaf, field.name) for field in fields(leaf)])
    return tensors


def same_bits(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    """Whether tensors are the same bit by bit; what is NaN in both is the same."""
    if len(a) != len(b):
        return False
    for x, y in zip(a, b, strict=True):
        if x.shape != y.shape or x.dtype != y.dtype:
            return False
        same = torch.equal(x, y) or torch.allclose(x, y, rtol=0, atol=0, equal_nan=True)
        if not same:
            return False
    return True


def close(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    """Whether tensors are the same but for the order of sums in their dtype."""
    if [x.shape for x in a] != [y.shape for y in b]:
        return False
    return all(_close(x, y) for x, y in zip(a, b, strict=True))


def _close(x: torch.Tensor, y: torch.Tensor) -> bool:
    relative, absolute = RELATIVE, ABSOLUTE
    if x.is_floating_point() and x.numel() > 0:
        rounding = ROUNDINGS * torch.finfo(x.dtype).eps
        largest = float(x.abs().nan_to_num().max())
        relative = max(relative, rounding)
        absolute = max(absolute, rounding * largest)
    return torch.allclose(x, y, rtol=relative, atol=absolute, equal_nan=True)
