"""What an operator is given and gives, as it is written down."""

from __future__ import annotations

import torch

from condsim.record.events import RecordedOp, RecordedTensor
from condsim.record.operands import params_of, stack_pieces, tensors_in


def test_tensors_are_found_in_whatever_holds_them_in_order() -> None:
    a, b, c = torch.zeros(1), torch.zeros(2), torch.zeros(3)
    found = tensors_in(((a, [b], None), {"out": c, "dim": 1}))
    assert [tensor.numel() for tensor in found] == [1, 2, 3]


def test_a_convolution_says_its_stride_and_groups() -> None:
    x = torch.zeros(1)
    assert params_of("conv2d", (x, x, None, [2, 2], 0, 1, 4)) == (2, 4)
    assert params_of("conv2d", (x, x)) == (1, 1)
    assert params_of("convolution", (x, x, None, [3], [0], [1], False, [0], 2)) == (3, 2)
    assert params_of("relu", (x,)) == ()


def test_an_einsum_says_its_equation() -> None:
    assert "".join(map(chr, params_of("einsum", ("ij,jk->ik", [])))) == "ij,jk->ik"


def pieces(*shapes: tuple[int, ...]) -> RecordedOp:
    outputs = [RecordedTensor(shape, "float") for shape in shapes]
    return RecordedOp("unbind", [], outputs, (), "", "", "", 0, 0, True, False)


def test_alike_pieces_are_one_output_and_others_stay() -> None:
    op = pieces((2, 3), (2, 3), (2, 3))
    stack_pieces(op)
    assert [output.shape for output in op.outputs] == [(3, 2, 3)]
    unlike = pieces((2, 3), (1, 3))
    stack_pieces(unlike)
    assert len(unlike.outputs) == 2
