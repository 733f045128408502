"""Models that answer a sample in one forward: what a batch costs, by what its samples decide.

At the first batch of a size, compositions of that size are drawn from the trace, and the most
frequent of them are priced at once. A batch that decides as one of them costs what that one does;
any other costs what the nearest one does, by `Sites.features`, each in units of its spread. How far
that is off is said by leaving each composition out in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from condsim.mechanisms.tokens import STAYS
from condsim.serve.columns import packed
from condsim.serve.prices.composition import Pool, Sites
from condsim.serve.prices.copies import ExpertCopies, with_own_copies
from condsim.serve.prices.nearest import PricedSize, most_frequent
from condsim.serve.prices.side import ServedSide
from condsim.steps.rebatch import Cut

DRAWS = 8
"""Compositions that are drawn for each that is priced."""


class SamplePrices:
    """Implements `condsim.serve.samples.SamplePrices` for networks that nobody leaves.

    cut: the trace's units, one a step. unit_of: of each request. drawn: compositions of a size.
    """

    stages = 1
    regroup_s = 0.0

    def __init__(
        self, side: ServedSide, cut: Cut, unit_of: np.ndarray, drawn: int, seed: int
    ) -> None:
        self.side, self.cut, self.drawn = side, cut, drawn
        self.pool = Pool.of(cut)
        self.sites = Sites(side.trace, side.capacity_factor)
        of_unit = [site.of_unit for site in cut.sites.values()]
        self.of_unit = np.concatenate(of_unit, axis=1, dtype=np.int64)
        self.of_request = unit_of
        self.unit_of = packed(unit_of)
        self.seed = seed
        self.copies: ExpertCopies | None = None
        self.sizes: dict[int, PricedSize] = {}

    @property
    def priced(self) -> int:
        """Steps that condsim predicted."""
        return self.side.priced

    def error(self) -> float:
        """Return how far a composition that was not priced is off, relative, at the 90th
        percentile: each of those that were is left out in turn."""
        off = [size.errors() for size in self.sizes.values()]
        return float(np.percentile(np.concatenate(off), 90))

    def depth(self, _request: int) -> int:
        """Return 1: all samples run all of the network."""
        return 1

    def price(self, _stage: int, requests: Sequence[int]) -> tuple[float, float]:
        """Return (seconds, joules) of a batch."""
        size = len(requests)
        if size not in self.sizes:
            self.sizes[size] = self._price_size(size)
        if self.drawn == 1 and self.copies is None:
            return self.sizes[size].costs[0]
        units = [self.unit_of[request] for request in requests]
        counts = self.of_unit[units].sum(axis=0)
        seconds, joules = self.sizes[size].price(counts)
        if self.copies is not None:
            seconds += self.copies.seconds(counts)
        return seconds, joules

    def of_replica(self) -> SamplePrices:
        """Return the prices of one replica: what its device keeps of the experts is its own."""
        return with_own_copies(self)

    def rest_s(self, _stage: int, _rows: int) -> float:
        """Return 0: there is no rest."""
        return 0.0

    def _price_size(self, size: int) -> PricedSize:
        rng = np.random.default_rng([self.seed, size])
        units = self.pool.draw((DRAWS * self.drawn, size), rng)
        counts = self.of_unit[units].sum(axis=1)
        chosen = most_frequent(counts, self.drawn)
        counts = counts[chosen]
        total = np.full(len(counts), self.pool.total)
        rows = np.full(len(counts), size)
        steps = self.sites.steps(rows, self.pool.seq, total, counts)
        steps = replace(steps, lengths=self._lengths(units[chosen]), owed=self._owed(units[chosen]))
        seconds, joules = self.side.price(self.cut.phase, steps)
        return PricedSize(self.sites, counts, seconds, joules)

    def _lengths(self, units: np.ndarray) -> dict[str, np.ndarray]:
        """Site of tokens → those that stay in each of some units, int of the same shape."""
        lengths = {}
        for name, site in self.cut.sites.items():
            if site.rule.mechanism.keeps_tokens:
                lengths[name] = site.of_unit[units, STAYS]
        return lengths

    def _owed(self, units: np.ndarray) -> dict[str, np.ndarray]:
        """Exit at which tokens owe → those that some units run, int of the same shape."""
        sites = self.cut.sites.items()
        return {name: site.owed[units] for name, site in sites if site.owed is not None}
