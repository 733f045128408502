"""How elementwise operators go over their operands, against what PyTorch's own loop would do."""

from __future__ import annotations

import pytest
import torch

from condsim.record.strides import inner_loops

X = torch.zeros(2, 8, 32, 64)  # batch, heads, positions, width
Q = torch.zeros(2, 32, 8, 64).transpose(1, 2)


@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        ((X, X, X), ()),
        ((X, X, torch.tensor(2.0)), ()),
        ((Q, Q, Q), ()),  # transposed alike: one piece in another order
        ((X, X, Q), (64 * 32, 1)),
        ((Q, Q, torch.zeros(32, 64)), (64 * 8, 1)),  # rotary embedding
        ((X, X, torch.zeros(64)), ()),  # a bias: two loops
        ((X, X, torch.zeros(2, 8, 32, 1)), ()),  # a number a row
        ((X[..., :32].contiguous(), X[..., :32]), ()),  # half of each row
        ((X[..., :32].contiguous(), X[..., ::2]), (2 * 8 * 32 * 32, 0)),  # every other element
        ((X[:1, :1, :1], X[:1, :1, :1, :]), ()),
        ((X[:0], X[:0]), ()),
        ((torch.tensor(1.0), torch.tensor(2.0)), ()),
    ],
)
def test_the_innermost_loops(operands: tuple[torch.Tensor, ...], expected: tuple[int, ...]) -> None:
    assert inner_loops(operands) == expected


def test_a_result_lies_as_pytorch_makes_it() -> None:
    """A transposed operand gives a transposed result: nothing is strided in what follows."""
    doubled = Q * 2
    assert inner_loops([doubled, Q]) == ()
    assert inner_loops([doubled + X, doubled, X]) == (64 * 8, 1)
