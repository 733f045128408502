"""What the decisions ask for, whatever a strategy executes: logical FLOPs, rows without imbalance,
assignments that are dropped, and speedups as others would estimate them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from condsim.cost.step_cost import StepCost
from condsim.cost.sums import CostSums
from condsim.hardware import HardwareProfile
from condsim.steps.extents import Steps, capacity
from condsim.steps.rebatch import site_rules
from condsim.trace import Trace


def logical_flops(trace: Trace, steps: Steps, dense: StepCost) -> np.ndarray:
    """Return the FLOPs that the decisions ask for, float [steps]: everything outside of the sites,
    and each row's branches.

    dense: the same-params side.
    """
    asked = np.zeros(len(steps))
    executed = np.zeros(len(steps))
    rules = site_rules(trace).values()
    for site, rule in zip(trace.sites, rules, strict=True):
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


@dataclass
class Rivals:
    """Estimates that know nothing of routing's costs.

    peak: FLOPs a second of the device. logical: FLOPs that the decisions ask for.
    """

    profile: HardwareProfile
    peak: float
    logical: float = 0.0
    _roofline_c: float = 0.0
    _roofline_b: float = 0.0

    def add(self, conditional: StepCost, baseline: StepCost, logical: np.ndarray) -> None:
        """Add a block of steps."""
        self.logical += float(logical.sum())
        self._roofline_c += self._roofline_s(conditional)
        self._roofline_b += self._roofline_s(baseline)

    def join(self, other: Rivals) -> None:
        """Add what another device estimates of its share."""
        self.logical += other.logical
        self._roofline_c += other._roofline_c
        self._roofline_b += other._roofline_b

    def of_flops(self, baseline_flops: float) -> dict[str, float]:
        """Return the FLOP ratio and a plain roofline (peak and bandwidth)."""
        return {
            "flop_ratio": baseline_flops / self.logical,
            "roofline": self._roofline_b / self._roofline_c,
        }

    def speedups(self, conditional: CostSums, baseline: CostSums) -> dict[str, float]:
        """Return the FLOP ratio, a plain roofline (peak and bandwidth), and the sum of
        micro-benchmarks whose data is in the caches."""
        return self.of_flops(baseline.flops) | {"hot_sum": baseline.hot_s / conditional.hot_s}

    def _roofline_s(self, side: StepCost) -> float:
        flops = side.flops + side.router_flops
        bandwidth = self.profile.dram.bandwidth.value
        compute_s = flops / self.peak
        memory_s = side.footprint_bytes / bandwidth
        step_s = np.maximum(compute_s, memory_s)
        return float(step_s.sum())
