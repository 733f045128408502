"""A side's seconds, after what runs between two of its steps, and which effect adds which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from condsim.cost.step_cost import StepCost
from condsim.predict.intervals import SideSeconds
from condsim.predict.side import Side

HOST_LINK = "host link"
"""What seconds rest on that are waited for copies of weights."""

OF_PRODUCTS = ("weight_traffic", "efficiency", "quantisation")
"""Worlds that are told apart at balanced rows, where a device model says what each adds."""


@dataclass(frozen=True)
class TimedSide:
    """A side's seconds, float [steps].

    seconds: of each step. beginning_s: of these, first calls. evicted_s: of these, evicted
    weights; spread_s: one standard deviation of it. waited_s: of these, for copies of weights.
    """

    side: Side
    seconds: np.ndarray
    beginning_s: np.ndarray
    evicted_s: np.ndarray
    spread_s: np.ndarray
    waited_s: np.ndarray | None = None

    @classmethod
    def of(cls, side: Side, other: Side | None, by_events: bool) -> TimedSide:
        """Return a side's seconds.

        other: the side that runs in turn with each step; None where the steps follow each other.
        by_events: by the reference engine.
        """
        between = None if other is None else other.between()
        evicted, spread = side.cost.evicted_weights(between)
        beginning = side.cost.beginning(between)
        clocked = side.seconds_by_events() if by_events else side.clocked_s
        return cls(side, clocked + evicted + beginning, beginning, evicted, spread)

    def sources(self) -> SideSeconds:
        """Return what the seconds rest on."""
        cost = self.side.cost
        by_source = {name: float(np.sum(s)) for name, s in cost.by_family.items()}
        by_source["dispatch"] = float(cost.parts["dispatch"].sum() + self.beginning_s.sum())
        if self.waited_s is not None:
            by_source[HOST_LINK] = float(self.waited_s.sum())
        evicted = (float(self.evicted_s.sum()), float(self.spread_s.sum()))
        return SideSeconds(by_source, evicted, float(self.seconds.sum()))


def world_seconds(
    timed: TimedSide, even: StepCost, logical: float, peak: float
) -> dict[str, float]:
    """Return world → seconds that it adds, summed over the steps.

    even: the side without load imbalance. logical: FLOPs that the decisions ask for. peak: FLOPs
    a second. What no other world explains (clocks that overlap, first calls) counts as launch.
    """
    cost = timed.side.cost
    executed, router = float(cost.flops.sum()), float(cost.router_flops.sum())
    added = {
        "flops": logical / peak,
        "executed": (executed - logical) / peak,
        "router": router / peak,
    }
    ideal = (executed + router) / peak
    if cost.worlds:
        added |= _worlds_of_device(cost, even)
    else:
        added |= _worlds_of_parts(cost, even, ideal, float(timed.evicted_s.sum()))
    added["communication"] = 0.0 if timed.waited_s is None else float(timed.waited_s.sum())
    added["launch"] += float(timed.seconds.sum()) - sum(added.values())
    return added


def _worlds_of_device(cost: StepCost, even: StepCost) -> dict[str, float]:
    """The device model says what each effect adds."""
    added = {}
    for world in OF_PRODUCTS:
        added[world] = float(np.sum(even.worlds.get(world, 0.0)))
    added["gather"] = float(np.sum(cost.worlds.get("gather", 0.0)))
    added["imbalance"] = _total(cost, "matmul") - _total(even, "matmul")
    launch = float(np.sum(cost.worlds.get("launch", 0.0)))
    added["launch"] = launch + _total(cost, "dispatch")
    return added


def _worlds_of_parts(
    cost: StepCost, even: StepCost, ideal_s: float, evicted_s: float
) -> dict[str, float]:
    """Worlds from what kernels' seconds are made of. ideal_s: FLOPs at the peak rate."""
    products, padding = _total(even, "matmul"), _total(even, "quantisation")
    uneven = _total(cost, "matmul") - products + _total(cost, "quantisation") - padding
    return {
        "gather": _total(cost, "traffic"),
        "weight_traffic": evicted_s + _total(cost, "weights"),
        "efficiency": products - ideal_s,
        "imbalance": uneven,
        "quantisation": padding,
        "launch": _total(cost, "dispatch"),
    }


def _total(cost: StepCost, part: str) -> float:
    return float(cost.parts[part].sum())
