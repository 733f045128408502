"""What the decisions ask for, whatever a strategy executes: logical FLOPs, rows without imbalance,
assignments that are dropped, and speedups as others would estimate them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from condsim.cost.step_cost import StepCost
from condsim.hardware import HardwareProfile
from condsim.steps.extents import Steps, capacity
from condsim.steps.rebatch import site_rules
from condsim.trace import Trace


def logical_flops(trace: Trace, steps: Steps, dense: StepCost) -> np.ndarray:
    """Return the FLOPs that the decisions ask for, float [steps]: everything outside of the sites,
    and each row's branches.

    dense: the same-params side.
    """
    inside, whole = np.zeros(len(steps)), np.zeros(len(steps))
    for site, rule in zip(trace.sites, site_rules(trace).values(), strict=True):
        per_branch = np.array(site.branch_flops)
        costliest = steps.costliest.get(site.name)
        inside += steps.counts[site.name] @ per_branch
        whole += steps.arriving(rule) * rule.mechanism.dense_flops(per_branch, costliest)
    logical: np.ndarray = dense.flops - whole + inside
    return logical


def without_imbalance(trace: Trace, steps: Steps) -> Steps:
    """Return the same rows spread evenly over the branches that were touched, where an even load
    is what a router aims at."""
    counts = dict(steps.counts)
    for site in trace.sites:
        if site.routing.balanced:
            counts[site.name] = site.routing.evened(counts[site.name])
    return replace(steps, counts=counts)


def dropped_share(trace: Trace, steps: Steps) -> float:
    """Return the share of the assignments of rows to experts that are over an expert's capacity."""
    over = total = 0
    for rule in site_rules(trace).values():
        if not rule.mechanism.mixes_experts:
            continue
        counts = steps.counts[rule.name]
        rows = steps.arriving(rule)
        room = capacity(rows, rule.top_k, rule.branches, steps.capacity_factor)
        over += int(np.maximum(counts - room[:, None], 0).sum())
        total += int(counts.sum())
    return over / max(total, 1)


@dataclass(frozen=True)
class Rivals:
    """Estimates that know nothing of routing's costs. peak: FLOPs a second of the device."""

    profile: HardwareProfile
    peak: float

    def speedups(
        self, conditional: StepCost, baseline: StepCost, logical: np.ndarray
    ) -> dict[str, float]:
        """Return the FLOP ratio, a plain roofline (peak and bandwidth), and the sum of
        micro-benchmarks whose data is in the caches."""
        return {
            "flop_ratio": float(baseline.flops.sum() / logical.sum()),
            "roofline": self._roofline_s(baseline) / self._roofline_s(conditional),
            "hot_sum": float(baseline.seconds.sum()) / float(conditional.seconds.sum()),
        }

    def _roofline_s(self, side: StepCost) -> float:
        compute = (side.flops + side.router_flops) / self.peak
        memory = side.footprint_bytes / self.profile.dram.bandwidth.value
        return float(np.maximum(compute, memory).sum())
