"""What a batch decides, summed up: rows by site and branch, and the three numbers that its cost
follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from condsim.steps.extents import CAPACITY_FACTOR, SiteRule, Steps
from condsim.steps.rebatch import Cut, branch_shares, site_rules
from condsim.trace import Trace


@dataclass(frozen=True)
class Sites:
    """The sites of a trace side by side: their branches are the columns of one table.

    capacity_factor: of `condsim.steps.extents.Steps`.
    """

    trace: Trace
    capacity_factor: float = CAPACITY_FACTOR

    @cached_property
    def rules(self) -> Mapping[str, SiteRule]:
        """Site → what steps say of it."""
        return site_rules(self.trace)

    @cached_property
    def begins(self) -> np.ndarray:
        """The first column of each site, int [sites]."""
        branches = [rule.branches for rule in self.rules.values()]
        begins: np.ndarray = np.cumsum([0, *branches[:-1]])
        return begins

    @cached_property
    def columns(self) -> int:
        """Branches of all sites."""
        return sum(rule.branches for rule in self.rules.values())

    @cached_property
    def flops(self) -> np.ndarray:
        """Logical FLOPs that a row costs in each branch, float [columns]; 1 where unknown."""
        of_sites = []
        for site in self.trace.sites:
            known = site.branch_flops or (1.0,) * site.branches
            of_sites.append(np.array(known, np.float64))
        return np.concatenate(of_sites) if of_sites else np.zeros(0)

    def features(self, counts: np.ndarray) -> np.ndarray:
        """Return what the cost of compositions follows, float [n, 3].

        counts: rows that took each branch, [n, columns]. Of each: logical FLOPs, branches that some
        row took, and rows of the fullest branch of each site, summed up.
        """
        if not self.columns:
            return np.zeros((len(counts), 3))
        work = counts @ self.flops
        touched = np.count_nonzero(counts, axis=1)
        fullest = np.maximum.reduceat(counts, self.begins, axis=1).sum(axis=1)
        return np.stack([work, touched, fullest], axis=1).astype(np.float64)

    def steps(
        self, units: np.ndarray, seq: int | np.ndarray, total: np.ndarray, counts: np.ndarray
    ) -> Steps:
        """Return steps of some compositions.

        units, total: int [n]; seq: positions of a unit, one number or int [n]; counts: int
        [n, columns].
        """
        of_sites = np.split(counts, self.begins[1:], axis=1) if self.columns else []
        by_site = dict(zip(self.rules, of_sites, strict=True))
        seqs = np.broadcast_to(np.asarray(seq), len(units)).copy()
        steps = Steps.rectangular(
            np.asarray(units), seqs, total, by_site, self.trace.header.windows
        )
        kept = {name: self._kept(name, steps) for name in self.rules}
        costliest = self.trace.header.costliest
        return Steps(steps.extents, by_site, kept, costliest, self.capacity_factor)

    def _kept(self, site: str, steps: Steps) -> np.ndarray:
        """Rows that each branch keeps under same-flops, int [n, branches]."""
        rule, shares = self.rules[site], branch_shares(self.trace, site)
        rows: Sequence[int] = steps.arriving(rule).tolist()
        kept = [rule.mechanism.rows_kept(shares, arriving, rule.top_k) for arriving in rows]
        return np.stack(kept)


@dataclass(frozen=True)
class Pool:
    """The units that requests are drawn from: those of the size that most units have.

    units: unit-steps of the trace. seq, total: positions of a unit, and those that it sees.
    """

    units: np.ndarray
    seq: int
    total: int

    @classmethod
    def of(cls, cut: Cut) -> Pool:
        """Return the pool of a cut into steps of one unit."""
        ends = np.cumsum([size.count for size in cut.sizes])
        number = max(range(len(cut.sizes)), key=lambda each: cut.sizes[each].count)
        size = cut.sizes[number]
        units = cut.units[ends[number] - size.count : ends[number]]
        return cls(units, size.seq, size.seq + size.past)

    def draw(self, shape: int | tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """Return units, int of a shape."""
        return rng.choice(self.units, shape)
