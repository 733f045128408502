"""Mixtures whose rows reach their experts in unlike ways: FLOPs as counted, or a true refusal."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import condsim
from condsim.errors import CondsimError

WIDTH, EXPERTS, TOP_K, ROWS = 16, 6, 2, 32
DEVICE = "raspberry-pi-5"


class Mixture(nn.Module):
    """A gate and experts of two layers; its heirs say how rows reach the experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(self.expert() for _ in range(EXPERTS))

    def expert(self) -> nn.Module:
        return nn.Sequential(nn.Linear(WIDTH, 64), nn.GELU(), nn.Linear(64, WIDTH))

    def looped(self, x: torch.Tensor, weights: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, slot = torch.where(ids == number)
            if len(rows):
                out.index_add_(0, rows, weights[rows, slot, None] * expert(x[rows]))
        return out


class SplitByLoad(Mixture):
    """Sorted rows are split by each expert's load, and joined behind the experts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.gate(x)
        top, ids = scores.topk(TOP_K, 1)
        gates = torch.zeros_like(scores).scatter(1, ids, top.softmax(1))
        expert_and_row = torch.nonzero(gates.t())
        rows = expert_and_row[:, 1]
        parts = torch.split(x[rows], (gates > 0).sum(0).tolist())
        results = [expert(part) for expert, part in zip(self.experts, parts, strict=True)]
        weighted = torch.cat(results) * gates[rows, expert_and_row[:, 0]].unsqueeze(1)
        return torch.zeros_like(x).index_add(0, rows, weighted)


class GatheredWeights(nn.Module):
    """Each row multiplies with its own copy of its experts' weights."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.up = nn.Parameter(torch.randn(EXPERTS, 32, WIDTH) * 0.1)
        self.down = nn.Parameter(torch.randn(EXPERTS, WIDTH, 32) * 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = self.gate(x).softmax(-1).topk(TOP_K)
        hidden = F.silu(torch.einsum("ti,taoi->tao", x, self.up[ids]))
        results = torch.einsum("tao,taio->tai", hidden, self.down[ids])
        return torch.einsum("tai,ta->ti", results, weights)


class FewerForEasyRows(Mixture):
    """An expert of little weight is replaced by a number beyond all experts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = self.gate(x).softmax(-1).topk(4)
        ids = torch.where(weights > 0.17, ids, torch.full_like(ids, EXPERTS))
        return self.looped(x, weights, ids)


class NestedLoops(Mixture):
    """A loop over choices around the loop over experts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = self.gate(x).softmax(-1).topk(TOP_K)
        out = torch.zeros_like(x)
        for slot in range(TOP_K):
            for number, expert in enumerate(self.experts):
                mine = ids[:, slot] == number
                if mine.any():
                    out[mine] += weights[mine, slot, None] * expert(x[mine])
        return out


class MaskedWhole(Mixture):
    """Every expert computes every row, and a mask keeps what the gate chose."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = self.gate(x).softmax(-1).topk(TOP_K)
        shares = torch.zeros(len(x), EXPERTS).scatter(1, ids, weights)
        results = torch.stack([expert(x) for expert in self.experts], 1)
        return (shares[:, :, None] * results).sum(1)


class OfUnlikeWidths(Mixture):
    """Experts of 64, 128, ... neurons."""

    def __init__(self) -> None:
        super().__init__()
        for number in range(EXPERTS):
            inner = 64 * (1 + number)
            layers = nn.Linear(WIDTH, inner), nn.GELU(), nn.Linear(inner, WIDTH)
            self.experts[number] = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = self.gate(x).softmax(-1).topk(TOP_K)
        return self.looped(x, weights, ids)


CAPTURED = [GatheredWeights, NestedLoops, MaskedWhole, OfUnlikeWidths]
REFUSED = [SplitByLoad, FewerForEasyRows]


def behind_a_stem(kind: type[nn.Module]) -> tuple[nn.Module, list[torch.Tensor]]:
    """A small model around a mixture, and its batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, WIDTH), nn.ReLU(), kind(), nn.Linear(WIDTH, 4)).eval()
    return model, [torch.randn(ROWS, 8) for _ in range(3)]


@pytest.mark.parametrize("kind", CAPTURED)
def test_flops_are_those_that_run(kind: type[nn.Module]) -> None:
    model, batches = behind_a_stem(kind)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        for batch in batches:
            model(batch)
    trace = condsim.capture(model, batches, measure=False)
    executed = condsim.simulate(trace, DEVICE).executed_flops
    assert executed == pytest.approx(counted.get_total_flops() / len(batches), rel=0.01)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_says_how_a_mixture_is_marked(kind: type[nn.Module]) -> None:
    model, batches = behind_a_stem(kind)
    with pytest.raises(CondsimError, match="'moe'"):
        condsim.capture(model, batches, measure=False)
