"""Compositions of one size that are priced, and the nearest of them to any other."""

from __future__ import annotations

import numpy as np

from condsim.serve.prices.composition import Sites
from condsim.serve.prices.grid import Cost


class PricedSize:
    """counts: of the priced compositions, int [n, columns]. seconds, joules: of each, float [n]."""

    def __init__(
        self, sites: Sites, counts: np.ndarray, seconds: np.ndarray, joules: np.ndarray
    ) -> None:
        self.sites = sites
        self.seconds = seconds
        self.costs: list[Cost] = list(zip(seconds.tolist(), joules.tolist(), strict=True))
        features = sites.features(counts)
        spread = features.std(axis=0)
        varies = spread > 1e-9 * np.abs(features).max(axis=0)
        self.scale = np.where(varies, spread, np.inf)
        self.features = features / self.scale
        self._known: dict[bytes, Cost] = {}
        for of_row, cost in zip(counts, self.costs, strict=True):
            self._known[of_row.tobytes()] = cost

    def price(self, counts: np.ndarray) -> Cost:
        """Return (seconds, joules) of a composition. counts: int [columns]."""
        key = counts.tobytes()
        known = self._known.get(key)
        if known is not None:
            return known
        return self.costs[self.nearest(counts)]

    def nearest(self, counts: np.ndarray, larger: float = 1.0) -> int:
        """Return the number of the nearest composition.

        counts: [columns]. larger: how many times their rows a composition of this size has.
        """
        features = self.sites.features(counts[None])[0] * [larger, 1.0, larger] / self.scale
        return int(np.square(self.features - features).sum(axis=1).argmin())

    def errors(self) -> np.ndarray:
        """Return how far the nearest other composition's seconds are off, relative, float [n]."""
        apart = np.square(self.features[:, None] - self.features[None]).sum(axis=2)
        np.fill_diagonal(apart, np.inf)
        if len(apart) < 2:
            return np.zeros(len(apart))
        off: np.ndarray = np.abs(self.seconds[apart.argmin(axis=1)] / self.seconds - 1)
        return off


def most_frequent(counts: np.ndarray, most: int) -> np.ndarray:
    """Return where the distinct compositions stand that are most frequent, at most so many.

    counts: int [n, columns].
    """
    if len(counts) == 1:
        return np.zeros(1, int)
    _, first, times = np.unique(counts, axis=0, return_index=True, return_counts=True)
    order = np.argsort(-times, kind="stable")[:most]
    places: np.ndarray = first[np.sort(order)]
    return places
