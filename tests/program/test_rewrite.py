"""Operators that take the place of others."""

from __future__ import annotations

from condsim.program.model import JOINED, Dim, Op, Tensor
from condsim.program.rewrite import absorbed, in_place_of

OP = Op(
    "relu",
    (Tensor((Dim(4),), "float"),),
    (Tensor((Dim(4),), "float"),),
    module="block",
    entered=2,
    instructions=30,
    sync=True,
    allocs=((Dim(4), "float"),),
)


def test_another_operator_stands_in_its_place_and_nobody_waits() -> None:
    kernel = Op("fused", OP.inputs, ())
    placed = in_place_of(OP, kernel)
    assert (placed.name, placed.inputs, placed.outputs) == ("fused", OP.inputs, ())
    assert (placed.entered, placed.instructions, placed.sync) == (0, 0, False)
    assert (placed.module, placed.allocs) == (OP.module, OP.allocs)


def test_what_another_operator_does_is_a_view_that_creates_nothing() -> None:
    gone = absorbed(OP)
    assert gone.name == f"relu{JOINED}"
    assert gone.view
    assert [count.of({}) if hasattr(count, "of") else count for count, _ in gone.allocs] == [Dim(0)]
    assert len(gone.allocs) == len(OP.allocs)
