"""A mixture is the same mixture in half precision, and whatever the width of its experts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import condsim
from condsim.trace import Trace

WIDTH, EXPERTS, ROWS = 32, 4, 24
WAYS = {"looped", "batched", "padded"}
ALIGNED_WAYS = {*WAYS, "grouped"}
"""Grouped products want rows of a multiple of 16 bytes."""


class Expert(nn.Module):
    """w2(silu(w1 x) * w3 x)."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(WIDTH, inner, bias=False)
        self.w2 = nn.Linear(inner, WIDTH, bias=False)
        self.w3 = nn.Linear(WIDTH, inner, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.w2(F.silu(self.w1(x)) * self.w3(x))
        return out


class Mixture(nn.Module):
    def __init__(self, inner: int) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(Expert(inner) for _ in range(EXPERTS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, chosen = self.router(x).softmax(-1).topk(2)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, slot = torch.where(chosen == number)
            if len(rows):
                out.index_add_(0, rows, weights[rows, slot, None] * expert(x[rows]))
        return out


def captured(inner: int, dtype: torch.dtype) -> tuple[Trace, float]:
    """The trace of a mixture, and PyTorch's count of its FLOPs a step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, WIDTH), Mixture(inner), nn.Linear(WIDTH, 8))
    model = model.to(dtype).eval()
    batches = [torch.randn(ROWS, 16).to(dtype) for _ in range(2)]
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        for batch in batches:
            model(batch)
    trace = condsim.capture(model, batches, measure=False)
    return trace, counted.get_total_flops() / len(batches)


@pytest.mark.parametrize(
    ("inner", "dtype", "ways"),
    [
        (64, torch.bfloat16, ALIGNED_WAYS),
        (64, torch.float16, ALIGNED_WAYS),
        (85, torch.float32, WAYS),
        (20, torch.bfloat16, WAYS),
    ],
)
def test_it_is_captured_with_all_ways_that_its_weights_allow(
    inner: int, dtype: torch.dtype, ways: set[str]
) -> None:
    trace, counted = captured(inner, dtype)
    found = {name.partition("/")[0] for name in trace.programs}
    assert ways <= found
    assert ("grouped" in found) == ("grouped" in ways)
    assert condsim.simulate(trace, "raspberry-pi-5").executed_flops == pytest.approx(counted)
