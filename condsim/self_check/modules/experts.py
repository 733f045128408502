"""A mixture: a router sends each row to two of six experts, which run in a loop."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim.self_check.modules.built_in import built_in

WIDTH, HIDDEN, EXPERTS, TOP_K = 256, 512, 6, 2


class Expert(nn.Module):
    """A gated feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(WIDTH, HIDDEN), nn.Linear(WIDTH, HIDDEN)
        self.down = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return result


@built_in("experts", 64, WIDTH)
class Experts(nn.Module):
    """Rows [rows, WIDTH] → [rows, WIDTH]."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.router = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(Expert() for _ in range(EXPERTS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(x)

        def decide() -> tuple[torch.Tensor, torch.Tensor]:
            weights, ids = self.router(h).softmax(-1).topk(TOP_K)
            return ids, weights

        condsim.route("experts", "moe", decide, branches=EXPERTS)
        out = torch.zeros_like(h)
        rows: Any
        for number, expert in enumerate(self.experts):
            with condsim.branch("experts", number) as rows:
                if rows:
                    out = rows.add(out, expert(rows.take(h)))
        return x + out
