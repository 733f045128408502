"""One kernel holds the branch, and each row decides inside it.

A warp of 32 rows runs the branch if any of its rows takes it. Nothing is gathered, and the host
waits for nothing. Where a row that takes the branch is as likely in one place of the batch as in
another,

    warps that run = warps * (1 - C(arriving - taken, 32) / C(arriving, 32))
    rows that run = 32 * warps that run

Source: NVIDIA, CUDA C++ Programming Guide, "SIMT architecture": threads of a warp that diverge run
one path after the other. Not true where rows that take the branch come together (a sorted batch),
nor for products on tensor cores, whose tiles hold more rows than a warp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammaln

from condsim.hardware import abilities
from condsim.mechanisms import Guards, Rows
from condsim.strategies.strategy import BRANCHED, strategy

WARP = 32


@strategy("predicated", BRANCHED, needs=(abilities.WARPS,), runs={BRANCHED: "masked"})
def predicated(guards: Guards) -> Rows:
    """The rows of all warps in which at least one row takes the branch, as expected."""
    arriving = guards.every_row()
    expected = diverged(guards.taken(), arriving)
    rows = np.rint(expected).astype(np.int64)
    return arriving, rows


def diverged(taken: Any, arriving: Any, warp: int = WARP) -> Any:
    """Return the expected rows of the warps that run, float array like `taken`.

    It is `taken` at a warp of one row, `arriving` where all rows take the branch, 0 where none
    does.
    taken, arriving: int arrays of one shape, taken <= arriving. warp: rows of a warp; a batch
    smaller than that is one warp.
    """
    taken = np.asarray(taken, dtype=float)
    arriving = np.asarray(arriving, dtype=float)
    lanes = np.clip(arriving, 1, warp)
    others = arriving - taken
    ways_without = _log_choose(np.maximum(others, lanes), lanes)
    ways = _log_choose(np.maximum(arriving, lanes), lanes)
    share_without = np.exp(ways_without - ways)
    no_lane_takes_it = np.where(others >= lanes, share_without, 0.0)
    expected = arriving * (1.0 - no_lane_takes_it)
    rows = np.clip(expected, taken, arriving)
    return np.where(taken > 0, rows, 0.0)


def _log_choose(n: Any, k: Any) -> Any:
    """Return the logarithm of C(n, k)."""
    orders_of_all = gammaln(n + 1)
    orders_of_chosen = gammaln(k + 1)
    orders_of_rest = gammaln(n - k + 1)
    return orders_of_all - orders_of_chosen - orders_of_rest
