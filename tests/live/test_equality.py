"""Results that are the same bit by bit, or but for the order of sums in their dtype."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from condsim.live.equality import close, same_bits, tensors_of


@dataclass
class Output:
    logits: torch.Tensor
    name: str = "a dataclass that nobody registered"


def test_tensors_are_found_in_dataclasses_too() -> None:
    one, two = torch.ones(2), torch.zeros(3)
    found = tensors_of({"a": [one, 3], "b": Output(two)})
    assert found[0] is one
    assert found[1] is two


def test_nan_in_the_same_place_is_the_same() -> None:
    x = torch.tensor([1.0, float("nan")])
    assert same_bits([x], [x.clone()])
    assert not same_bits([x], [torch.tensor([float("nan"), 1.0])])
    assert not same_bits([x], [x, x])


@pytest.mark.parametrize(
    ("dtype", "rounding"), [(torch.float32, 5e-5), (torch.float16, 1e-3), (torch.bfloat16, 8e-3)]
)
def test_a_rounding_of_the_dtype_is_the_order_of_sums(dtype: torch.dtype, rounding: float) -> None:
    x = torch.tensor([1.0, -2.0]).to(dtype)
    assert close([x], [(x.float() * (1 + rounding)).to(dtype)])
    assert not close([x], [(x.float() * 1.2).to(dtype)])
