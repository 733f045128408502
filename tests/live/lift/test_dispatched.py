"""Mixtures whose experts multiply as many rows whatever is decided, and the decision that is
found."""

from __future__ import annotations

import math

import pytest
import torch
from live.lift.nets import HIDDEN, Net, counted
from torch import nn
from torch.nn import functional as F

import condsim
from condsim.live.lift.dispatched import chosen_of, find_dispatch, shares_of
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.tape import Unforced

EXPERTS = 4


class Block(nn.Module):
    """A gate and a list of experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(HIDDEN, EXPERTS, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(HIDDEN, 24), nn.ReLU(), nn.Linear(24, HIDDEN))
            for _ in range(EXPERTS)
        )


class Capacity(Block):
    """One expert a row, by products with a one-hot tensor, and no more rows than there is room."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, HIDDEN)
        room = math.ceil(1.5 * len(rows) / EXPERTS)
        weight, expert = self.gate(rows).softmax(-1).max(-1)
        mine = F.one_hot(expert, EXPERTS)
        place = (mine.cumsum(0) * mine).sum(-1) - 1
        slot = F.one_hot(place.clamp(max=room), room + 1)[:, :room].to(x.dtype)
        sent = torch.einsum("ne,nc->nec", mine.to(x.dtype), slot)
        arrived = torch.einsum("nec,nd->ecd", sent, rows)
        given = torch.stack([each(arrived[e]) for e, each in enumerate(self.experts)])
        return torch.einsum("nec,ecd->nd", sent * weight[:, None, None], given).view_as(x)


class Everyone(Block):
    """All experts on all rows, two of them with a weight."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = self.gate(x).softmax(-1).topk(2, -1)
        of_all = torch.zeros(*x.shape[:-1], EXPERTS).scatter(-1, ids, weights)
        out = torch.zeros_like(x)
        for number, each in enumerate(self.experts):
            out = out + of_all[..., number, None] * each(x)
        return out


class Soft(Block):
    """All experts, all weighed."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = torch.stack([each(x) for each in self.experts], -1)
        return (given * self.gate(x).softmax(-1).unsqueeze(-2)).sum(-1)


@pytest.mark.parametrize("kind", [Capacity, Everyone])
def test_what_is_executed_is_the_models_own_work(kind: type[Block]) -> None:
    torch.manual_seed(0)
    net = Net(kind()).eval()
    batches = [torch.randn(22, 8) for _ in range(2)]
    trace = condsim.capture(net, batches, measure=False)
    assert trace.header.captured == {"moe": "dispatched"}
    answer = condsim.simulate(trace, "raspberry-pi-5", batch=22)
    assert answer.executed_flops == counted(net, batches[0])
    rows = condsim.simulate(trace, "raspberry-pi-5", "looped", batch=22)
    assert rows.executed_flops < answer.executed_flops


def test_dropped_rows_are_those_that_have_no_room() -> None:
    torch.manual_seed(0)
    net = Net(Capacity()).eval()
    batch = torch.randn(22, 8)
    trace = condsim.capture(net, batch, measure=False)
    with torch.no_grad():
        chosen = net.block.gate(net.first(batch).relu()).argmax(-1)
    taken = [0] * EXPERTS
    expected = []
    for expert in chosen.tolist():
        taken[expert] += 1
        expected.append(expert if taken[expert] <= math.ceil(1.5 * 22 / EXPERTS) else -1)
    assert trace.decisions("block").ids.reshape(-1).tolist() == expected
    assert -1 in expected


@torch.no_grad()
def test_a_sum_of_all_experts_is_no_decision() -> None:
    torch.manual_seed(0)
    block = Soft()
    tape = Unforced(block, lone=False).run(block.forward, (torch.randn(9, HIDDEN),), {})
    with pytest.raises(NotLiftable, match="zeros for most"):
        find_dispatch(tape, list(block.experts))


def test_places_are_summed_up() -> None:
    sent = torch.zeros(3, EXPERTS, 2)
    sent[0, 1, 0], sent[2, 3, 1] = 0.5, -2.0
    ids, weights = chosen_of(shares_of(sent, EXPERTS), 1)
    assert ids.flatten().tolist() == [1, -1, 3]
    assert weights.flatten().tolist() == [0.5, 0.0, -2.0]
