"""A transformer block; a gate decides which sequences enter its feed-forward."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim.self_check.modules.built_in import built_in

WIDTH, HEADS, POSITIONS = 256, 8, 48


@built_in("attention", 8, POSITIONS, WIDTH)
class Attention(nn.Module):
    """Sequences [units, POSITIONS, WIDTH] → the same."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.inner_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.queries_keys_values = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h: torch.Tensor = x + self._attended(self.norm(x))
        rows: Any
        condsim.route("gate", "skip", lambda: (h[:, 0, 0] > 0).long(), branches=2)
        with condsim.branch("gate", 1) as rows:
            if rows:
                h = rows.put(h, self._fed(rows.take(h)))
        return h

    def _attended(self, x: torch.Tensor) -> torch.Tensor:
        units, positions, _ = x.shape
        projected = self.queries_keys_values(x).view(units, positions, 3, HEADS, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        result: torch.Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return result

    def _fed(self, x: torch.Tensor) -> torch.Tensor:
        fed: torch.Tensor = self.down(F.gelu(self.up(self.inner_norm(x))))
        return x + fed
