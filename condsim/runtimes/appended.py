"""Caches that grow in place: keys and values of new tokens are written behind the old ones.

PyTorch's own cache puts old and new together in a new tensor, which copies all of it for each
token. A serving engine writes the new rows into memory that it had set aside.
Source: Kwon et al., 2023, "Efficient Memory Management for Large Language Model Serving with
PagedAttention", section 4.3.
"""

from __future__ import annotations

from dataclasses import replace

from condsim.program import Op, Program, Scope, Tensor

CONCATENATES = ("cat", "concat")


def append_in_place(program: Program) -> Program:
    """Return the program with caches that are written where they are.

    What a step leaves behind is a cache. The memory that it takes stays as it is.
    """
    kept = kept_storages(program)
    nodes = list(program.root.nodes)
    for position, node in enumerate(nodes):
        if isinstance(node, Op) and position in kept and node.name in CONCATENATES:
            nodes[position] = _appending(node)
    return replace(program, root=Scope(tuple(nodes), program.root.frees))


def kept_storages(program: Program) -> list[int]:
    """Return the operators of the root whose result outlives the step, but for the last one, which
    is the step's own result."""
    dying = {(free.op, free.alloc) for free in program.root.frees if not free.path}
    kept = []
    for position, node in enumerate(program.root.nodes):
        if isinstance(node, Op):
            kept += [position for alloc in range(len(node.allocs)) if (position, alloc) not in dying]
    return kept[:-1]


def _appending(op: Op) -> Op:
    """The operator as it writes what is new only."""
    new = op.inputs[-1]
    return replace(op, inputs=(new,), outputs=(Tensor(new.dims, new.dtype),))
