"""Models that tests capture by `tiny.py:FUNCTION`: one that works and several that cannot."""

from __future__ import annotations

import torch
from torch import nn

import condsim


class Gated(nn.Module):
    """Half of the rows take the block."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 32)
        self.block = nn.Linear(32, 32)
        self.last = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x).relu()
        score = h[:, 0]
        condsim.route("gate", "skip", (score > score.median()).long())
        with condsim.branch("gate", 1) as rows:
            if rows:
                h = rows.put(h, self.block(rows.take(h)).relu())
        return self.last(h)


def gated() -> tuple[nn.Module, list[torch.Tensor]]:
    torch.manual_seed(0)
    model = Gated().eval()
    return model, [torch.randn(4, 16) for _ in range(4)]


def with_nan() -> tuple[nn.Module, list[torch.Tensor]]:
    model, inputs = gated()
    model.get_parameter("block.weight").data[0, 0] = float("nan")
    return model, inputs


def dense() -> tuple[nn.Module, list[torch.Tensor]]:
    model = nn.Sequential(nn.Linear(16, 4)).eval()
    return model, [torch.randn(4, 16)]


def no_model() -> int:
    return 3
