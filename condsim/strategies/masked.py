"""Everything runs, results that were not asked for are masked out."""

from __future__ import annotations

import numpy as np

from condsim.strategies import BRANCHED, Rows, strategy


@strategy("masked", *BRANCHED, "sparse_activation")
def masked(mechanism: str, choice: int, counts: np.ndarray, arriving: np.ndarray, kept: np.ndarray | None, costliest: int | None) -> Rows:
    """All rows (sparse_activation: all blocks)."""
    return arriving, np.full_like(arriving, counts.shape[1]) if mechanism == "sparse_activation" else arriving
