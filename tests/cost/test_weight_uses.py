"""How far apart the uses of weights are, however steps are cut into blocks."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.cost import weight_uses
from condsim.cost.cost_model import device_model
from condsim.cost.device import Target
from condsim.cost.weight_uses import WeightUses
from condsim.hardware import HardwareProfile
from condsim.kernels import Kernels
from condsim.lower import lower
from condsim.mechanisms import MECHANISMS
from condsim.program import Dim, Op, Program, Scope, Tensor
from condsim.runtimes import RUNTIMES
from condsim.steps.extents import SiteRule, Steps
from condsim.trace.header import ONE_A_POSITION

COUNTS = np.array([[1, 0, 1], [0, 2, 0], [0, 1, 1], [0, 2, 0], [2, 0, 0]])
"""Rows that each of three experts gets in five steps of two rows."""
TOUCHED = np.array([10.0, 20.0, 40.0, 80.0, 160.0])
"""Bytes that each step touches."""
DISTANCES = {
    (0, 0): 160, (0, 4): 150,
    (1, 1): 250, (1, 2): 20, (1, 3): 40,
    (2, 0): 280, (2, 2): 30,
}  # fmt: skip
"""(expert, step) → bytes touched since the expert was used before; the first use follows the last
one."""


def kernels_of(counts: np.ndarray, profile: HardwareProfile) -> Kernels:
    """Two grouped products of one site, a step a row of `counts`."""
    rows = Dim.product(1, "batch")
    x = Tensor((rows, Dim(8)), "float")
    ops = []
    for name in ("up", "down"):
        weights = Tensor((Dim(3), Dim(8), Dim(8)), "float", name)
        ops.append(Op("_grouped_mm", (x, weights), (x,), site="e"))
    site = SiteRule("e", MECHANISMS["moe"], 3, ONE_A_POSITION)
    units, one = counts.sum(1), np.ones(len(counts), int)
    steps = Steps.rectangular(units, one, one, {"e": counts})
    program = Program("grouped", "prefill-n", Scope(tuple(ops)))
    model = device_model(Target(profile, profile.dtype, RUNTIMES["eager"]))
    return model.kernels(lower(program, {"e": site}, {"moe": "grouped"}, steps))


@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_a_use_is_as_far_from_the_one_before_whatever_a_block_holds(
    block: int, profile: HardwareProfile
) -> None:
    uses = WeightUses()
    found = {}
    for begin in range(0, len(COUNTS), block):
        end = begin + block
        kernels = kernels_of(COUNTS[begin:end], profile)
        ends = end >= len(COUNTS)
        for used in uses.in_a_row(kernels, TOUCHED[begin:end], ends):
            visits = used.visits
            assert [read.name for read in visits.reads] == ["up", "down"]
            steps = visits.step + used.first_step
            for expert, step, distance in zip(
                visits.choice.tolist(), steps.tolist(), used.distance, strict=True
            ):
                assert (expert, step) not in found
                found[expert, step] = distance
    assert found == DISTANCES


def test_sizes_that_read_weights_alike_are_one() -> None:
    table = np.array([[8.0, 8, 8, 8], [0, 1, 1, 0], [2, 2, 4, 2]])
    first, alike = weight_uses._alike(table)
    assert len(first) == 3
    np.testing.assert_array_equal(table[:, first][:, alike], table)
    first, alike = weight_uses._alike(np.ones((2, 5)))
    assert (first.tolist(), alike.tolist()) == ([0], [0] * 5)
