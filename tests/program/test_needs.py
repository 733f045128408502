"""What sizes need of a step is known from the program, and asked of each step."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.program import Dim, Op, Program, Scope, Tensor
from condsim.program.needs import Needs, needs_of

ROWS = Dim.product(1, "rows")
ONE_LESS = Dim.product(1, "rows", plus=-1)
STORED = Dim.product(1, "seq")
OP = Op(
    "add", (Tensor((ROWS,), "float"),), (Tensor((ONE_LESS,), "float"),), allocs=((STORED, "float"),)
)


def test_extents_and_sizes_that_may_fall_are_told_apart() -> None:
    needs = Needs.of(OP)
    assert needs.extents == {"rows", "seq"}
    assert needs.shape_extents == {"rows"}
    assert needs.may_fall == (ONE_LESS,)


def test_a_step_has_all_of_it() -> None:
    needs = Needs.of(OP)
    needs.check({"rows": np.array([1, 2]), "seq": np.array([3, 3]), "batch": np.array([1, 1])})
    with pytest.raises(CondsimError, match="a step has no 'seq' there"):
        needs.check({"rows": np.array([1])})
    with pytest.raises(CondsimError, match="is below 0 in a step"):
        needs.check({"rows": np.array([1, 0]), "seq": np.array([3, 3])})


def test_every_operator_of_a_program_has_its_needs_once() -> None:
    program = Program("grouped", "prefill-n", Scope((OP, OP)))
    found = needs_of(program)
    assert list(found) == [(0, 0), (0, 1)]
    assert needs_of(program) is found
