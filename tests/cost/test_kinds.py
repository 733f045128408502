"""Operators that cost as much at the same sizes have one number."""

from __future__ import annotations

import numpy as np

from condsim.cost.kinds import OperatorKinds, shapes
from condsim.program import Dim, Op, Program, Scope, Tensor

ROWS = Dim.product(1, "rows")


def linear(width: int, module: str) -> Op:
    x = Tensor((ROWS, Dim(8)), "float")
    weight = Tensor((Dim(width), Dim(8)), "float", f"{module}.weight")
    result = Tensor((ROWS, Dim(width)), "float")
    return Op("linear", (x, weight), (result,), module=module)


PROGRAM = Program(
    "looped", "prefill-n", Scope((linear(16, "first"), linear(16, "second"), linear(32, "third")))
)


def test_layers_of_a_stack_are_one_kind_and_other_widths_one_form() -> None:
    kinds = OperatorKinds()
    first, second, third = kinds.of_program(PROGRAM).values()
    assert first == second != third
    assert kinds.forms[first] == kinds.forms[third]
    assert kinds.needs[third].shape_extents == {"rows"}


def test_sizes_of_several_kinds_at_once_are_those_of_each() -> None:
    kinds = OperatorKinds()
    numbers = list(dict.fromkeys(kinds.of_program(PROGRAM).values()))
    sizes = {"rows": np.array([1, 5])}
    dims, of_kinds = kinds.dims(numbers, sizes, 2)
    for number, of_kind in zip(numbers, of_kinds, strict=True):
        op = kinds.ops[number]
        tensors = (*op.inputs, *op.outputs)
        for shape, tensor in zip(shapes(tensors, dims[of_kind]), tensors, strict=True):
            expected = tensor.shape(sizes)
            np.testing.assert_array_equal(
                np.stack(shape), [np.broadcast_to(size, 2) for size in expected]
            )
