"""One kernel holds the branch, and each row decides inside it: a warp of 32 rows runs the branch if any of its rows takes it.

Nothing is gathered, and the host waits for nothing. Rows lie in warps as they arrive; where one that takes the branch is as likely in one place as in another,

    warps that run = warps * (1 - C(arriving - taken, 32) / C(arriving, 32))        rows that run = 32 * warps that run

Source: NVIDIA, CUDA C++ Programming Guide, "SIMT architecture": threads of a warp that diverge run one path after the other. Not true where rows that take the
branch come together (a sorted batch), nor for products on tensor cores, whose tiles hold more rows than a warp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammaln

from condsim.strategies import BRANCHED, Guard, Rows, strategy

WARP = 32


@strategy("predicated", *BRANCHED, kinds=("gpu",), runs=dict.fromkeys(BRANCHED, "masked"))
def predicated(guard: Guard) -> Rows:
    """The rows of all warps in which at least one row takes the branch, as expected."""
    return guard.arriving, np.rint(diverged(guard.counts[:, guard.choice], guard.arriving)).astype(
        np.int64
    )


def diverged(taken: Any, arriving: Any, warp: int = WARP) -> Any:
    """Expected rows of the warps that run, float array: taken at a warp of one row, arriving where all take it, 0 where none does.

    taken, arriving: int arrays [n], taken <= arriving. warp: rows of a warp; a batch smaller than that is one warp.
    """
    taken, arriving = np.asarray(taken, dtype=float), np.asarray(arriving, dtype=float)
    lanes = np.clip(arriving, 1, warp)
    rest = arriving - taken
    none = np.where(
        rest >= lanes,
        np.exp(
            _choose(np.maximum(rest, lanes), lanes) - _choose(np.maximum(arriving, lanes), lanes)
        ),
        0.0,
    )
    return np.where(taken > 0, np.clip(arriving * (1.0 - none), taken, arriving), 0.0)


def _choose(n: Any, k: Any) -> Any:
    """The logarithm of C(n, k)."""
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
