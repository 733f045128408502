"""Networks that samples leave early: what each stage costs, by the rows that run it.

    stage k on r rows = T(r rows leave after stage k) - T(r rows leave after stage k - 1)

where T is the predicted step. So the stages of a batch add up to its step wherever kernels follow
each other, as they do on a CPU, and behind every exit that the host waits for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from condsim.serve.columns import packed
from condsim.serve.prices.composition import Pool, Sites
from condsim.serve.prices.side import ServedSide
from condsim.steps.rebatch import Cut

CHECKED_SIZES = (1, 2, 8, 32)
"""Rows of the batches whose stages are added up and compared with the whole."""
CHECKED_BATCHES = 16


class StagePrices:
    """Implements `condsim.serve.samples.SamplePrices`.

    cut: the trace's units, one a step. unit_of: of each request. most: rows of a batch.
    """

    def __init__(
        self,
        side: ServedSide,
        cut: Cut,
        unit_of: np.ndarray,
        most: int,
        regroup_s: float,
    ) -> None:
        self.side, self.cut, self.regroup_s = side, cut, regroup_s
        self.stages = len(cut.sites) + 1
        going_on = [site.of_unit[:, 1] for site in cut.sites.values()]
        depth: np.ndarray = 1 + np.stack(going_on).sum(axis=0, dtype=np.int64)
        self.of_request = unit_of
        self._depth = depth.tolist()
        self._unit_of = packed(unit_of)
        seconds, joules = _totals(side, cut, most)
        self._seconds = _of_stages(seconds).tolist()
        self._joules = _of_stages(joules).tolist()
        self._rest = np.cumsum(_of_stages(seconds)[::-1], axis=0)[::-1].tolist()

    def of_replica(self) -> StagePrices:
        """Return the prices of one replica, which are those of all."""
        return self

    def depth(self, request: int) -> int:
        """Return the stages that a request runs through."""
        depth: int = self._depth[self._unit_of[request]]
        return depth

    def price(self, stage: int, requests: Sequence[int]) -> tuple[float, float]:
        """Return (seconds, joules) of a stage on some requests."""
        row = len(requests) - 1
        return self._seconds[stage][row], self._joules[stage][row]

    def rest_s(self, stage: int, rows: int) -> float:
        """Return the seconds from a stage to the end, if so many rows ran all of it."""
        return float(self._rest[stage][rows - 1])

    @property
    def priced(self) -> int:
        """Steps that condsim predicted."""
        return self.side.priced

    def error(self) -> float:
        """Return how far the sum over stages is off the prediction of whole batches as they decide
        in the trace, relative, at the 90th percentile."""
        sizes = [size for size in CHECKED_SIZES if size <= len(self._seconds[0])]
        rng = np.random.default_rng(0)
        pool = Pool.of(self.cut)
        off = []
        for size in sizes:
            units = pool.draw((CHECKED_BATCHES, size), rng)
            off.append(self._errors(units))
        return float(np.percentile(np.concatenate(off), 90))

    def _errors(self, units: np.ndarray) -> np.ndarray:
        """units: of each batch, int [n, rows]."""
        pool = Pool.of(self.cut)
        of_sites = [site.of_unit[units].sum(axis=1) for site in self.cut.sites.values()]
        counts = np.concatenate(of_sites, axis=1, dtype=np.int64)
        rows = np.full(len(units), units.shape[1])
        total = np.full(len(units), pool.total)
        steps = Sites(self.side.trace).steps(rows, pool.seq, total, counts)
        whole, _ = self.side.price(self.cut.phase, steps)
        going_on = [counts[:, 2 * site + 1] for site in range(len(self.cut.sites))]
        by_stage = np.stack([rows, *going_on], axis=1).tolist()
        summed = np.array([self.of_batch(of_batch) for of_batch in by_stage])
        off: np.ndarray = np.abs(summed / whole - 1)
        return off

    def of_batch(self, going_on: Sequence[int]) -> float:
        """Return the seconds of a batch. going_on: rows that run each stage."""
        total = 0.0
        for stage, rows in enumerate(going_on):
            if rows:
                total += self._seconds[stage][rows - 1]
        return total


def _totals(side: ServedSide, cut: Cut, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (seconds, joules) of batches whose rows all leave after one stage, float [stages,
    rows]."""
    sites = Sites(side.trace)
    exits = len(cut.sites)
    rows = np.arange(1, most + 1)
    pool = Pool.of(cut)
    counts = np.zeros((exits + 1, most, exits, 2), np.int64)
    for last in range(exits + 1):
        counts[last, :, :last, 1] = rows[:, None]
        if last < exits:
            counts[last, :, last, 0] = rows
    flat = counts.reshape(-1, exits * 2)
    units = np.tile(rows, exits + 1)
    total = np.full(len(units), pool.total)
    seconds, joules = side.price(cut.phase, sites.steps(units, pool.seq, total, flat))
    return seconds.reshape(exits + 1, most), joules.reshape(exits + 1, most)


def _of_stages(totals: np.ndarray) -> np.ndarray:
    """Return what each stage adds; a stage never gives time back."""
    added: np.ndarray = np.diff(totals, axis=0, prepend=0.0)
    never_back: np.ndarray = np.maximum(added, 0.0)
    return never_back
