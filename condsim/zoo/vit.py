"""A small vision transformer as the zoo's models of images in patches use it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

IMAGE = 28
"""Pixels a side."""


class Attention(nn.Module):
    """Multi-head self-attention over [units, tokens, hidden]."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """mask: the keys that are seen, bool, or what is added to each score; it broadcasts over
        [units, heads, tokens, tokens]. None: all are seen."""
        q, k, v = self.by_head(x)
        mixed = F.scaled_dot_product_attention(q, k, v, mask)
        y: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return y

    def by_head(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values, [units, heads, tokens, hidden / heads] each."""
        units, tokens, hidden = x.shape
        qkv = self.qkv(x).view(units, tokens, 3, self.heads, hidden // self.heads)
        parts: tuple[torch.Tensor, ...] = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return parts

    def softly(self, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Attention in which each key counts as much as it is kept.

        kept: from 0 to 1, [units, tokens]. A token always sees itself.
        Source: Rao et al., DynamicViT, 2021, equation 11.
        """
        q, k, v = self.by_head(x)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        itself = torch.eye(x.shape[1])
        counts = kept[:, None, None, :] * (1 - itself) + itself
        likelihood = (scores - scores.amax(-1, keepdim=True).detach()).exp() * counts
        weights = likelihood / likelihood.sum(-1, keepdim=True)
        mixed = weights @ v
        y: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return y


class FeedForward(nn.Sequential):
    """Two linear layers on each token."""

    def __init__(self, hidden: int) -> None:
        super().__init__(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden))


class Block(nn.Module):
    """Self-attention, then a feed-forward network, each after a norm."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.norm_feed_forward = nn.LayerNorm(hidden)
        self.feed_forward = FeedForward(hidden)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return self.fed_forward(self.attended(x, mask))

    def attended(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """The first half of the block."""
        mixed: torch.Tensor = self.attention(self.norm_attention(x), mask)
        return x + mixed

    def fed_forward(self, x: torch.Tensor) -> torch.Tensor:
        """The second half of the block."""
        fed: torch.Tensor = self.feed_forward(self.norm_feed_forward(x))
        return x + fed

    def softly(self, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """The block where each token counts as much as it is kept, from 0 to 1 [units, tokens]."""
        x = x + self.attention.softly(self.norm_attention(x), kept)
        return self.fed_forward(x)


class Embedding(nn.Module):
    """Images [units, 1, 28, 28] → a class token and one token a patch, [units, tokens, hidden]."""

    def __init__(self, hidden: int, patch: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, hidden, patch, stride=patch)
        self.tokens = 1 + (IMAGE // patch) ** 2
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden))
        self.positions = nn.Parameter(0.02 * torch.randn(1, self.tokens, hidden))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.patches(images).flatten(2).transpose(1, 2)
        class_tokens = self.class_token.expand(len(images), -1, -1)
        return torch.cat([class_tokens, patches], 1) + self.positions


class Head(nn.Module):
    """Tokens [units, tokens, hidden] → class logits [units, 10], from the class token."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.classes = nn.Linear(hidden, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classes(self.norm(x[:, 0]))
        return logits


class DenseTransformer(nn.Module):
    """A plain vision transformer: images [units, 1, 28, 28] → class logits [units, 10]."""

    def __init__(self, blocks: int, patch: int = 4, hidden: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.embedding = Embedding(hidden, patch)
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(blocks))
        self.head = Head(hidden)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return dense_logits(self.embedding, self.blocks, self.head, images)


RIVAL_BLOCKS = (2, 3, 4)


def smaller_transformers() -> dict[str, nn.Module]:
    """Plain vision transformers of fewer blocks than the zoo's, by name."""
    return {f"dense-{blocks}-of-6-blocks": DenseTransformer(blocks) for blocks in RIVAL_BLOCKS}


def dense_logits(
    embedding: Embedding, blocks: nn.ModuleList, head: Head, images: torch.Tensor
) -> torch.Tensor:
    """Class logits where all tokens stay."""
    x = embedding(images)
    for block in blocks:
        x = block(x)
    logits: torch.Tensor = head(x)
    return logits
