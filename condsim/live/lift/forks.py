"""Which results may be decisions of a forward: what they compare, choose or look up."""

from __future__ import annotations

from typing import Any

import torch

COMPARISONS = {"gt", "ge", "lt", "le"}
CHOICES = {"argmax", "argmin", "max", "min", "topk"}
LOOK_UPS = {"getitem", "embedding", "index_select", "gather", "remainder", "mod", "fmod"}
"""Functions that may give the branches of rows by what they are: a table, a remainder."""


def are_branches(out: Any, ways: int) -> bool:
    """Whether a result may be a branch for each row."""
    if not isinstance(out, torch.Tensor) or out.dtype != torch.int64 or out.numel() < 2:
        return False
    return ways > 1 and bool((out >= 0).all()) and bool((out < ways).all())


def one_a_row(tensor: torch.Tensor) -> bool:
    """Whether there is one value for each of several rows."""
    if tensor.ndim == 0:
        return False
    rows = tensor.shape[0]
    return rows > 1 and tensor.numel() == rows


def is_hard(gate: torch.Tensor) -> bool:
    """Whether all values are 0 or 1."""
    return bool(((gate == 0) | (gate == 1)).all())


def may_be_ids(leaf: Any) -> bool:
    """Whether part of a submodule's result may be branches [rows, k]."""
    if not isinstance(leaf, torch.Tensor):
        return False
    return leaf.dtype == torch.int64 and leaf.ndim > 1


def chooses_several(scores: torch.Tensor, ids: torch.Tensor) -> bool:
    """Whether ids [..., k] choose fewer than all of the scores [..., branches]."""
    if ids.shape[:-1] != scores.shape[:-1]:
        return False
    return ids.shape[-1] < scores.shape[-1]


def chooses_one(scores: torch.Tensor, ids: torch.Tensor) -> bool:
    """Whether ids are one of the scores [rows, ..., branches] each."""
    if ids.dtype != torch.int64 or ids.ndim == 0 or ids.shape[0] != scores.shape[0]:
        return False
    return ids.numel() == scores.numel() // scores.shape[-1]
