"""Logical FLOPs: of operators, of scopes without their guards, and of one more row in a branch."""

from __future__ import annotations

import pytest

from condsim.program import Dim, Loop, Op, Program, Scope, Tensor
from condsim.program.logical import branch_flops, op_flops, scope_flops

ROWS = Dim.product(1, "rows")
BATCH = Dim.product(1, "batch")
EXTENTS = {"batch": 4, "seq": 8}


def linear(rows: Dim, columns: int, role: str = "") -> Op:
    """A layer of 16 inputs."""
    x = Tensor((rows, Dim(16)), "float")
    weight = Tensor((Dim(columns), Dim(16)), "float", "w")
    return Op("linear", (x, weight), (Tensor((rows, Dim(columns)), "float"),), role=role)


def program(loop: Loop) -> Program:
    return Program("looped", "prefill-n", Scope((linear(BATCH, 8), loop)), probed=(EXTENTS,))


def body(*ops: Op) -> Scope:
    return Scope(ops)


def test_an_operator_costs_its_product_and_a_view_nothing() -> None:
    assert op_flops(linear(BATCH, 8), EXTENTS) == 2 * 4 * 16 * 8
    assert op_flops(Op("linear", (), (), view=True), EXTENTS) == 0


def test_a_scope_counts_neither_guards_nor_routers() -> None:
    router = linear(BATCH, 2, role="router:site")
    loop = Loop("site", (0,), {(0, 2, 2): body(linear(ROWS, 8))})
    scope = Scope((router, linear(BATCH, 8), loop))
    assert scope_flops(scope, EXTENTS) == 2 * 4 * 16 * 8


def test_one_more_row_costs_what_its_branch_does() -> None:
    bodies = {(0, 2, 2): body(linear(ROWS, 8)), (1, 2, 2): body(linear(ROWS, 8), linear(ROWS, 4))}
    per_row = branch_flops(program(Loop("site", (0, 1), bodies)), "site", 3)
    assert per_row.tolist() == [2 * 16 * 8, 2 * 16 * 12, 0]


def test_one_more_block_costs_the_same_in_every_branch() -> None:
    whole = Dim.product(1, "batch", "seq")
    columns = Dim.product(8, "rows")
    x, weight = Tensor((whole, Dim(16)), "float"), Tensor((columns, Dim(16)), "float", "w")
    op = Op("linear", (x, weight), (Tensor((whole, columns), "float"),))
    loop = Loop("site", (-1,), {(-1, 2, 2): body(op)})
    per_row = branch_flops(program(loop), "site", 2)
    assert per_row.tolist() == pytest.approx([2 * 16 * 8] * 2)


def test_another_site_costs_nothing() -> None:
    loop = Loop("site", (0,), {(0, 2, 2): body(linear(ROWS, 8))})
    assert branch_flops(program(loop), "other", 1).tolist() == [0]
