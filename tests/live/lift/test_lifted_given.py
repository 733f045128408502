"""Rows that code gives to experts by numbers: dropped over a capacity, or picked by experts."""

from __future__ import annotations

import torch
from live.lift.nets import HIDDEN, Net, counted
from torch import nn

import condsim

EXPERTS, ROWS = 3, 20


class Block(nn.Module):
    """A gate and a list of experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(HIDDEN, EXPERTS)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(HIDDEN, 24), nn.ReLU(), nn.Linear(24, HIDDEN))
            for _ in range(EXPERTS)
        )


class Drops(Block):
    """Rows over an even share keep what they were."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        best, expert = self.gate(x).softmax(-1).max(-1)
        room, out = len(x) // EXPERTS, x.clone()
        for number, each in enumerate(self.experts):
            mine = (expert == number).nonzero().flatten()[:room]
            out[mine] = each(x[mine])
        return out * best.unsqueeze(-1)


class Picks(Block):
    """Each expert picks half of the rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, index = self.gate(x).softmax(-1).t().topk(len(x) // 2, -1)
        out = torch.zeros_like(x)
        for number, each in enumerate(self.experts):
            given = each(x[index[number]]) * weights[number].unsqueeze(-1)
            out = out.index_add(0, index[number], given)
        return out


def test_rows_that_are_dropped_reach_no_expert() -> None:
    torch.manual_seed(0)
    net = Net(Drops()).eval()
    batch = torch.randn(ROWS, 8)
    trace = condsim.capture(net, batch, measure=False)
    with torch.no_grad():
        chosen = net.block.gate(net.first(batch).relu()).argmax(-1).tolist()
    taken = [0] * EXPERTS
    expected = []
    for expert in chosen:
        taken[expert] += 1
        expected.append(expert if taken[expert] <= ROWS // EXPERTS else -1)
    assert trace.decisions("block").ids.reshape(-1).tolist() == expected
    assert -1 in expected
    answer = condsim.simulate(trace, "raspberry-pi-5", batch=ROWS)
    assert answer.executed_flops == counted(net, batch)


def test_experts_that_pick_rows_are_layers_that_rows_skip() -> None:
    torch.manual_seed(0)
    net = Net(Picks()).eval()
    batch = torch.randn(ROWS, 8)
    trace = condsim.capture(net, batch, measure=False)
    assert [site.mechanism for site in trace.sites] == ["skip"] * EXPERTS
    with torch.no_grad():
        scores = net.block.gate(net.first(batch).relu()).softmax(-1)
    for number, site in enumerate(trace.sites):
        picked = torch.zeros(ROWS, dtype=torch.long)
        picked[scores[:, number].topk(ROWS // 2).indices] = 1
        assert trace.decisions(site.name).ids.reshape(-1).tolist() == picked.tolist()
    answer = condsim.simulate(trace, "raspberry-pi-5", batch=ROWS)
    assert answer.executed_flops == counted(net, batch)
