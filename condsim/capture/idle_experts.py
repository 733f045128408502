"""Experts that compute nothing, beside others: all of them run what one of them runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from condsim.program import Dim, Loop, Op, Scope

Key = tuple[int, int, int]
"""(choice, outer regime, rows regime)."""
Bodies = Mapping[Key, Scope]


def of_all_idle(bodies: Bodies, idle: Iterable[int], others: Bodies) -> dict[Key, Scope]:
    """Return the bodies of all idle experts: `bodies`, and what stands for the others.

    bodies: of the first of them, fitted to what any of them ran. others: of experts that compute,
    which would serve an idle one that has no body of its own for some regime. What stands for
    another expert creates no storage: the first one's deaths are not its own.
    """
    first, *rest = idle
    known = Loop("", (first,), dict(bodies))
    regimes = {(outer, rows) for _, outer, rows in (*bodies, *others) if rows}
    found = dict(bodies)
    for outer, rows in regimes:
        served = known.body(first, outer, rows)
        if served is None:
            continue
        _, body = served
        found.setdefault((first, outer, rows), _without_storages(body))
        for expert in rest:
            found[expert, outer, rows] = _without_storages(body)
    return found


def _without_storages(scope: Scope) -> Scope:
    nodes = []
    for node in scope.nodes:
        if isinstance(node, Op):
            node = replace(node, allocs=tuple((Dim(0), dtype) for _, dtype in node.allocs))
        nodes.append(node)
    return Scope(tuple(nodes))
