"""A scope of a program with all of its calls: the steps, and the choices of loops, that run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from condsim.program import Op, Scope
from condsim.program.model import PlacedScope

GuardPath = tuple[tuple[str, int], ...]
"""(site, choice) from the outside in; choice -1 where one body serves several branches."""


@dataclass(frozen=True)
class ScopeCalls:
    """A scope with all of its calls, m of them.

    placed: the scope. guards: what it stands behind.
    step: the step of each call, int [m]. choice: the branch whose weights each call reads, -1
    outside of guards, int [m]. sizes: extent → int [m].
    parent: index of the calls that the scope stands in, among those of a `Lowered`, -1 for the
    root. parent_call: which of the parent's calls each call belongs to, int [m].
    members: units of its step that each call runs, bool [m, units]; None for all.
    """

    placed: PlacedScope
    guards: GuardPath
    step: np.ndarray
    choice: np.ndarray
    sizes: Mapping[str, np.ndarray]
    parent: int
    parent_call: np.ndarray
    members: np.ndarray | None = None

    @property
    def scope(self) -> Scope:
        return self.placed.scope

    def __len__(self) -> int:
        return len(self.step)

    def operators(self) -> Iterator[tuple[int, Op]]:
        """Yield the operators of the scope with their nodes, loops left out."""
        for node, op in enumerate(self.scope.nodes):
            if isinstance(op, Op):
                yield node, op
