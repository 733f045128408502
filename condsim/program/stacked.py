"""Gradients of one part of a stacked weight, which are written as large as the whole of it.

The gradient of `weight[e]` is a tensor of zeros as large as `weight`, with the part's gradient in
it, and it is added to that of the parts before. For a loop over E experts that is E times the bytes
of E experts: a cost that grows with the square of their number.
"""

from __future__ import annotations

from condsim.program.model import Op, Program, Scope

PICKED = ("select_backward",)
"""Operators that write the gradient of a part as large as the whole."""
SUMS = ("add", "add_")


def stacked_gradients(program: Program) -> frozenset[tuple[int, int]]:
    """Return the places, (scope, node), of operators that write or add such gradients."""
    if not program.stages:
        return frozenset()
    found = []
    for placed in program.scopes:
        found += [(placed.number, node) for node in _in_scope(placed.scope)]
    return frozenset(found)


def _in_scope(scope: Scope) -> list[int]:
    whole: set[object] = set()
    nodes = []
    for node, op in enumerate(scope.nodes):
        if not isinstance(op, Op) or not op.outputs:
            continue
        dims = op.outputs[0].dims
        if op.name in PICKED:
            whole.add(dims)
            nodes.append(node)
        elif op.name in SUMS and dims in whole:
            nodes.append(node)
    return nodes
