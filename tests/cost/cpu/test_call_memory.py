"""What each call of a step touches: activations, weights, new storages, copies of convolutions."""

from __future__ import annotations

import numpy as np
import pytest
from made_steps import batches

from condsim.cost.cpu.call_memory import step_memory
from condsim.cost.cpu.step_memory import StepMemory
from condsim.cost.device import Target
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.lower import lower
from condsim.program import Dim, Free, Op, Program, Scope, Tensor
from condsim.runtimes import RUNTIMES

BATCH, WIDE = Dim.product(1, "batch"), Dim(32)
FLOAT = 4
"""Bytes of an element."""


def tensor(*dims: Dim, weight: str = "", dtype: str = "float") -> Tensor:
    return Tensor(dims, dtype, weight)


def memory(*nodes: Op, frees: tuple[Free, ...] = (), units: int = 3) -> StepMemory:
    """What a step of so many units touches."""
    profile = hardware("raspberry-pi-5")
    target = Target(profile, "fp32", RUNTIMES["eager"])
    program = Program("dense", "prefill-n", Scope(nodes, frees))
    lowered = lower(program, {}, {}, batches(units))
    return step_memory(target, lowered, lowered.played())


def product() -> Op:
    rows = tensor(BATCH, WIDE)
    weight = tensor(WIDE, WIDE, weight="w")
    return Op("linear", (rows, weight), (rows,), allocs=((Dim.product(32, "batch"), "float"),))


def test_a_product_reads_rows_and_weights_and_makes_a_result() -> None:
    touched = memory(product())
    assert touched.sizes[touched.read].tolist() == [3 * 32 * FLOAT]
    assert touched.sizes[touched.new].tolist() == [3 * 32 * FLOAT]
    assert touched.weights.tolist() == [32 * 32 * FLOAT]
    assert touched.in_place.tolist() == [0.0]
    assert touched.product.tolist() == [True]
    assert touched.bytes.tolist() == [(2 * 3 * 32 + 32 * 32) * FLOAT]


def test_what_makes_no_storage_writes_where_something_was() -> None:
    rows = tensor(BATCH, WIDE)
    touched = memory(Op("relu_", (rows,), (rows,)))
    assert touched.in_place.tolist() == [3 * 32 * FLOAT]
    assert not touched.new.any()


def test_a_table_is_read_as_far_as_rows_are_looked_up() -> None:
    ids, result = tensor(BATCH, dtype="int64"), tensor(BATCH, WIDE)
    few = Op("embedding", (tensor(Dim(1000), WIDE, weight="table"), ids), (result,))
    assert memory(few).weights.tolist() == [3 * 32 * FLOAT]
    small = Op("embedding", (tensor(Dim(2), WIDE, weight="table"), ids), (result,))
    assert memory(small).weights.tolist() == [2 * 32 * FLOAT]


def test_convolutions_copy_in_blocks_of_channels() -> None:
    def convolution(channels: int) -> Op:
        side = Dim(8)
        image = tensor(BATCH, Dim(channels), side, side)
        weight = tensor(Dim(20), Dim(channels), Dim(3), Dim(3), weight="w")
        return Op("conv2d", (image, weight), (tensor(BATCH, Dim(20), side, side),))

    plain = memory(convolution(3))
    assert plain.sizes[plain.temporary].tolist() == [3 * 32 * 64 * FLOAT]
    both = memory(convolution(17))
    assert both.sizes[both.temporary].tolist() == [3 * 32 * 64 * FLOAT] * 2


def test_a_view_touches_nothing_and_dead_storages_are_given_back() -> None:
    rows = tensor(BATCH, WIDE)
    view = Op("view", (rows,), (rows,), view=True)
    touched = memory(product(), view, product(), frees=(Free(1, (), 0, 0),))
    calls = touched.blocks.calls
    assert [call.call for call in calls] == [0, 1, 2]
    (made,) = calls[0].new
    assert calls[1].freed == (made,)
    assert touched.bytes[1] == 0


def test_a_storage_below_nothing_is_refused() -> None:
    rows = tensor(BATCH, WIDE)
    shrinking = Dim.product(-1, "batch", plus=2)
    op = Op("clone", (rows,), (rows,), allocs=((shrinking, "float"),))
    assert memory(op, units=2).sizes[-1] == 0
    with pytest.raises(CondsimError, match="below 0"):
        memory(op, units=3)


def test_sizes_are_those_of_the_step() -> None:
    few, many = memory(product(), units=2), memory(product(), units=4)
    np.testing.assert_array_equal(many.sizes[many.read], 2 * few.sizes[few.read])
