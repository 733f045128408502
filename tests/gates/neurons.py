"""Feed-forwards whose first product decides which neurons go on: by a threshold, and the top k."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import condsim

THRESHOLD, KEPT = 0.3, 5


class Neurons(nn.Module):
    """Rows float [batch, 12] → [batch, 3].

    Only the second product of each layer leaves neurons out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ModuleList(nn.Linear(12, 20) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(20, 12) for _ in range(2))
        self.head = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number, wanted in enumerate((above_threshold, top_k)):
            h = F.relu(self.up[number](x))
            site, down = f"neurons{number}", self.down[number]

            def decide(h: torch.Tensor = h, wanted: Any = wanted) -> torch.Tensor:
                asked: torch.Tensor = wanted(h)
                return asked

            condsim.route(site, "sparse_activation", decide, branches=h.shape[1])
            with condsim.branch(site) as chosen:
                active = chosen.mask(chosen.take(h))
                x = x + F.linear(active, chosen.weight(down.weight, 1), down.bias)
        logits: torch.Tensor = self.head(x)
        return logits


def above_threshold(h: torch.Tensor) -> torch.Tensor:
    """Neurons that are active enough, bool [rows, neurons]."""
    return h > THRESHOLD


def top_k(h: torch.Tensor) -> torch.Tensor:
    """The most active neurons of each row, bool [rows, neurons]."""
    best = h.topk(KEPT, dim=1).indices
    return torch.zeros_like(h, dtype=torch.bool).scatter_(1, best, True)
