"""Causal self-attention as both language models of the zoo use it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class CausalAttention(nn.Module):
    """Multi-head attention with rotary positions over [batch, seq ≤ max_seq, hidden]; a position sees itself and what came before."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(self, hidden: int, heads: int, max_seq: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden, bias=False)
        self.out = nn.Linear(hidden, hidden, bias=False)
        half = hidden // heads // 2
        angle = torch.arange(max_seq).unsqueeze(1) * 1000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angle.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", torch.cat([-angle.sin(), angle.sin()], -1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, seq, hidden = x.shape
        q, k, v = (
            self.qkv(x)
            .view(batch, seq, 3, self.heads, hidden // self.heads)
            .permute(2, 0, 3, 1, 4)
            .unbind(0)
        )
        mixed = F.scaled_dot_product_attention(self._turned(q), self._turned(k), v, is_causal=True)
        y: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return y

    def _turned(self, x: torch.Tensor) -> torch.Tensor:
        """x [batch, heads, seq, width] with each pair of channels (i, i + width / 2) turned by its position's angle."""
        seq, width = x.shape[-2:]
        return x * self.cos[:seq] + x.roll(width // 2, -1) * self.sin[:seq]
