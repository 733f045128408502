"""A vision transformer of a published size that merges alike tokens in every block (ToMe)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim.mechanisms.token_merging import TokenMerging
from condsim.zoo.merge_fashion import matched
from condsim.zoo.vit import Block


class MergingVit(nn.Module):
    """Images [units, 3, image, image] → class logits [units, classes].

    merged: tokens that each block merges into others, never more than half of those that may be; 0
    for a plain vision transformer. image, patch: pixels a side.
    Source: Bolya et al., Token Merging: Your ViT But Faster, 2023; facebookresearch/ToMe,
    tome/merge.py.
    """

    def __init__(
        self,
        layers: int,
        width: int,
        heads: int,
        merged: int = 0,
        *,
        image: int = 224,
        patch: int = 16,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.merged = merged
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        tokens = 1 + (image // patch) ** 2
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, tokens, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.patches(images).flatten(2).transpose(1, 2)
        class_tokens = self.class_token.expand(len(images), -1, -1)
        x = torch.cat([class_tokens, patches], 1) + self.positions
        if self.merged:
            return self._from(0, x, None)
        for block in self.blocks:
            x = block(x)
        return self._logits(x)

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.norm(x[:, 0]))
        return logits

    def _from(self, number: int, x: torch.Tensor, sizes: torch.Tensor | None) -> torch.Tensor:
        """Logits of what reaches a block.

        sizes: the tokens that each token stands for, [units, tokens, 1]; None where each stands
        for one.
        """
        if number == len(self.blocks):
            return self._logits(x)
        block: Any = self.blocks[number]
        x, keys = _attended(block, x, sizes)
        kept = tokens_kept(x.shape[1], self.merged)
        site = f"merge{number}"
        condsim.route(site, TokenMerging.name, lambda: matched(keys), kept=kept)
        out = None
        for tokens in condsim.tokens(site):
            of_tokens = sizes
            if tokens.merges:
                before = torch.ones_like(x[..., :1]) if sizes is None else sizes
                of_tokens = tokens.take(before)
                taken = tokens.take(x * before) / of_tokens
            else:
                taken = tokens.take(x)
            taken = block.fed_forward(taken)
            out = tokens.put(out, self._from(number + 1, taken, of_tokens))
        assert out is not None
        return out


def tokens_kept(tokens: int, merged: int) -> int:
    """Return how many of a block's tokens are left: every other one but the class token may go."""
    return tokens - min(merged, (tokens - 1) // 2)


def _attended(
    block: Block, x: torch.Tensor, sizes: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first half of a block, and its keys [units, heads, tokens, width].

    A token counts in attention as often as it stands for others.
    """
    seen = None if sizes is None else sizes.log().squeeze(-1)[:, None, None, :]
    q, k, v = block.attention.by_head(block.norm_attention(x))
    mixed = F.scaled_dot_product_attention(q, k, v, seen)
    return x + block.attention.out(mixed.transpose(1, 2).flatten(2)), k
