"""Which units of a step run together, where those of like length do."""

from __future__ import annotations

import numpy as np

from condsim.mechanisms.tokens import BUCKETS

FEWEST = 2
"""Units of a bucket, at least, where a step has more than one."""


def bucket_sizes(units: int, buckets: int = BUCKETS) -> list[int]:
    """Return the units of each bucket, from the longest units to the shortest: as many in each,
    the first ones one more where that does not come out even."""
    count = max(1, min(buckets, units // FEWEST))
    size, more = divmod(units, count)
    return [size + (number < more) for number in range(count)]


def in_buckets(lengths: np.ndarray, buckets: int = BUCKETS) -> np.ndarray:
    """Return which units each bucket has, bool [n, buckets, units].

    lengths: of the units of each step, int [n, units]. Units of one length stay in their order.
    A bucket of a step of too few units has none.
    """
    n, units = lengths.shape
    order = np.argsort(-lengths.astype(np.int64), axis=1, kind="stable")
    found = np.zeros((n, buckets, units), bool)
    first = 0
    for bucket, size in enumerate(bucket_sizes(units, buckets)):
        members = order[:, first : first + size]
        found[np.arange(n)[:, None], bucket, members] = True
        first += size
    return found
