"""A side's seconds, after what runs between two of its steps, and which effect adds which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from condsim.cost.device import DeviceModel
from condsim.cost.energy import with_idle_j
from condsim.cost.step_cost import Between, StepCost
from condsim.cost.sums import CostSums
from condsim.hardware import HardwareProfile
from condsim.predict.carried import Carried
from condsim.predict.intervals import SideSeconds
from condsim.predict.side import Side
from condsim.predict.waterfall import IMBALANCE, SPARED, STACKED_GRADIENTS

HOST_LINK = "host link"
"""What seconds rest on that are waited for copies of weights."""

OF_PRODUCTS = ("weight_traffic", "efficiency", "quantisation")
"""Worlds that are told apart at balanced rows, where a device model says what each adds."""


@dataclass(frozen=True)
class TimedSide:
    """A side's seconds.

    sums: of what its steps cost. seconds: of each step, float [steps]. new_size_s: of all steps,
    kernels at sizes that no step before had. evicted_s: evicted weights; spread_s: one standard
    deviation of it. work_j: joules of what each step computes and moves, float [steps];
    companion_j: of the CPU beside an accelerator, in all steps. uncertainty: source → relative
    standard deviation, where not the profile's tables say it. waited_s: seconds, in all steps,
    waited for copies of weights.
    """

    profile: HardwareProfile
    sums: CostSums
    seconds: np.ndarray
    new_size_s: float
    evicted_s: float
    spread_s: float
    work_j: np.ndarray
    companion_j: float
    uncertainty: dict[str, float]
    waited_s: float | None = None

    @property
    def energy_j(self) -> float:
        """Joules of a step, the mean over all."""
        joules = with_idle_j(self.seconds, self.work_j, self.profile)
        return float(joules.mean() + self.companion_j / len(self.seconds))

    @cached_property
    def sources(self) -> SideSeconds:
        """What the seconds rest on."""
        by_source = dict(self.sums.by_family)
        by_source["dispatch"] = self.sums.parts["dispatch"] + self.new_size_s
        if self.waited_s is not None:
            by_source[HOST_LINK] = self.waited_s
        clocked_s = float(self.seconds.sum())
        return SideSeconds(by_source, (self.evicted_s, self.spread_s), clocked_s)


class SideWalk:
    """Adds up a side's seconds, a block of steps after the other.

    steps: how many there are in all. by_events: they are timed by the reference engine.
    """

    def __init__(self, model: DeviceModel, steps: int, by_events: bool) -> None:
        target = model.target
        self.model, self.by_events = model, by_events
        self.sums = CostSums(target.profile.calibrated)
        self.carried = Carried(target.profile, target.model_bytes)
        self.seconds, self.work_j = np.empty(steps), np.empty(steps)
        self.walked = 0
        self.new_size_s = self.evicted_s = self.spread_s = self.companion_j = 0.0

    def add(self, side: Side, between: Between | None) -> None:
        """Add a block of steps.

        between: what passes between two runs of a step; None where the steps follow each other.
        """
        cost = side.cost
        block = slice(self.walked, self.walked + cost.steps)
        self.walked = block.stop
        self.seconds[block] = side.seconds_by_events() if self.by_events else side.clocked_s
        self.work_j[block] = side.work_j
        self.companion_j += float(np.broadcast_to(cost.companion_j, cost.steps).sum())
        self.sums.add(cost)
        if between is None:
            self._add_new_sizes(cost)
        self._add_evicted_weights(cost, between)

    @property
    def _ends(self) -> bool:
        return self.walked == len(self.seconds)

    def _add_new_sizes(self, cost: StepCost) -> None:
        """Add kernels that are written at sizes which no step before had."""
        for first in self.carried.first_uses(cost, self._ends):
            self.seconds[first.step] += first.seconds
            self.new_size_s += first.seconds

    def _add_evicted_weights(self, cost: StepCost, between: Between | None) -> None:
        for missed in self.carried.missed_weights(cost, between, self._ends):
            steps, seconds = missed.by_step
            self.seconds[steps] += seconds
            self.evicted_s += float(seconds.sum())
            self.spread_s += float(missed.spread.sum())

    def timed(self) -> TimedSide:
        """Return the side's seconds, of all steps."""
        return TimedSide(
            profile=self.carried.profile,
            sums=self.sums,
            seconds=self.seconds,
            new_size_s=self.new_size_s,
            evicted_s=self.evicted_s,
            spread_s=self.spread_s,
            work_j=self.work_j,
            companion_j=self.companion_j,
            uncertainty=self.model.uncertainty(self.sums),
        )


def world_seconds(
    timed: TimedSide, even: CostSums, logical: float, peak: float
) -> dict[str, float]:
    """Return world → seconds that it adds, summed over the steps.

    even: the side without load imbalance. logical: FLOPs that the decisions ask for. peak: FLOPs
    a second. What no other world explains (clocks that overlap, new sizes) counts as launch.
    """
    sums = timed.sums
    executed, router = sums.flops, sums.router_flops
    added = {
        "flops": logical / peak,
        "executed": (executed - logical) / peak,
        "router": router / peak,
    }
    if sums.worlds:
        added |= _worlds_of_device(sums, even)
    else:
        ideal_s = (executed + router) / peak
        added |= _worlds_of_parts(sums, even, ideal_s, timed.evicted_s)
    for world, seconds in sums.stacked.items():
        added[world] -= seconds
    if sums.stacked:
        added[STACKED_GRADIENTS] = sum(sums.stacked.values())
    _spare_tiles(added)
    added["communication"] = (timed.waited_s or 0.0) + sums.worlds.get("communication", 0.0)
    whole_s = float(timed.seconds.sum())
    added["launch"] += whole_s - sum(added.values())
    return added


def _spare_tiles(added: dict[str, float]) -> None:
    """Let uneven rows that are cheaper than even ones spare tiles, where they spare more seconds
    than products lose before them in the chain."""
    lost = sum(added[world] for world in SPARED)
    beyond = -added[IMBALANCE] - max(lost, 0.0)
    of_tiles = min(max(beyond, 0.0), max(added["quantisation"], 0.0))
    added[IMBALANCE] += of_tiles
    added["quantisation"] -= of_tiles


def _worlds_of_device(sums: CostSums, even: CostSums) -> dict[str, float]:
    """The device model says what each effect adds."""
    added = {}
    for world in OF_PRODUCTS:
        added[world] = even.worlds.get(world, 0.0)
    added["gather"] = sums.worlds.get("gather", 0.0)
    added["imbalance"] = sums.parts["matmul"] - even.parts["matmul"]
    added["launch"] = sums.worlds.get("launch", 0.0) + sums.parts["dispatch"]
    return added


def _worlds_of_parts(
    sums: CostSums, even: CostSums, ideal_s: float, evicted_s: float
) -> dict[str, float]:
    """Worlds from what kernels' seconds are made of. ideal_s: FLOPs at the peak rate."""
    parts, even_parts = sums.parts, even.parts
    padding, even_padding = parts["quantisation"], even_parts["quantisation"]
    return {
        "gather": parts["traffic"],
        "weight_traffic": evicted_s + parts["weights"],
        "efficiency": even_parts["matmul"] - ideal_s,
        "imbalance": parts["matmul"] - even_parts["matmul"] + padding - even_padding,
        "quantisation": even_padding,
        "launch": parts["dispatch"],
    }
