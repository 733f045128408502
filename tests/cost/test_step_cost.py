"""The cost of steps: weights and code that were evicted between two steps."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.cost.cost_model import device_model
from condsim.cost.cpu.residency import Weight, miss_seconds
from condsim.cost.device import Target
from condsim.cost.step_cost import Between, StepCost
from condsim.cost.sums import CostSums
from condsim.hardware import HardwareProfile, hardware
from condsim.lower import lower
from condsim.predict.carried import Carried
from condsim.program import Dim, Op, Program, Scope, Tensor
from condsim.runtimes import RUNTIMES
from condsim.steps.extents import Steps

ROWS = Dim.product(1, "batch")
FAR = 1e8


def cost_of(profile: HardwareProfile, *ops: Op, batches: tuple[int, ...] = (4,)) -> StepCost:
    """The cost of steps that run some operators, a step a batch."""
    units, one = np.array(batches), np.ones(len(batches), int)
    steps = Steps.rectangular(units, one, one, {})
    program = Program("dense", "prefill-n", Scope(ops))
    model = device_model(Target(profile, profile.dtype, RUNTIMES["eager"]))
    return model.step_cost(model.kernels(lower(program, {}, {}, steps)))


def relu() -> Op:
    x = Tensor((ROWS, Dim(250_000)), "float")
    return Op("relu", (x,), (x,))


def product_with_weights(name: str, weights: Tensor) -> Op:
    stack = weights.dims[:-2]
    x = Tensor((*stack, Dim(1), weights.dims[-2]), "float")
    y = Tensor((*stack, Dim(1), weights.dims[-1]), "float")
    return Op(name, (x, weights), (y,))


def evicted(cost: StepCost, touched: float) -> float:
    """Seconds that evicted weights cost a single step, with so many bytes between two runs."""
    carried = Carried(cost.profile)
    found = carried.missed_weights(cost, between(touched), ends=True)
    return sum(float(missed.seconds.sum()) for missed in found)


def between(touched: float, steps: int = 1) -> Between:
    return Between(np.full(steps, touched), np.full(steps, touched))


def test_a_batched_products_weights_are_looked_up_one_by_one(profile: HardwareProfile) -> None:
    stack = Tensor((Dim(16), Dim(100), Dim(500)), "float", "stack")
    evicted_s = evicted(cost_of(profile, product_with_weights("bmm", stack)), FAR)
    one_piece = miss_seconds(Weight(4 * 100 * 500, 4 * 100), FAR, profile)
    assert evicted_s == pytest.approx(float(16 * one_piece), rel=1e-6)


def test_a_weight_costs_more_the_more_was_touched_since(profile: HardwareProfile) -> None:
    matrix = Tensor((Dim(500), Dim(500)), "float", "w")
    cost = cost_of(profile, product_with_weights("mm", matrix))
    seconds = [evicted(cost, touched) for touched in (0.0, 4e6, FAR)]
    assert seconds == sorted(seconds)
    assert seconds[0] < seconds[-1]


def test_a_weight_that_two_operators_read_counts_once(profile: HardwareProfile) -> None:
    matrix = Tensor((Dim(500), Dim(500)), "float", "w")
    other = Tensor((Dim(500), Dim(500)), "float", "v")
    once = cost_of(profile, product_with_weights("mm", matrix))
    twice = cost_of(profile, *[product_with_weights("mm", matrix)] * 2)
    both = cost_of(profile, product_with_weights("mm", matrix), product_with_weights("mm", other))
    assert twice.footprint_bytes == once.footprint_bytes
    assert both.footprint_bytes == once.footprint_bytes + 4 * 500 * 500
    assert twice.weight_bytes == both.weight_bytes == 2 * once.weight_bytes


def test_a_device_without_a_calibration_evicts_nothing() -> None:
    cost = cost_of(hardware("nvidia-h100-sxm"), relu())
    assert evicted(cost, 1e9) == 0.0


def test_parts_sum_up_to_the_seconds(profile: HardwareProfile) -> None:
    matrix = Tensor((Dim(500), Dim(500)), "float", "w")
    cost = cost_of(profile, relu(), product_with_weights("mm", matrix), batches=(2, 4, 4))
    np.testing.assert_allclose(cost.seconds, sum(cost.parts.values()))
    assert cost.seconds[0] < cost.seconds[1] == cost.seconds[2]
    sums = CostSums(profile.calibrated)
    sums.add(cost)
    assert sum(sums.by_basis.values()) == pytest.approx(cost.seconds.sum())
