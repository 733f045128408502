"""Copy the weight blocks that any row of the batch asks for into a smaller matrix."""

from __future__ import annotations

import numpy as np

from condsim.strategies import Rows, strategy


@strategy("gathered", "sparse_activation")
def gathered(mechanism: str, choice: int, counts: np.ndarray, arriving: np.ndarray, kept: np.ndarray | None, costliest: int | None) -> Rows:
    """The union of the blocks that rows ask for."""
    return arriving, (counts > 0).sum(1)
