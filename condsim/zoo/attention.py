"""Causal self-attention as both language models of the zoo use it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

BASE = 1000.0
"""Of the rotary positions' frequencies."""


class CausalAttention(nn.Module):
    """Multi-head attention with rotary positions over [batch, seq ≤ max_seq, hidden].

    A position sees itself and what came before.
    """

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(self, hidden: int, heads: int, max_seq: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden, bias=False)
        self.out = nn.Linear(hidden, hidden, bias=False)
        half = hidden // heads // 2
        frequency = BASE ** (-torch.arange(half) / half)
        position = torch.arange(max_seq).unsqueeze(1)
        angle = position * frequency
        cos = angle.cos().repeat(1, 2)
        sin = torch.cat([-angle.sin(), angle.sin()], -1)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, seq, hidden = x.shape
        width = hidden // self.heads
        qkv = self.qkv(x).view(batch, seq, 3, self.heads, width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(
            self._rotated(q), self._rotated(k), v, is_causal=True
        )
        y: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return y

    def _rotated(self, x: torch.Tensor) -> torch.Tensor:
        """Each pair of channels (i, i + width / 2) turned by its position's angle.

        x: [batch, heads, seq, width].
        """
        seq, width = x.shape[-2:]
        others = x.roll(width // 2, -1)
        return x * self.cos[:seq] + others * self.sin[:seq]
