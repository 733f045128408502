"""A prepared graph for each branch; the host reads the decision back and starts the one that was taken."""

from __future__ import annotations

import numpy as np

from condsim.strategies import BRANCHED, Guard, Rows, strategy

RUNS = {**dict.fromkeys(BRANCHED, "wait"), "moe": "looped"}


@strategy("switched", *BRANCHED, "moe", kinds=("npu",), shapes="one", steered="host", runs=RUNS)
def switched(guard: Guard) -> Rows:
    """All rows where at least one took the branch: the shapes of a graph are those of the batch."""
    return guard.arriving, np.where(guard.counts[:, guard.choice] > 0, guard.arriving, 0)
