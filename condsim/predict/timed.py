"""A side's seconds, after what runs between two of its steps, and which effect adds which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
        seconds = clocked + evicted + beginning
        return cls(side, seconds, beginning, evicted, spread)

    @cached_property
    def sources(self) -> SideSeconds:
        """What the seconds rest on."""
        cost = self.side.cost
        by_source = {}
        for family, seconds in cost.by_family.items():
            by_source[family] = float(np.sum(seconds))
        dispatch_s = cost.parts["dispatch"].sum()
        by_source["dispatch"] = float(dispatch_s + self.beginning_s.sum())
        if self.waited_s is not None:
            by_source[HOST_LINK] = float(self.waited_s.sum())
        evicted_s = float(self.evicted_s.sum())
        deviation_s = float(self.spread_s.sum())
        clocked_s = float(self.seconds.sum())
        return SideSeconds(by_source, (evicted_s, deviation_s), clocked_s)


def world_seconds(
    timed: TimedSide, even: StepCost, logical: float, peak: float
) -> dict[str, float]:
    """Return world → seconds that it adds, summed over the steps.

    even: the side without load imbalance. logical: FLOPs that the decisions ask for. peak: FLOPs
    a second. What no other world explains (clocks that overlap, first calls) counts as launch.
    """
    cost = timed.side.cost
    executed = float(cost.flops.sum())
    router = float(cost.router_flops.sum())
    added = {
        "flops": logical / peak,
        "executed": (executed - logical) / peak,
        "router": router / peak,
    }
    if cost.worlds:
        added |= _worlds_of_device(cost, even)
    else:
        ideal_s = (executed + router) / peak
        evicted_s = float(timed.evicted_s.sum())
        added |= _worlds_of_parts(cost, even, ideal_s, evicted_s)
    added["communication"] = 0.0
    if timed.waited_s is not None:
        added["communication"] = float(timed.waited_s.sum())
    whole_s = float(timed.seconds.sum())
    added["launch"] += whole_s - sum(added.values())
    return added


def _worlds_of_device(cost: StepCost, even: StepCost) -> dict[str, float]:
    """The device model says what each effect adds."""
    added = {}
    for world in OF_PRODUCTS:
        added[world] = _added_by(even, world)
    added["gather"] = _added_by(cost, "gather")
    added["imbalance"] = _total(cost, "matmul") - _total(even, "matmul")
    added["launch"] = _added_by(cost, "launch") + _total(cost, "dispatch")
    return added


def _added_by(cost: StepCost, world: str) -> float:
    seconds = cost.worlds.get(world, 0.0)
    return float(np.sum(seconds))


def _worlds_of_parts(
    cost: StepCost, even: StepCost, ideal_s: float, evicted_s: float
) -> dict[str, float]:
    """Worlds from what kernels' seconds are made of. ideal_s: FLOPs at the peak rate."""
    even_matmul = _total(even, "matmul")
    even_padding = _total(even, "quantisation")
    matmul = _total(cost, "matmul")
    padding = _total(cost, "quantisation")
    weights = _total(cost, "weights")
    return {
        "gather": _total(cost, "traffic"),
        "weight_traffic": evicted_s + weights,
        "efficiency": even_matmul - ideal_s,
        "imbalance": matmul - even_matmul + padding - even_padding,
        "quantisation": even_padding,
        "launch": _total(cost, "dispatch"),
    }


def _total(cost: StepCost, part: str) -> float:
    return float(cost.parts[part].sum())
