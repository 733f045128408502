"""Could the difference of two samples of sequences be chance? Whole sequences change sides.

A test that takes tokens for independent calls everything drift, since tokens of one sequence are
alike; one that permutes whole sequences is exact for any dependence inside of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

PERMUTATIONS = 999
BLOCK = 64
"""Permutations that are counted at once."""


@dataclass(frozen=True)
class Moved:
    """How far two samples are apart. distance: total variation. by_chance: its mean over
    permutations. p: share of the permutations, this one among them, that are as far apart."""

    distance: float
    by_chance: float
    p: float


@dataclass(frozen=True)
class Permuted:
    """The distances of two samples and of their permutations.

    observed: site → total variation. permuted: site → float [permutations]. weights: share of the
    assignments that a site makes.
    """

    observed: Mapping[str, float]
    permuted: Mapping[str, np.ndarray]
    weights: Mapping[str, float]

    def of_site(self, site: str) -> Moved:
        """Return how far a site has moved."""
        return _moved(self.observed[site], self.permuted[site])

    @property
    def overall(self) -> Moved:
        """How far all sites have moved: the mean, weighted by their assignments."""
        observed = sum(self.weights[site] * self.observed[site] for site in self.observed)
        permuted = np.sum([self.weights[site] * self.permuted[site] for site in self.permuted], 0)
        return _moved(float(observed), permuted)


def _moved(observed: float, permuted: np.ndarray) -> Moved:
    as_far = int((permuted >= observed - 1e-12).sum())
    p = (1 + as_far) / (1 + len(permuted))
    return Moved(observed, float(permuted.mean()), p)


def permuted(
    one: Mapping[str, np.ndarray],
    other: Mapping[str, np.ndarray],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Permuted:
    """Return the total variation of two samples, and of samples that are drawn from both.

    one, other: site → rows of each sequence that took each branch, [sequences, branches].
    """
    count = len(next(iter(one.values())))
    pooled = {site: np.concatenate([one[site], other[site]]).astype(float) for site in one}
    total = len(next(iter(pooled.values())))
    first = np.zeros((1, total))
    first[0, :count] = 1
    observed = {site: float(_variation(first, rows)[0]) for site, rows in pooled.items()}
    rng = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {site: [] for site in pooled}
    for start in range(0, permutations, BLOCK):
        chosen = _memberships(rng, min(BLOCK, permutations - start), total, count)
        for site, rows in pooled.items():
            parts[site].append(_variation(chosen, rows))
    sums = {site: float(rows.sum()) for site, rows in pooled.items()}
    everything = sum(sums.values()) or 1.0
    weights = {site: value / everything for site, value in sums.items()}
    return Permuted(observed, {site: np.concatenate(part) for site, part in parts.items()}, weights)


def _memberships(rng: np.random.Generator, rows: int, total: int, count: int) -> np.ndarray:
    """Random samples of `count` of `total` sequences, 0 or 1, float [rows, total]."""
    order = rng.random((rows, total)).argpartition(count - 1, axis=1)[:, :count]
    chosen = np.zeros((rows, total))
    np.put_along_axis(chosen, order, 1.0, axis=1)
    return chosen


def _variation(chosen: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Total variation between the chosen sequences and the others, float [samples].

    chosen: 0 or 1, [samples, sequences]. rows: [sequences, branches].
    """
    of_chosen = chosen @ rows
    of_others = rows.sum(axis=0) - of_chosen
    shares = _shares(of_chosen) - _shares(of_others)
    variation: np.ndarray = 0.5 * np.abs(shares).sum(axis=1)
    return variation


def _shares(counts: np.ndarray) -> np.ndarray:
    totals = counts.sum(axis=1, keepdims=True)
    shares: np.ndarray = counts / np.where(totals > 0, totals, 1)
    return shares


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values that account for how many there are: Holm, 1979. p: float [n]."""
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    so_far = 0.0
    for rank, place in enumerate(order):
        so_far = max(so_far, (len(p) - rank) * p[place])
        adjusted[place] = min(so_far, 1.0)
    return adjusted
