"""The batch waits for its slowest: all rows run as long as one needs it."""

from __future__ import annotations

import numpy as np

from condsim.strategies import BRANCHED, Guard, Rows, strategy


@strategy("wait", *BRANCHED, steered="host")
def wait(guard: Guard) -> Rows:
    """All rows where at least one took the branch, none where none did."""
    return guard.arriving, np.where(guard.counts[:, guard.choice] > 0, guard.arriving, 0)
