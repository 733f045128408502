"""Experts that are slices of stacked parameters, however a block multiplies by them."""

from __future__ import annotations

import pytest
import torch
from live.lift.test_by_value import EXPERTS, HIDDEN, TOP_K, Net
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import condsim
from condsim.live.lift.stacked_by_value import Stacks, forms, stacks_of
from condsim.predict.simulate import simulate

INNER = 24


class Block(nn.Module):
    """A router, and the gate, up and down projections of all experts, [experts, in, out]."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(HIDDEN, EXPERTS, bias=False)
        self.gate = nn.Parameter(torch.randn(EXPERTS, HIDDEN, INNER) / 4)
        self.up = nn.Parameter(torch.randn(EXPERTS, HIDDEN, INNER) / 4)
        self.down = nn.Parameter(torch.randn(EXPERTS, INNER, HIDDEN) / 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.view(-1, HIDDEN)
        weights, ids = self.router(rows).softmax(-1).topk(TOP_K, -1)
        return self.mixed(rows, ids, weights).view(x.shape)

    def mixed(self, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class Looped(Block):
    def mixed(self, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(x)
        for expert in range(EXPERTS):
            row, slot = torch.where(ids == expert)
            hidden = F.silu(x[row] @ self.gate[expert]) * (x[row] @ self.up[expert])
            out.index_add_(0, row, (hidden @ self.down[expert]) * weights[row, slot, None])
        return out


class Copied(Block):
    def mixed(self, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        gate = torch.einsum("rh,rkhi->rki", x, self.gate[ids])
        up = torch.einsum("rh,rkhi->rki", x, self.up[ids])
        out = torch.einsum("rki,rkih->rkh", F.silu(gate) * up, self.down[ids])
        return (out * weights.unsqueeze(-1)).sum(1)


class Grouped(Block):
    def mixed(self, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        order = ids.flatten().argsort(stable=True)
        ends = torch.bincount(ids.flatten(), minlength=EXPERTS).cumsum(0).to(torch.int32)
        rows = x[order // TOP_K]
        gate = F.grouped_mm(rows, self.gate, offs=ends)
        up = F.grouped_mm(rows, self.up, offs=ends)
        out = F.grouped_mm(F.silu(gate) * up, self.down, offs=ends)
        weighted = out * weights.flatten()[order].unsqueeze(-1)
        return torch.zeros_like(x).index_add_(0, order // TOP_K, weighted)


class Everywhere(Block):
    """Every expert runs on every row, and most results are multiplied by zero."""

    def mixed(self, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        of_all = torch.zeros(len(x), EXPERTS).scatter(1, ids, weights)
        hidden = F.silu(torch.einsum("rh,ehi->eri", x, self.gate))
        hidden = hidden * torch.einsum("rh,ehi->eri", x, self.up)
        out = torch.einsum("eri,eih->erh", hidden, self.down)
        return torch.einsum("erh,re->rh", out, of_all)


@pytest.mark.parametrize(
    ("kind", "strategy"), [(Looped, "looped"), (Copied, "batched"), (Grouped, "grouped")]
)
def test_it_is_captured_as_it_runs(kind: type[Block], strategy: str) -> None:
    torch.manual_seed(0)
    net = Net(kind()).eval()
    trace = condsim.capture(net, [torch.randint(0, 32, (3, 7))], measure=False)
    assert trace.header.captured == {"moe": strategy}
    (site,) = trace.sites
    assert (site.branches, site.top_k) == (EXPERTS, TOP_K)
    of_row = TOP_K * 3 * 2 * HIDDEN * INNER + 2 * HIDDEN * (EXPERTS + 32)
    for other in ("looped", "grouped", "batched"):
        assert simulate(trace, "raspberry-pi-5", other).executed_flops == 3 * 7 * of_row


def test_experts_that_run_on_every_row_run_as_they_are_written() -> None:
    torch.manual_seed(0)
    net = Net(Everywhere()).eval()
    ids = torch.randint(0, 32, (3, 7))
    trace = condsim.capture(net, ids, measure=False)
    assert trace.header.captured == {"moe": "dispatched"}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(ids)
    executed = simulate(trace, "raspberry-pi-5").executed_flops
    assert executed == counter.get_total_flops()
    assert simulate(trace, "raspberry-pi-5", "grouped").executed_flops < executed


def test_forms_follow_the_sizes() -> None:
    up, down = torch.zeros(3, 2 * INNER, HIDDEN), torch.zeros(3, HIDDEN, INNER)
    found = list(forms(Stacks((up, down), ()), HIDDEN))
    assert found
    assert all(form.halves and form.down[0] is down for form in found)
    assert not list(forms(Stacks((up, down), ()), HIDDEN + 1))


def test_a_block_without_stacks_has_none() -> None:
    assert stacks_of(nn.Linear(4, 4)) is None
    assert stacks_of(Looped()) is not None
