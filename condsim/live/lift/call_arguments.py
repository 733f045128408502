"""The arguments of a call that two tapes have, with what varies between them left open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_leaves

from condsim.live.lift.actions import Arguments, Size
from condsim.live.lift.environment import Variable, tensor_variable
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.tape import Tape
from condsim.live.lift.two_tapes import size_on_both

IsSize = Callable[[Node, Any], bool]
"""(call, argument) → whether the argument is a size, though it is the same on both tapes."""
Sized = tuple[Variable, tuple[int, ...]]
"""A tensor, and its dimensions whose product is the size."""


def arguments_on_both(
    tapes: tuple[Tape, Tape], node: Node, more: Mapping[str, Any], is_size: IsSize
) -> Arguments:
    """Return a call's arguments: tensors of the tape are variables, numbers that differ are sizes.

    node: the call on the first tape. more: arguments by keyword beside those on the tape.
    Raises NotLiftable where the second tape lacks the call, or where no tensor has a size.
    """
    tape, other_tape = tapes
    other = other_tape.nodes[node.number]
    if other is None:
        raise NotLiftable("it makes other calls for other batch sizes")
    leaves, spec = tree_flatten((node.args, {**node.kwargs, **more}))
    other_leaves = tree_leaves((other.args, {**other.kwargs, **more}))

    def variable_of(leaf: Any) -> Variable | None:
        return tensor_variable(leaf, ()) if isinstance(leaf, Ref) else None

    def size_of(leaf: Any, other_leaf: Any) -> Sized | None:
        if isinstance(leaf, torch.Tensor) or (leaf == other_leaf and not is_size(node, leaf)):
            return None
        ref, dims = size_on_both(tape, other_tape, node, (leaf, other_leaf))
        return tensor_variable(ref, ()), dims

    return arguments_of((leaves, other_leaves), spec, variable_of, size_of)


def arguments_of(
    on_both: tuple[list[Any], list[Any]],
    spec: Any,
    variable_of: Callable[[Any], Variable | None],
    size_of: Callable[[Any, Any], Sized | None],
) -> Arguments:
    """Put the arguments of a call together.

    on_both: the leaves on the first tape and on the second. spec: how they were put together.
    variable_of: leaf → its variable, None where it is no tensor that a call made. size_of: leaves
    of both → what has their size, None where they are no size.
    """
    leaves, other_leaves = on_both
    variables: list[tuple[int, Variable]] = []
    sizes: list[Size] = []
    for place, (leaf, other_leaf) in enumerate(zip(leaves, other_leaves, strict=True)):
        variable = variable_of(leaf)
        if variable is not None:
            variables.append((place, variable))
            continue
        size = size_of(leaf, other_leaf)
        if size is not None:
            sizes.append((place, *size))
    return Arguments(tuple(leaves), spec, variables, sizes)


def no_size(_node: Node, _leaf: Any) -> bool:
    """What is the same on both tapes is no size."""
    return False
