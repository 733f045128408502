"""Logical FLOPs: what the decisions ask for, whatever the strategy then executes."""

from __future__ import annotations

import numpy as np

from condsim.program import Bindings, Loop, Op, Program, Scope, loops
from condsim.program.operators import work


def op_flops(op: Op, bindings: Bindings) -> float:
    """FLOPs of one operator."""
    if op.view:
        return 0.0
    return float(
        work(
            op.name,
            [t.shape(bindings) for t in op.inputs],
            [t.shape(bindings) for t in op.outputs],
            op.params,
        ).flops
    )


def scope_flops(scope: Scope, bindings: Bindings) -> float:
    """FLOPs of the operators directly in a scope: not of what stands behind inner guards, nor of their routers."""
    return sum(op_flops(n, bindings) for n in scope.nodes if isinstance(n, Op) and not n.role)


def branch_flops(program: Program, site: str, branches: int) -> np.ndarray:
    """FLOPs that one more row costs in each branch of a site, float [branches], guards inside it not counted.

    program: one that runs rows behind guards (looped, compacted). Zero for a branch that was never probed.
    """
    per_row = np.zeros(branches)
    sizes = dict(program.probed[-1])
    for loop in loops(program.root):
        if loop.site == site:
            if loop.choices == (-1,):  # weight blocks: each costs the same, for every row
                at_blocks = [_blocks_flops(loop, sizes, b) for b in (1, 2)]
                per_row += at_blocks[1] - at_blocks[0]
                continue
            for choice in loop.choices:
                found = loop.body(choice, 2, 2)
                if found is not None and 0 <= choice < branches:
                    at = [
                        scope_flops(
                            found[1],
                            {
                                **sizes,
                                "outer": 64,
                                "rows": r,
                                "rest": 64 - r,
                                "hits": 1,
                                "capacity": 1,
                            },
                        )
                        for r in (16, 32)
                    ]
                    per_row[choice] += (at[1] - at[0]) / 16
    return per_row


def _blocks_flops(loop: Loop, sizes: Bindings, blocks: int) -> float:
    """FLOPs of one row of a body that runs so many blocks."""
    found = loop.body(-1, 2, 2)
    rows = sizes["batch"] * sizes.get("seq", 1)
    return (
        0.0
        if found is None
        else scope_flops(found[1], {**sizes, "outer": rows, "rows": blocks, "rest": rows - blocks})
        / rows
    )
