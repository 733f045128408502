"""What an operator is given and gives, as the recorder writes it down."""

from __future__ import annotations

from typing import Any

import torch

from condsim.record.events import RecordedOp, RecordedTensor
from condsim.record.layouts import parts_of

PIECES = {"unbind", "split", "chunk", "split_with_sizes", "tensor_split"}
"""Operators that cut a tensor into as many pieces as the data asks for."""


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """The tensors in the arguments or the results of an operator: in tuples, lists and dicts."""
    found: list[torch.Tensor] = []
    _collect(tree, found)
    return found


def _collect(tree: Any, found: list[torch.Tensor]) -> None:
    if isinstance(tree, torch.Tensor):
        found += parts_of(tree)
    elif isinstance(tree, (tuple, list)):
        for part in tree:
            _collect(part, found)
    elif isinstance(tree, dict):
        for part in tree.values():
            _collect(part, found)


def stack_pieces(op: RecordedOp) -> None:
    """Put alike outputs together as one, with their number as its first dimension.

    So the operator has one output, however many pieces the data asked for.
    """
    shapes = {output.shape for output in op.outputs}
    if len(shapes) > 1:
        return
    first = op.outputs[0]
    shape = (len(op.outputs), *first.shape)
    op.outputs = [RecordedTensor(shape, first.dtype, first.weight, first.storage)]


def params_of(name: str, args: Any) -> tuple[int, ...]:
    """What shapes do not say of an operator.

    A convolution's stride and groups, or the characters of an einsum's equation.
    """
    if name == "einsum":
        return tuple(map(ord, args[0]))
    if name not in ("conv1d", "conv2d", "conv3d", "convolution"):
        return ()
    place_of_groups = 8 if name == "convolution" else 6
    stride = args[3] if len(args) > 3 else 1
    groups = args[place_of_groups] if len(args) > place_of_groups else 1
    first_stride = stride[0] if isinstance(stride, (list, tuple)) else stride
    return (int(first_stride), int(groups))
