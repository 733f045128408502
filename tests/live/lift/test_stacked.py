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


class Spelt(nn.Module):
    """The layers of a plain expert in another spelling. how: which."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.net = plain()
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up, act, down = self.net
        if self.how == "dropout":
            return F.dropout(down(F.dropout(act(up(x)), 0.1, self.training)), 0.1, self.training)
        if self.how == "formula":
            h = up(x)
            return down(0.5 * h * (1.0 + torch.erf(h / 2**0.5)))
        return self.net(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("how", ["module in a module", "dropout", "formula"])
@torch.inference_mode()
def test_the_spelling_of_an_expert_does_not_matter(how: str) -> None:
    experts = [Spelt(how).eval() for _ in range(3)]
    x = torch.randn(4, HIDDEN)
    stacked = stack(experts, x)
    assert stacked is not None
    assert stacked.up_bias is not None
    assert stacked.down_bias is not None
    hidden = stacked.activate(F.linear(x, stacked.up[1], stacked.up_bias[1]))
    out = F.linear(hidden, stacked.down[1], stacked.down_bias[1])
    torch.testing.assert_close(out, experts[1](x))


@torch.inference_mode()
def test_weights_of_ones_own_are_stacked_too() -> None:
    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Parameter(torch.randn(HIDDEN, WIDTH))
            self.down = nn.Parameter(torch.randn(HIDDEN, WIDTH))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(torch.relu(x @ self.up), self.down)

    experts: list[nn.Module] = [Raw() for _ in range(2)]
    x = torch.randn(4, HIDDEN)
    stacked = stack(experts, x)
    assert stacked is not None
    out = F.linear(stacked.activate(F.linear(x, stacked.up[1])), stacked.down[1])
    torch.testing.assert_close(out, experts[1](x))
