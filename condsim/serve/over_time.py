"""A number over time in a bounded number of buckets, however long the time is."""

from __future__ import annotations

import numpy as np
import pandas as pd

BUCKETS = 1024
FIRST_WIDTH_S = 2.0**-20


class OverTime:
    """Integrates a number that is constant between events.

    Buckets become twice as wide whenever the time leaves the last one.
    """

    def __init__(self) -> None:
        self._width = FIRST_WIDTH_S
        self._sums = [0.0] * BUCKETS
        self._end = 0.0
        self.integral = 0.0
        self.largest = 0.0

    def add(self, begin: float, end: float, value: float) -> None:
        """Add a value that held from `begin` to `end`."""
        if end <= begin:
            return
        self._end = max(self._end, end)
        if value == 0:
            return
        self.largest = max(self.largest, value)
        self.integral += value * (end - begin)
        while end > self._width * BUCKETS:
            self._widen()
        first = int(begin / self._width)
        last = min(int(end / self._width), BUCKETS - 1)
        if first == last:
            self._sums[first] += value * (end - begin)
            return
        self._sums[first] += value * ((first + 1) * self._width - begin)
        for bucket in range(first + 1, last):
            self._sums[bucket] += value * self._width
        self._sums[last] += value * (end - last * self._width)

    def _widen(self) -> None:
        sums = self._sums
        pairs = [sums[i] + sums[i + 1] for i in range(0, BUCKETS, 2)]
        self._sums = pairs + [0.0] * (BUCKETS // 2)
        self._width *= 2

    def table(self, name: str) -> pd.DataFrame:
        """Return a row a bucket: when it begins (start_s), and the mean of the number in it."""
        while self._end > self._width * BUCKETS:
            self._widen()
        used = max(1, int(np.ceil(self._end / self._width)))
        start_s = np.arange(used) * self._width
        held_s = np.minimum(self._width, np.maximum(self._end - start_s, self._width * 1e-9))
        return pd.DataFrame({"start_s": start_s, name: np.array(self._sums[:used]) / held_s})
