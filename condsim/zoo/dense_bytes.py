"""A plain causal language model over bytes: what the conditional ones are fairly compared with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from condsim.zoo.attention import CausalAttention
from condsim.zoo.byte_model import ByteModel


class Layer(nn.Module):
    """Attention and a ReLU FFN of `width` neurons, each with a residual."""

    def __init__(self, hidden: int, heads: int, width: int, max_seq: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(hidden)
        self.attention = CausalAttention(hidden, heads, max_seq)
        self.ffn_norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, width)
        self.down = nn.Linear(width, hidden)

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        """x after attention and its residual."""
        y: torch.Tensor = x + self.attention(self.attention_norm(x))
        return y

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attend(x)
        y: torch.Tensor = x + self.down(F.relu(self.up(self.ffn_norm(x))))
        return y


class DenseBytes(ByteModel):
    """A stack of plain layers."""

    def __init__(
        self, width: int, hidden: int = 96, heads: int = 4, layers: int = 4, max_seq: int = 256
    ) -> None:
        super().__init__()
        self.add_embedding(hidden)
        self.layers = nn.ModuleList(Layer(hidden, heads, width, max_seq) for _ in range(layers))
        self.add_head(hidden)
