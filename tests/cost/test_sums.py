"""Sums over blocks of steps: the same whether the steps are one block or several."""

from __future__ import annotations

import pytest
from made_steps import batches

from condsim.cost.cost_model import device_model
from condsim.cost.device import Target
from condsim.cost.step_cost import StepCost
from condsim.cost.sums import CostSums
from condsim.hardware import HardwareProfile, hardware
from condsim.lower import lower
from condsim.lowered import Outline
from condsim.program import Dim, Op, Program, Scope, Tensor
from condsim.runtimes import RUNTIMES
from condsim.steps.extents import Steps


def product() -> Op:
    """A product of as many rows as there are units."""
    rows = Tensor((Dim.product(1, "batch"), Dim(64)), "float")
    weight = Tensor((Dim(64), Dim(64)), "float", "weight")
    return Op("linear", (rows, weight), (rows,))


def relu() -> Op:
    rows = Tensor((Dim.product(1, "batch"), Dim(1000)), "float")
    return Op("relu", (rows,), (rows,))


PROGRAM = Program("dense", "prefill-n", Scope((product(), relu())))


def costs(profile: HardwareProfile, *blocks: Steps) -> list[StepCost]:
    model = device_model(Target(profile, profile.dtype, RUNTIMES["eager"]))
    outline = Outline()
    lowered = [lower(PROGRAM, {}, {}, steps, outline) for steps in blocks]
    return [model.step_cost(model.kernels(block)) for block in lowered]


def summed(costs: list[StepCost]) -> CostSums:
    sums = CostSums(calibrated=True)
    for cost in costs:
        sums.add(cost)
    return sums


def test_blocks_add_up(profile: HardwareProfile) -> None:
    whole = summed(costs(profile, batches(2, 3, 5)))
    parts = summed(costs(profile, batches(2, 3), batches(5)))
    assert parts.flops == whole.flops == 2 * 10 * 64 * 64
    assert parts.hot_s == pytest.approx(whole.hot_s)
    assert parts.roofline_s == pytest.approx(whole.roofline_s)
    for name in ("parts", "by_family", "by_basis"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name)), name


def test_seconds_are_shared_out_by_what_they_rest_on(profile: HardwareProfile) -> None:
    (cost,) = costs(profile, batches(2, 3))
    sums = summed([cost])
    assert set(sums.by_family) == {"linear", "relu"}
    beyond_dispatch = sum(sums.parts.values()) - sums.parts["dispatch"]
    assert sum(sums.by_family.values()) == pytest.approx(beyond_dispatch)
    assert sum(sums.by_basis.values()) == pytest.approx(float(cost.seconds.sum()))


def test_a_place_rests_on_the_least_sure_of_its_blocks(profile: HardwareProfile) -> None:
    few, many = batches(2), batches(1_000_000)
    assert set(summed(costs(profile, few)).by_basis) == {"calibrated"}
    assert "extrapolated" in summed(costs(profile, few, many)).by_basis


def test_rates_of_a_data_sheet_are_estimates() -> None:
    (cost,) = costs(hardware("raspberry-pi-5"), batches(2))
    sums = CostSums(calibrated=False)
    sums.add(cost)
    assert set(sums.by_basis) == {"estimated"}
