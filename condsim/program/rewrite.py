"""Operators that take the place of others in a program, whose places keep their numbers."""

from __future__ import annotations

from dataclasses import replace

from condsim.program.model import JOINED, Dim, Op

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
