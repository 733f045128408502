"""Models that tests capture by `tiny.py:FUNCTION`: one that works and several that cannot."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import condsim
from condsim.zoo.example import Example


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


class Graded(nn.Module):
    """A share of the rows takes the block; inputs may be noisy."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.first, self.block, self.last = nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, 4)
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x).relu()
        condsim.route("gate", "skip", (h[:, 0] > 1 - self.share).long())
        with condsim.branch("gate", 1) as rows:
            if rows:
                h = rows.put(h, self.block(rows.take(h)).relu())
        return self.last(h)


def graded(share: float = 0.5, noise: float = 0.0) -> Example:
    torch.manual_seed(0)
    model = Graded(share).eval()
    inputs = [torch.randn(4, 16) * (1 + noise) for _ in range(2)]

    def quality(output: torch.Tensor, _number: int) -> np.ndarray:
        return output.softmax(-1).amax(-1).numpy()

    return Example("graded", "", model, inputs, quality, "confidence")


def with_nan() -> tuple[nn.Module, list[torch.Tensor]]:
    model, inputs = gated()
    model.get_parameter("block.weight").data[0, 0] = float("nan")
    return model, inputs


def dense() -> tuple[nn.Module, list[torch.Tensor]]:
    model = nn.Sequential(nn.Linear(16, 4)).eval()
    return model, [torch.randn(4, 16)]


def no_model() -> int:
    return 3
