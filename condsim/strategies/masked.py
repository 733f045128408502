"""Everything runs, results that were not asked for are masked out."""

from __future__ import annotations

import numpy as np

from condsim.strategies import BRANCHED, Guard, Rows, strategy


@strategy("masked", *BRANCHED, "sparse_activation")
def masked(guard: Guard) -> Rows:
    """All rows (sparse_activation: all blocks)."""
    return guard.arriving, np.full_like(
        guard.arriving, guard.counts.shape[1]
    ) if guard.mechanism == "sparse_activation" else guard.arriving
