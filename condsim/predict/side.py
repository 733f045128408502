"""One side of a comparison: the conditional model or a baseline, priced for a block of steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from condsim.cost.device import DeviceModel, Pricing
from condsim.cost.energy import work_j
from condsim.cost.step_cost import Between, StepCost
from condsim.engine import closed_form, reference
from condsim.engine.closed_form import Issued
from condsim.lowered import Call, Lowered
from condsim.program import loops
from condsim.protocols import Meanwhile, Protocol


@dataclass(frozen=True)
class Side:
    """A lowered program on one device, for some steps.

    strategies: mechanism → strategy, or a baseline's name for all.
    """

    lowered: Lowered
    model: DeviceModel

    @property
    def strategies(self) -> Mapping[str, str]:
        return self.lowered.strategies

    @cached_property
    def pricing(self) -> Pricing:
        """The device model at work on the program."""
        return self.model.begin(self.lowered)

    @cached_property
    def cost(self) -> StepCost:
        """What each step costs."""
        return self.model.step_cost(self.pricing.kernels())

    @property
    def is_priced(self) -> bool:
        """Whether it is known what each step costs."""
        return "cost" in self.__dict__

    def between(self) -> Between:
        """Return what this side touches, for the other side that runs in turn with it."""
        cost = self.cost
        return Between(cost.evicting_bytes, cost.footprint_bytes)

    @cached_property
    def clocked_s(self) -> np.ndarray:
        """Seconds of each step, host and device as two clocks; a sum where they are one."""
        if not self.model.two_clocks:
            return self.cost.seconds
        finish = np.zeros(self.cost.steps)
        for steps, issued in self.model.issued_alike(self.cost.kernels):
            _, _, finish[steps] = closed_form.run(issued)
        return finish

    @property
    def loops(self) -> bool:
        """Whether steps may differ in the kernels that they run."""
        return bool(loops(self.lowered.program.root))

    def seconds_by_events(self) -> np.ndarray:
        """Return the seconds of each step by the reference engine."""
        finish = []
        for step in range(self.cost.steps):
            issued, _ = self.model.issued(self.cost.kernels, step)
            _, _, end_of_step = reference.run(issued)
            finish.append(float(end_of_step))
        return np.array(finish)

    @cached_property
    def all_steps(self) -> tuple[Issued, list[Call]]:
        """All steps at once, device seconds [steps, kernels], and the calls of one, where every
        step runs the same kernels."""
        kernels = self.cost.kernels
        first, calls = self.model.issued(kernels, 0)
        device_s = kernels.seconds - kernels.column("dispatch")
        of_steps = device_s[kernels.rows_in_steps(calls)]
        return Issued(first.host_s, of_steps, first.stream, first.sync), calls

    @property
    def work_j(self) -> np.ndarray:
        """Joules of what each step computes and moves."""
        cost, target = self.cost, self.model.target
        flops = cost.flops + cost.router_flops - cost.companion_flops
        moved = cost.memory_bytes or cost.footprint_bytes
        joules: np.ndarray = work_j(flops, moved, target.profile, target.dtype)
        return joules


def between_runs(protocol: Protocol, side: Side, other: Side) -> Between | None:
    """Return what passes between two runs of a step of a side; None where its other steps follow.

    other: the side that it is compared with.
    """
    if protocol.meanwhile is Meanwhile.OTHER_STEPS:
        return None
    if protocol.meanwhile is Meanwhile.OTHER_SIDE:
        return other.between()
    return Between.nothing(side.cost.steps)


def price_together(sides: Iterable[Side]) -> None:
    """Price what sides have in common at once: operators of one form that several of them run."""
    by_model: dict[DeviceModel, list[Side]] = {}
    for side in sides:
        if not side.is_priced:
            by_model.setdefault(side.model, []).append(side)
    for model, alike in by_model.items():
        model.price_ahead([side.pricing for side in alike])
