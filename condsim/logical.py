"""Logical FLOPs: what the decisions ask for, whatever the strategy then executes."""

from __future__ import annotations

import numpy as np

from condsim.operators import work
from condsim.program import Bindings, Loop, Op, Program, Scope, loops


def op_flops(op: Op, bindings: Bindings) -> float:
    """FLOPs of one operator."""
    if op.view:
        return 0.0
    return float(work(op.name, [t.shape(bindings) for t in op.inputs], [t.shape(bindings) for t in op.outputs], op.params).flops)


def scope_flops(scope: Scope, bindings: Bindings) -> float:
    """FLOPs of the operators directly in a scope, not of what stands behind inner guards."""
    return sum(op_flops(n, bindings) for n in scope.nodes if isinstance(n, Op))


def branch_flops(program: Program, site: str, branches: int) -> np.ndarray:
    """FLOPs that one more row costs in each branch of a site, float [branches], guards inside it not counted.

    program: one that runs rows behind guards (looped, compacted). Zero for a branch that was never probed.
    """
    per_row = np.zeros(branches)
    sizes = dict(program.probed[-1])
    for loop in loops(program.root):
        if loop.site == site:
            for choice in loop.choices:
                found = loop.body(choice, 2, 2)
                if found is not None and 0 <= choice < branches:
                    at = [scope_flops(found[1], {**sizes, "outer": 64, "rows": r, "hits": 1, "capacity": 1}) for r in (16, 32)]
                    per_row[choice] += (at[1] - at[0]) / 16
    return per_row


__all__ = ["Loop", "branch_flops", "op_flops", "scope_flops"]
