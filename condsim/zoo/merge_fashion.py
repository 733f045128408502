"""merge-fashion: a vision transformer that merges alike tokens in every other block (ToMe).

It is trained as any other one: merging needs no training.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

import condsim
from condsim.mechanisms.token_merging import TokenMerging
from condsim.zoo.base import ZOO, Knob, ZooModel
from condsim.zoo.data import VALIDATION_IMAGES, fashion_training
from condsim.zoo.training import ShuffledBatches, minimise
from condsim.zoo.vit import Block, Embedding, Head, dense_logits, smaller_transformers

ALWAYS_FIRST, ALWAYS = 3.0, 2.0
"""Ranks of the class token, and of tokens that others may merge into; similarities are at most
1."""


@ZOO.register("merge-fashion")
class MergeFashion(ZooModel):
    """Images [batch, 1, 28, 28] → class logits [batch, 10].

    merged: tokens that every other block merges into others, 0 for a plain vision transformer.
    patch: pixels a side of a patch. hidden, heads, blocks: of the transformer.
    Source: Bolya et al., Token Merging: Your ViT But Faster, 2023.
    """

    mechanism = TokenMerging.name
    data = "images"
    knob = Knob("merged", (4, 8, 16, 20), 1, 24, whole=True)
    batch = 128
    steps = 1290

    def __init__(
        self, merged: int = 12, patch: int = 4, hidden: int = 64, heads: int = 4, blocks: int = 6
    ) -> None:
        super().__init__(merged=merged, patch=patch, hidden=hidden, heads=heads, blocks=blocks)
        self.merged = merged
        self.embedding = Embedding(hidden, patch)
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(blocks))
        self.head = Head(hidden)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not self.merged:
            return self.dense(images)
        return self._from(0, self.embedding(images), None, None)

    def _from(
        self, number: int, x: torch.Tensor, sizes: torch.Tensor | None, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Class logits of what reaches block `number`.

        sizes: the tokens that each token stands for, [units, tokens, 1]; None where each stands
        for one. mask: of attention.
        """
        if number == len(self.blocks):
            logits: torch.Tensor = self.head(x)
            return logits
        block = self.blocks[number]
        assert isinstance(block, Block)
        x, keys = self._attended(block, x, sizes, mask)
        if number % 2:
            return self._from(number + 1, block.fed_forward(x), sizes, mask)

        def decide() -> tuple[torch.Tensor, torch.Tensor]:
            return matched(keys)

        kept = max(x.shape[1] - self.merged, 1 + x.shape[1] // 2)
        condsim.route(f"merge{number}", self.mechanism, decide, kept=kept)
        out = None
        for tokens in condsim.tokens(f"merge{number}"):
            taken, of_tokens = x, sizes
            if tokens.merges:
                of_tokens = torch.ones_like(x[..., :1]) if sizes is None else sizes
                taken = x * of_tokens
                of_tokens = tokens.take(of_tokens)
                taken = tokens.take(taken) / of_tokens
            else:
                taken = tokens.take(x)
            taken = block.fed_forward(taken)
            out = tokens.put(out, self._from(number + 1, taken, of_tokens, tokens.mask))
        assert out is not None
        return out

    def _attended(
        self,
        block: Block,
        x: torch.Tensor,
        sizes: torch.Tensor | None,
        mask: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The first half of a block, and its keys, their mean over heads [units, tokens, width].

        A token counts in attention as often as it stands for others.
        """
        seen = mask
        if sizes is not None:
            seen = sizes.log().squeeze(-1)[:, None, None, :]
            if mask is not None:
                seen = seen.masked_fill(~mask, float("-inf"))
        normed = block.norm_attention(x)
        q, k, v = block.attention.by_head(normed)
        mixed = F.scaled_dot_product_attention(q, k, v, seen)
        x = x + block.attention.out(mixed.transpose(1, 2).flatten(2))
        return x, k

    def dense(self, images: torch.Tensor) -> torch.Tensor:
        """Class logits where no token is merged."""
        return dense_logits(self.embedding, self.blocks, self.head, images)

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        return trained(cls(), steps, progress)

    @classmethod
    def rivals(cls) -> dict[str, nn.Module]:
        return smaller_transformers()


def matched(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ranks of the tokens [units, tokens], lowest for those that are most like another one; and
    the token that each would join, int [units, tokens].

    Every other token, from the class token on, may join the most similar one of the rest. The
    class token joins none. keys: of each head, [units, heads, tokens, width].
    """
    mean = keys.mean(1)
    metric = mean * mean.square().sum(-1, keepdim=True).rsqrt()
    joining, others = metric[:, ::2], metric[:, 1::2]
    best, partner = (joining @ others.transpose(1, 2)).max(-1)
    ranks = torch.full(metric.shape[:2], ALWAYS)
    ranks[:, ::2] = -best
    ranks[:, 0] = ALWAYS_FIRST
    into = torch.zeros(metric.shape[:2], dtype=torch.int64)
    into[:, ::2] = 2 * partner + 1
    return ranks, into


def trained(model: MergeFashion, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
    """The model after so many steps without merging, and what its checkpoint says about it."""
    model.train()
    images, labels, digest = fashion_training()
    batches = ShuffledBatches(len(images) - VALIDATION_IMAGES, model.batch)

    def loss(step: int) -> torch.Tensor:
        rows = batches(step)
        value: torch.Tensor = F.cross_entropy(model.dense(images[rows]), labels[rows])
        return value

    minimise(model.parameters(), loss, steps, progress, "merge-fashion")
    return model.eval(), {"data_sha256": digest}
