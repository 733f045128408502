"""moe-bytes: its experts are called and compute as those of transformers."""

from __future__ import annotations

import pytest
import torch

from condsim.zoo.moe_bytes import Experts, Gate, imbalance
from zoo.conftest import example


def test_experts_are_called_as_transformers_calls_them() -> None:
    model = example("moe-bytes").model
    layers = [module for module in model.modules() if isinstance(module, Experts)]
    assert len(layers) == 4
    for experts in layers:
        count, hidden, width = experts.down_proj.shape
        assert experts.num_experts == count
        assert experts.gate_up_proj.shape == (count, 2 * width, hidden)


def test_experts_compute_the_weighted_sum_of_gated_ffns() -> None:
    torch.manual_seed(0)
    experts = Experts(hidden=6, width=5, experts=4)
    x = torch.randn(9, 6)
    _, weights, index = Gate(6, 4, 2)(x)
    expected = torch.zeros_like(x)
    for row in range(9):
        for slot in range(2):
            expert = index[row, slot]
            gate, up = (experts.gate_up_proj[expert] @ x[row]).chunk(2)
            gated = torch.nn.functional.silu(gate) * up
            expected[row] += weights[row, slot] * (experts.down_proj[expert] @ gated)
    assert torch.allclose(experts(x, index, weights), expected, atol=1e-5)


def test_imbalance_is_top_k_where_experts_are_balanced() -> None:
    favourites = torch.eye(4).repeat(2, 1)  # each expert is the first of two rows
    second = torch.eye(4).roll(1, 0).repeat(2, 1)
    assert imbalance(favourites + 0.5 * second, 2).item() == pytest.approx(2.0)
    one_for_all = torch.tensor([[9.0, 5.0, 0.0, 0.0]]).repeat(8, 1)
    assert imbalance(one_for_all, 2).item() > 3.9
