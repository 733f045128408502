"""Logical FLOPs: what the decisions ask for, whatever the strategy then executes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from condsim.program import Bindings, Loop, Op, Program, Scope, loops
from condsim.program.regime import Regime
from condsim.program.work import work

WEIGHT_BLOCKS = (-1,)
"""The choices of a loop whose body runs blocks of weights: each costs the same, for every row."""
ARRIVING = 64
"""Rows that reach a guard where the FLOPs of a branch are counted; enough for all regimes."""
FEW_ROWS, MORE_ROWS = 16, 32
"""Rows that take the branch: FLOPs are linear in them, so that two numbers give a row's."""


def op_flops(op: Op, bindings: Bindings) -> float:
    """FLOPs of one operator at given extents."""
    if op.view:
        return 0.0
    inputs = [t.shape(bindings) for t in op.inputs]
    outputs = [t.shape(bindings) for t in op.outputs]
    return float(work(op.name, inputs, outputs, op.params).flops)


def scope_flops(scope: Scope, bindings: Bindings) -> float:
    """FLOPs of the operators directly in a scope, without inner guards and their routers."""
    flops = 0.0
    for node in scope.nodes:
        if isinstance(node, Op) and not node.role:
            flops += op_flops(node, bindings)
    return flops


def branch_flops(
    program: Program,
    site: str,
    branches: int,
    of_one_unit: bool = False,
    sizes: Mapping[str, int] | None = None,
) -> np.ndarray:
    """FLOPs that one more row costs in each branch of a site, guards inside it not counted.

    program: one that runs rows behind guards (looped, compacted); where it is of one row alone,
    that row's FLOPs. of_one_unit: rows are those of a
    unit, and cost the more the more there are; counted between FEW_ROWS and MORE_ROWS. sizes: of
    the step, where a row is a whole sequence and costs what its length makes of it; None for those
    that were probed. Returns float [branches], 0 for a branch that was never probed.
    """
    per_row = np.zeros(branches)
    extents = dict(program.probed[-1])
    for name, size in (sizes or {}).items():
        if name in extents:
            extents[name] = size
    if of_one_unit:
        extents["batch"] = 1
    for loop in loops(program.root):
        if loop.site != site:
            continue
        if loop.choices == WEIGHT_BLOCKS:
            two_blocks = _flops_of_blocks(loop, extents, 2)
            one_block = _flops_of_blocks(loop, extents, 1)
            per_row += two_blocks - one_block
            continue
        for choice in loop.choices:
            if 0 <= choice < branches:
                per_row[choice] += _flops_a_row(loop, choice, extents, _of_one_row(program))
    return per_row


def expert_flops(program: Program, site: str, top_k: int) -> float:
    """FLOPs that one more row costs in one expert of a site.

    program: one that runs all experts together (grouped).
    """
    few = dict(program.probed[-1])
    more = few | {"batch": few["batch"] + 1}
    inside = {"hits": 1, "capacity": 1}
    flops = 0.0
    for node in program.root.nodes:
        if isinstance(node, Op) and node.site == site:
            flops += op_flops(node, more | inside) - op_flops(node, few | inside)
    return flops / (few.get("seq", 1) * top_k)


def _of_one_row(program: Program) -> bool:
    """Whether a program is of steps in which one row is all there is."""
    regime = Regime.parse(program.regime)
    return regime.decodes and regime.single


def _flops_a_row(loop: Loop, choice: int, extents: Bindings, one_row: bool) -> float:
    """FLOPs that one more row costs in a branch; 0 where it was never probed.

    one_row: the program has no other.
    """
    body = loop.body(choice, 1, 1) if one_row else loop.body(choice, 2, 2)
    if body is None:
        return 0.0
    _, scope = body
    if one_row:
        return scope_flops(scope, _guarded(extents, 1, 1) | {"hits": 1, "capacity": 1})
    flops = []
    for rows in (FEW_ROWS, MORE_ROWS):
        inside = _guarded(extents, ARRIVING, rows)
        inside |= {"hits": 1, "capacity": 1}
        flops.append(scope_flops(scope, inside))
    few, more = flops
    return (more - few) / (MORE_ROWS - FEW_ROWS)


def _flops_of_blocks(loop: Loop, extents: Bindings, blocks: int) -> float:
    """FLOPs of one row of a body that runs so many blocks of weights."""
    body = loop.body(-1, 2, 2)
    if body is None:
        return 0.0
    _, scope = body
    rows = extents["batch"] * extents.get("seq", 1)
    flops = scope_flops(scope, _guarded(extents, rows, blocks))
    return float(flops / rows)


def _guarded(extents: Bindings, arriving: int, taking: int) -> dict[str, int]:
    """The extents behind a guard that so many rows reach, and so many of them pass."""
    return {**extents, "outer": arriving, "rows": taking, "rest": arriving - taking}
