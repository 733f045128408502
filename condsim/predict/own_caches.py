"""Caches that a model keeps in memory of its own, and writes in place.

Other caches are made anew in each step, longer by what it adds, and are seen among its storages.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from condsim.cost.device import Target
from condsim.lowered import Lowered
from condsim.program import Dim, Op, Program, Tensor, elements

POSITIONS, NEW_POSITIONS, UNITS = "total", "seq", "batch"
"""Extents: all positions of a sequence, those of the step, sequences."""
ROWS = ("rows", "outer")
"""Extents behind guards; a cache is there for all sequences, whichever of them come there."""
FLOAT = "float"
Cache = tuple[str, Tensor]
"""The module that reads it, and the whole of it."""


def own_caches_bytes(lowered: Lowered, target: Target) -> int:
    """Return the bytes of the caches that steps are handed and leave behind, at the step that has
    most; 0 where no step has positions before it."""
    extents = lowered.steps.extents
    if (extents[POSITIONS] <= extents[NEW_POSITIONS]).all():
        return 0
    sizes = {**extents, **dict.fromkeys(ROWS, extents[UNITS])}
    total = np.zeros(len(lowered.steps))
    for _, cache in dict.fromkeys(_caches(lowered.program)):
        total += np.asarray(elements(cache.shape(sizes))) * target.itemsize(cache.dtype)
    return int(total.max(initial=0))


def _caches(program: Program) -> Iterator[Cache]:
    """What a view cuts to the positions so far, and no operator has made."""
    made: set[tuple[Dim, ...]] = set()
    for op in _operators(program):
        if op.allocs:
            made.update(output.dims for output in op.outputs)
    for op in _operators(program):
        if not (op.view and op.inputs):
            continue
        whole = op.inputs[0]
        cuts = _follows_positions(op.outputs[0]) and not _follows_positions(whole)
        if cuts and whole.dtype == FLOAT and not whole.weight and whole.dims not in made:
            yield op.module, whole


def _operators(program: Program) -> Iterator[Op]:
    for placed in program.scopes:
        for node in placed.scope.nodes:
            if isinstance(node, Op):
                yield node


def _follows_positions(tensor: Tensor) -> bool:
    followed: set[str] = set()
    for dim in tensor.dims:
        followed.update(*[extents for _, extents in dim.terms])
    return POSITIONS in followed
