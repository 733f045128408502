"""Experts that are modules, as stacked weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from condsim.live.lift.stacked import stack

HIDDEN, WIDTH = 6, 10


def plain(bias: bool = True) -> nn.Module:
    """Linear, elementwise, linear."""
    return nn.Sequential(nn.Linear(HIDDEN, WIDTH, bias), nn.GELU(), nn.Linear(WIDTH, HIDDEN, bias))


class GatedExpert(nn.Module):
    """silu(gate) * up, then down."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(HIDDEN, WIDTH, bias=False)
        self.up = nn.Linear(HIDDEN, WIDTH, bias=False)
        self.down = nn.Linear(WIDTH, HIDDEN, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize("make", [plain, lambda: plain(bias=False), GatedExpert])
@torch.inference_mode()
def test_stacked_weights_give_what_the_modules_give(make: Callable[[], nn.Module]) -> None:
    experts = [make().eval() for _ in range(3)]
    x = torch.randn(4, HIDDEN)
    stacked = stack(experts, x)
    assert stacked is not None
    assert stacked.experts == 3
    for number, expert in enumerate(experts):
        up_bias = None if stacked.up_bias is None else stacked.up_bias[number]
        down_bias = None if stacked.down_bias is None else stacked.down_bias[number]
        hidden = stacked.activate(F.linear(x, stacked.up[number], up_bias))
        torch.testing.assert_close(F.linear(hidden, stacked.down[number], down_bias), expert(x))


@pytest.mark.parametrize(
    "odd",
    [
        nn.Sequential(nn.Linear(HIDDEN, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, HIDDEN)),
        nn.Sequential(nn.Linear(HIDDEN, HIDDEN)),
        nn.Sequential(nn.Linear(HIDDEN, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, HIDDEN)),
    ],
    ids=["a norm", "one layer", "another width"],
)
@torch.inference_mode()
def test_other_experts_are_not_stacked(odd: nn.Module) -> None:
    assert stack([plain(), odd], torch.randn(4, HIDDEN)) is None
