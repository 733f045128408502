"""Compressed sparse tensors as the recorder sees them: the dense ones that hold each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

BY_ROWS = {torch.sparse_csr, torch.sparse_bsr}
BY_COLUMNS = {torch.sparse_csc, torch.sparse_bsc}
LAYOUTS = {
    torch.sparse_csr: "csr",
    torch.sparse_csc: "csc",
    torch.sparse_bsr: "bsr",
    torch.sparse_bsc: "bsc",
}
"""Compressed sparse layouts → what the names of operators on them begin with."""

SPARSE_PRODUCTS = ("csr_mm", "csr_sparse_sampled_addmm")
"""Products with compressed sparse tensors, whose time depends on how dense operands lie."""
PARTS = 3
"""Tensors that hold a compressed sparse one."""


def parts_of(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensors that hold a tensor: of a compressed sparse one where its rows (or columns) begin,
    the columns (or rows) of its values, and these; of any other one itself."""
    if tensor.layout in BY_ROWS:
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in BY_COLUMNS:
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    return (tensor,)


def of_layout(name: str, tree: Any) -> str:
    """The name of an operator, with the layout of a compressed sparse operand before it."""
    layout = _layout_in(tree)
    return f"{layout}_{name}" if layout else name


def _layout_in(tree: Any) -> str:
    """The layout of the first compressed sparse tensor in arguments, "" where there is none."""
    if isinstance(tree, torch.Tensor):
        return LAYOUTS.get(tree.layout, "")
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    if not isinstance(tree, (tuple, list)):
        return ""
    return next(filter(None, map(_layout_in, tree)), "")


def lying(read: Sequence[torch.Tensor]) -> tuple[int, ...]:
    """Of each dense operand of a sparse product, whether it lies row by row: 1, else 0.

    read: the parts of the sparse operand, then the dense ones.
    """
    return tuple(int(tensor.is_contiguous()) for tensor in read[PARTS:])
