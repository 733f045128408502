"""Llama's layers, of which each new token leaves at the first exit that is sure.

Exits share the last norm and head, as LayerSkip trains a decoder for.
Source: Elhoushi et al., 2024, LayerSkip (arXiv 2404.16710).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from condsim.zoo.exit_bytes import ExitBytes, Layer


class GatedLayer(Layer):
    """Attention with a cache and a gated feed-forward, each with a residual and an RMS norm.

    number: of the layer. Exits stand between layers, so that none stands for another.
    """

    def __init__(self, hidden: int, heads: int, width: int, number: int) -> None:
        super().__init__(hidden, heads, width)
        self.number = number
        self.attention_norm = nn.RMSNorm(hidden)
        self.ffn_norm = nn.RMSNorm(hidden)
        self.gate = nn.Linear(hidden, width, bias=False)
        self.up = nn.Linear(hidden, width, bias=False)
        self.down = nn.Linear(width, hidden, bias=False)

    def feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        gated = F.silu(self.gate(x)) * self.up(x)
        out: torch.Tensor = self.down(gated)
        return out


class ExitDecoder(ExitBytes):
    """Token ids int64 [batch, seq], or one more token [batch, 1] with a cache → `Decoded`.

    config: of `ExitBytes`, and vocabulary: how many tokens there are.
    """

    def __init__(self, vocabulary: int, **config: Any) -> None:
        super().__init__(**config)
        hidden, heads, width = (self.config[name] for name in ("hidden", "heads", "width"))
        self.embed = nn.Embedding(vocabulary, hidden)
        self.layers = nn.ModuleList()
        for number in range(self.config["layers"]):
            self.layers.append(GatedLayer(hidden, heads, width, number))
        self.norm = nn.RMSNorm(hidden)
        self.head = nn.Linear(hidden, vocabulary, bias=False)
