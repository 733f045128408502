"""The batch waits for its slowest: all rows run as long as one needs it."""

from __future__ import annotations

import numpy as np

from condsim.strategies import BRANCHED, Rows, strategy


@strategy("wait", *BRANCHED)
def wait(mechanism: str, choice: int, counts: np.ndarray, arriving: np.ndarray, kept: np.ndarray | None, costliest: int | None) -> Rows:
    """All rows where at least one took the branch, none where none did."""
    return arriving, np.where(counts[:, choice] > 0, arriving, 0)
