"""Operators that take the place of others in a program, whose places keep their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from condsim.program.model import JOINED, Dim, Free, Loop, Op, Program, Scope

NOTHING = Dim(0)


def in_place_of(op: Op, kernel: Op) -> Op:
    """Return `kernel` in the place of `op`; no Python runs before it and the host does not wait."""
    return replace(
        op,
        name=kernel.name,
        inputs=kernel.inputs,
        outputs=kernel.outputs,
        params=kernel.params,
        entered=0,
        instructions=0,
        sync=False,
    )


def absorbed(op: Op) -> Op:
    """Return `op` as a view that costs nothing and creates nothing: another operator does it."""
    allocs = tuple((NOTHING, dtype) for _, dtype in op.allocs)
    gone = in_place_of(op, Op(f"{op.name}{JOINED}", (), ()))
    return replace(gone, view=True, allocs=allocs)


def inserted(program: Program, after: Mapping[int, Op]) -> Program:
    """Return a program with operators behind nodes of its root.

    after: node → what stands behind it. It makes no storage; all later nodes move on.
    """
    moved: list[int] = []
    nodes: list[Op | Loop] = []
    for place, node in enumerate(program.root.nodes):
        moved.append(len(nodes))
        nodes.append(node)
        if place in after:
            nodes.append(after[place])
    root = _renumbered(Scope(tuple(nodes), program.root.frees), moved, in_root=True)
    stages = tuple(moved[stage] for stage in program.stages)
    return replace(program, root=root, stages=stages)


def _renumbered(scope: Scope, moved: Sequence[int], in_root: bool) -> Scope:
    """A scope whose deaths of storages name the nodes of the root as they are numbered now."""
    nodes: list[Op | Loop] = []
    for node in scope.nodes:
        if isinstance(node, Loop):
            bodies = {key: _renumbered(body, moved, False) for key, body in node.bodies.items()}
            node = replace(node, bodies=bodies)
        nodes.append(node)
    frees = tuple(_moved_free(free, moved, in_root) for free in scope.frees)
    return Scope(tuple(nodes), frees)


def _moved_free(free: Free, moved: Sequence[int], in_root: bool) -> Free:
    position, op, path = free.position, free.op, free.path
    if in_root and position >= 0:
        position = moved[position]
    if path:
        loop, choice, outer, rows = path[0]
        path = ((moved[loop], choice, outer, rows), *path[1:])
    else:
        op = moved[op]
    return replace(free, position=position, op=op, path=path)
