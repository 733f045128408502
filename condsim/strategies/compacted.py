"""Gather the rows of a branch, run them alone, scatter them back."""

from __future__ import annotations

from condsim.strategies import BRANCHED, Guard, Rows, strategy


@strategy("compacted", *BRANCHED, shapes="any", steered="host")
@strategy("looped", "moe", shapes="any", steered="host")
def compacted(guard: Guard) -> Rows:
    """As many rows as took the branch."""
    return guard.arriving, guard.counts[:, guard.choice]
