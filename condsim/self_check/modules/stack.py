"""A stack of linear layers, behind a gate that half of the rows pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import condsim
from condsim.self_check.modules.built_in import built_in

WIDTH, HIDDEN, LAYERS = 384, 768, 4


@built_in("stack", 64, WIDTH)
class Stack(nn.Module):
    """Rows [rows, WIDTH] → [rows, WIDTH]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(LAYERS):
            layers += [nn.LayerNorm(WIDTH), nn.Linear(WIDTH, HIDDEN), nn.ReLU()]
            layers += [nn.Linear(HIDDEN, WIDTH)]
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        rows: Any
        condsim.route("gate", "skip", lambda: (h[:, 0] > 0).long(), branches=2)
        with condsim.branch("gate", 1) as rows:
            if rows:
                h = rows.put(h, self.layers(rows.take(h)))
        result: torch.Tensor = self.last(h)
        return result
