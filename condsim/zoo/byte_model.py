"""What causal language models over bytes share: the embedding, and the head over next bytes."""

from __future__ import annotations

import torch
from torch import nn

BYTES = 256
"""Values of a byte."""


class ByteModel(nn.Module):
    """Byte ids int64 [batch, seq] → next-byte logits [batch, seq, 256], through `layers`.

    A model calls `add_embedding`, makes its layers, [batch, seq, hidden] → the same, and calls
    `add_head`.
    """

    layers: nn.ModuleList

    def add_embedding(self, hidden: int) -> None:
        """Make the embedding, before the layers."""
        self.embed = nn.Embedding(BYTES, hidden)

    def add_head(self, hidden: int) -> None:
        """Make the norm and the head, after the layers."""
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, BYTES, bias=False)
        nn.init.normal_(self.embed.weight, std=0.1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return self.logits(x)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Next-byte logits [batch, seq, 256] of what the layers return [batch, seq, hidden]."""
        logits: torch.Tensor = self.head(self.norm(x))
        return logits
