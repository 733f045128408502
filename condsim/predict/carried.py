"""What the steps of a side leave for those after them, from one block of steps to the next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from condsim.cost.cpu.new_shapes import FirstUse, NewShapes
from condsim.cost.evicted_weights import Missed, missed
from condsim.cost.step_cost import Between, StepCost
from condsim.cost.weight_uses import UsedTogether, WeightUses
from condsim.hardware import HardwareProfile
from condsim.program.model import Place


@dataclass
class Carried:
    """When a side's weights were used last, and which kernels were written for new sizes.

    Blocks of steps are shown to it in order.

    model_bytes: of all weights; no more of them can be different.
    """

    profile: HardwareProfile
    model_bytes: float = math.inf
    weights: WeightUses = field(default_factory=WeightUses)
    shapes: NewShapes = field(default_factory=NewShapes)

    def weight_uses(
        self, cost: StepCost, between: Between | None, ends: bool
    ) -> Iterator[UsedTogether]:
        """Yield the uses of weights in a block of steps; none where no profile says what evicted
        ones cost.

        between: what passes between two runs of a step; None where the steps follow each other.
        ends: whether it is the last block.
        Steps and sides read the same weights, so of the bytes that they touch no more are different
        than the model's weights and one operator's activations.
        """
        if self.profile.residency is None:
            return
        touched, by_sides = cost.evicting_bytes, cost.footprint_bytes
        if between is None:
            uses = self.weights.in_a_row(cost.kernels, touched, ends)
        else:
            touched = touched + between.evicting_bytes
            by_sides = by_sides + between.footprint_bytes
            uses = self.weights.in_turn(cost.kernels, touched)
        most_different = self.model_bytes + cost.activation_bytes.max()
        share_of_sides = by_sides.sum() / max(touched.sum(), 1.0)
        for used in uses:
            by_others = used.distance * (1 - share_of_sides)
            different = np.minimum(used.distance * share_of_sides, most_different)
            yield replace(used, distance=different + by_others)

    def missed_weights(
        self, cost: StepCost, between: Between | None, ends: bool
    ) -> Iterator[Missed]:
        """Yield what evicted weights cost in a block of steps; arguments as in `weight_uses`."""
        residency = self.profile.residency
        if residency is not None:
            yield from missed(self.weight_uses(cost, between, ends), residency)

    def missed_by_operator(
        self, cost: StepCost, between: Between | None, ends: bool
    ) -> Iterator[tuple[Place, float]]:
        """Yield (scope and node of an operator, seconds that an evicted weight of it costs in a
        block of steps); arguments as in `weight_uses`."""
        residency = self.profile.residency
        if residency is None:
            return
        for used in self.weight_uses(cost, between, ends):
            for number, read in enumerate(used.visits.reads):
                alone = replace(used, visits=used.visits.of_weight(number))
                seconds = sum(float(some.seconds.sum()) for some in missed([alone], residency))
                yield (read.reader.scope, read.reader.node), seconds

    def first_uses(self, cost: StepCost, ends: bool) -> Iterator[FirstUse]:
        """Note the sizes that a block of steps meets; yield the kernels that were written for new
        ones when it is the last block."""
        if cost.new_shapes is None:
            return
        self.shapes.follow(cost.new_shapes)
        if ends:
            yield from self.shapes.first_uses(self.profile)
