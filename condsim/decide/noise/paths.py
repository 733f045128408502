"""Groups of units by how much they compute, the same for clean and for noisy inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from condsim.trace import Trace

MOST_GROUPS = 8
"""Distinct amounts of work that are a group each; more are cut in quarters."""
QUARTERS = (0.25, 0.5, 0.75)


def work_of(trace: Trace) -> tuple[np.ndarray, str]:
    """Return how much each unit computes, and what that is: float [units].

    Logical FLOPs of the branches that its rows took; where every unit asks for as many, as in a
    mixture of experts, the branches that it touched.
    """
    flops = np.zeros(trace.units)
    touched = np.zeros(trace.units)
    for site in trace.sites:
        counts = trace.unit_counts(site.name)
        touched += (counts > 0).sum(axis=1)
        if site.branch_flops:
            flops += counts @ np.asarray(site.branch_flops)
    if np.ptp(flops) > 0:
        return flops, "FLOPs"
    return touched, "branches touched"


@dataclass(frozen=True)
class Groups:
    """Units by what they compute.

    edges: of the groups, float [groups - 1]; a unit of as much or less belongs to the lower one.
    most: the work that labels are shares of. what: is counted.
    """

    edges: np.ndarray
    most: float
    what: str

    @classmethod
    def of(cls, trace: Trace) -> Groups:
        """Return the groups that the units of a trace fall into."""
        work, what = work_of(trace)
        distinct = np.unique(work)
        edges = distinct[:-1]
        if len(distinct) > MOST_GROUPS:
            edges = np.unique(np.quantile(work, QUARTERS))
        return cls(edges, float(distinct[-1]), what)

    def numbers(self, trace: Trace) -> np.ndarray:
        """Return the group of each unit of a trace, int [units]."""
        work, _ = work_of(trace)
        return np.searchsorted(self.edges, work, "left")

    def labels(self) -> list[str]:
        """Return what each group is called: how much of the most work it computes, at most."""
        shares = [*(self.edges / self.most), 1.0]
        return [f"up to {share:.0%} of the {self.what}" for share in shares]
