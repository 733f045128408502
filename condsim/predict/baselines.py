"""What the decisions ask for, whatever a strategy executes: logical FLOPs, rows without imbalance,
assignments that are dropped, and speedups as others would estimate them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from condsim.cost.step_cost import StepCost
from condsim.cost.sums import CostSums
from condsim.steps.extents import Steps, capacity
from condsim.steps.patterns import ACTIVE
from condsim.steps.rebatch import site_rules
from condsim.trace import Trace


def logical_flops(trace: Trace, steps: Steps, dense: StepCost) -> np.ndarray:
    """Return the FLOPs that the decisions ask for, float [steps]: everything outside of the sites,
    and each row's branches, or each weight that is there.

    dense: the same-params side.
    """
    asked = np.zeros(len(steps))
    executed = np.zeros(len(steps))
    rules = site_rules(trace).values()
    for site, rule in zip(trace.sites, rules, strict=True):
        if rule.mechanism.prunes_weights:
            of_unit = steps.extents["batch"] * site.branch_flops[0]
            asked += of_unit * steps.counts[site.name][:, ACTIVE]
            executed += of_unit * site.branches * site.unit_rows.a_step
            continue
        per_branch = np.array(site.branch_flops)
        costliest = steps.costliest.get(site.name)
        per_row = rule.mechanism.dense_flops(per_branch, costliest)
        asked += steps.counts[site.name] @ per_branch
        executed += steps.arriving(rule) * per_row
    outside_of_sites = dense.flops - executed
    logical: np.ndarray = outside_of_sites + asked
    return logical


def without_imbalance(trace: Trace, steps: Steps) -> Steps:
    """Return the same rows spread evenly over the branches that were touched, where an even load
    is what a router aims at."""
    counts = dict(steps.counts)
    for site in trace.sites:
        routing = site.routing
        if routing.balanced:
            counts[site.name] = routing.evened(counts[site.name])
    return replace(steps, counts=counts)


def dropped(trace: Trace, steps: Steps) -> tuple[int, int]:
    """Return (assignments of rows to experts that are over an expert's capacity, all of them)."""
    over = total = 0
    for rule in site_rules(trace).values():
        if not rule.mechanism.mixes_experts:
            continue
        counts = steps.counts[rule.name]
        rows = steps.arriving(rule)
        room = capacity(rows, rule.top_k, rule.branches, steps.capacity_factor)
        over += int(np.maximum(counts - room[:, None], 0).sum())
        total += int(counts.sum())
    return over, total


@dataclass(frozen=True)
class Rivals:
    """Estimates that know nothing of routing's costs.

    logical: FLOPs that the decisions ask for. conditional_s, baseline_s: of a plain roofline (peak
    and bandwidth).
    """

    logical: float
    conditional_s: float
    baseline_s: float

    @classmethod
    def of(cls, conditional: CostSums, baseline: CostSums, logical: float) -> Rivals:
        """Return what is estimated of both sides."""
        return cls(logical, conditional.roofline_s, baseline.roofline_s)

    @classmethod
    def together(cls, parts: Sequence[Rivals]) -> Rivals:
        """Return what is estimated of several devices, each of which has a share."""
        logical = sum(part.logical for part in parts)
        conditional_s = sum(part.conditional_s for part in parts)
        baseline_s = sum(part.baseline_s for part in parts)
        return cls(logical, conditional_s, baseline_s)

    def of_flops(self, baseline_flops: float) -> dict[str, float]:
        """Return the FLOP ratio and a plain roofline."""
        return {
            "flop_ratio": baseline_flops / self.logical,
            "roofline": self.baseline_s / self.conditional_s,
        }

    def speedups(self, conditional: CostSums, baseline: CostSums) -> dict[str, float]:
        """Return the FLOP ratio, a plain roofline, and the sum of micro-benchmarks whose data is in
        the caches."""
        return self.of_flops(baseline.flops) | {"hot_sum": baseline.hot_s / conditional.hot_s}
