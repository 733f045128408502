"""A DeiT with marks: EViT drops (and fuses) tokens, ToMe merges them; attention is written out,
as in the authors' code.

Sources: youweiliang/evit, evit.py; facebookresearch/ToMe, tome/merge.py and tome/patch/timm.py;
timm, vision_transformer.py.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

import condsim

CLASSES = 1000


@dataclass(frozen=True)
class Shape:
    """layers, width, heads; tokens: with the class token; patch: pixels a side."""

    layers: int
    width: int
    heads: int
    tokens: int
    patch: int = 16

    @property
    def pixels(self) -> int:
        return self.patch * round((self.tokens - 1) ** 0.5)


class Attention(nn.Module):
    """Scores are an array. Returns (result, keys of each head, weights of each head)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(
        self, x: torch.Tensor, more: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        units, tokens, width = x.shape
        qkv = self.qkv(x).reshape(units, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-2, -1)) * (width // self.heads) ** -0.5
        if more is not None:
            scores = scores + more
        weights = scores.softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(units, tokens, width)), k, weights


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )


class Deit(nn.Module, ABC):
    """Images [units, 3, pixels, pixels] → logits.

    Subclasses say what happens to tokens between attention and MLP.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, shape.width, shape.patch, stride=shape.patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.positions = nn.Parameter(torch.zeros(1, shape.tokens, shape.width))
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.layers))
        self.norm, self.head = nn.LayerNorm(shape.width), nn.Linear(shape.width, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.positions
        return self._from(0, x, None)

    def _from(self, number: int, x: torch.Tensor, sizes: torch.Tensor | None) -> torch.Tensor:
        if number == len(self.blocks):
            logits: torch.Tensor = self.head(self.norm(x)[:, 0])
            return logits
        return self._block(number, self.blocks[number], x, sizes)

    @abstractmethod
    def _block(
        self, number: int, block: nn.Module, x: torch.Tensor, sizes: torch.Tensor | None
    ) -> torch.Tensor:
        """The result of a block, and of all that come after it."""

    def _rest(
        self, number: int, block: nn.Module, x: torch.Tensor, sizes: torch.Tensor | None
    ) -> torch.Tensor:
        return self._from(number + 1, x + block.mlp(block.norm2(x)), sizes)


class Evit(Deit):
    """The tokens that the class token attends to most stay, ceil(keep * patches) of them; fuse:
    one more for the rest."""

    def __init__(self, shape: Shape, keep: float, fuse: bool) -> None:
        super().__init__(shape)
        self.keep, self.fuse, self.at = keep, fuse, (3, 6, 9)

    def _block(self, number, block, x, sizes):
        mixed, _, weights = block.attn(block.norm1(x), None)
        x = x + mixed
        if number not in self.at:
            return self._rest(number, block, x, None)

        def ranks() -> torch.Tensor:
            of_class = weights[:, :, 0].mean(1)
            of_class[:, 0] = 2.0
            return of_class

        kept = math.ceil(self.keep * (x.shape[1] - 1)) + 1
        condsim.route(f"keep{number}", "token_pruning", ranks, kept=kept)
        out = None
        for tokens in condsim.tokens(f"keep{number}"):
            taken = tokens.take(x)
            if self.fuse and taken.shape[1] < x.shape[1]:
                rest = (x * weights[:, 0, 0].unsqueeze(-1)).sum(1, keepdim=True)
                taken = torch.cat([taken, rest], 1)
            out = tokens.put(out, self._rest(number, block, taken, None))
        return out


class Tome(Deit):
    """r tokens are merged in each layer, never more than half of those that are left."""

    def __init__(self, shape: Shape, r: int) -> None:
        super().__init__(shape)
        self.r = r

    def _block(self, number, block, x, sizes):
        more = None if sizes is None else sizes.log().squeeze(-1)[:, None, None]
        mixed, keys, _ = block.attn(block.norm1(x), more)
        x = x + mixed

        def matched() -> tuple[torch.Tensor, torch.Tensor]:
            metric = F.normalize(keys.mean(1), dim=-1)
            best, partner = (metric[:, ::2] @ metric[:, 1::2].transpose(1, 2)).max(-1)
            ranks = torch.full(metric.shape[:2], 2.0)
            ranks[:, ::2] = -best
            ranks[:, 0] = 3.0
            into = torch.zeros(metric.shape[:2], dtype=torch.int64)
            into[:, ::2] = 2 * partner + 1
            return ranks, into

        tokens_now = x.shape[1]
        kept = tokens_now - min(self.r, (tokens_now - 1) // 2)
        condsim.route(f"merge{number}", "token_merging", matched, kept=kept)
        out = None
        for tokens in condsim.tokens(f"merge{number}"):
            of_tokens = None
            if tokens.merges:
                before = torch.ones_like(x[..., :1]) if sizes is None else sizes
                of_tokens = tokens.take(before)
                taken = tokens.take(x * before) / of_tokens
            else:
                taken = tokens.take(x)
            out = tokens.put(out, self._rest(number, block, taken, of_tokens))
        return out
