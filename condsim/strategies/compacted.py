"""Gather the rows of a branch, run them alone, scatter them back."""

from __future__ import annotations

import numpy as np

from condsim.strategies import BRANCHED, Rows, strategy


@strategy("compacted", *BRANCHED)
@strategy("looped", "moe")
def compacted(mechanism: str, choice: int, counts: np.ndarray, arriving: np.ndarray, kept: np.ndarray | None, costliest: int | None) -> Rows:
    """As many rows as took the branch."""
    return arriving, counts[:, choice]
