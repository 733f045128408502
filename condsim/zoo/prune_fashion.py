"""prune-fashion: a vision transformer that drops the tokens that say little, in the manner of
DynamicViT.

Each image keeps as many tokens as it needs, so that a plain one is cheap.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

import condsim
from condsim.mechanisms.token_pruning import TokenPruning
from condsim.zoo.base import ZOO, Knob, ZooModel
from condsim.zoo.data import VALIDATION_IMAGES, fashion_training
from condsim.zoo.training import ShuffledBatches, minimise
from condsim.zoo.vit import Block, Embedding, Head, smaller_transformers

SITES = (1, 3)
"""Blocks before which tokens are dropped."""
KEPT = (0.5, 0.25)
"""Of all tokens, the share that is aimed at after each site."""
KEPT_WEIGHT = 4.0
"""Of the squared distance to that share in the loss."""
DENSE_SHARE = 0.25
"""Of a batch's images that keep all tokens in training, so that the network without scorers is
trained as well."""
NOISY_SHARE = 0.75
"""Of the training steps: in these, decisions are sampled."""
ALWAYS = 1e4
"""The score of the class token, which stays."""


class Scorer(nn.Sequential):
    """One score a token: [units, tokens, 1]. A token of a positive score stays."""

    def __init__(self, hidden: int) -> None:
        super().__init__(nn.LayerNorm(hidden), nn.Linear(hidden, 16), nn.GELU(), nn.Linear(16, 1))


@ZOO.register("prune-fashion")
class PruneFashion(ZooModel):
    """Images [batch, 1, 28, 28] → class logits [batch, 10].

    Blocks on a class token and the patches; tokens are dropped before some of them. patch: pixels
    a side of a patch. sites: blocks before which tokens are dropped. hidden, heads, blocks: of the
    transformer. threshold: tokens of a higher score stay.
    """

    mechanism = TokenPruning.name
    data = "images"
    knob = Knob("threshold", (-4.0, -2.0, 1.0, 2.0), -1000.0, 1000.0)
    batch = 128
    steps = 1290

    def __init__(
        self,
        patch: int = 4,
        hidden: int = 64,
        heads: int = 4,
        blocks: int = 6,
        sites: tuple[int, ...] = SITES,
        threshold: float = 0.0,
    ) -> None:
        super().__init__(
            patch=patch, hidden=hidden, heads=heads, blocks=blocks, sites=sites, threshold=threshold
        )
        self.sites = sites
        self.threshold = threshold
        self.embedding = Embedding(hidden, patch)
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(blocks))
        self.scorers = nn.ModuleList(Scorer(hidden) for _ in sites)
        self.head = Head(hidden)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._from(0, self.embedding(images), None)

    def _from(self, site: int, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Class logits of the tokens that passed `site` sites."""
        for block in self._blocks_before(site):
            x = block(x, mask)
        if site == len(self.sites):
            logits: torch.Tensor = self.head(x)
            return logits

        def decide() -> torch.Tensor:
            return self._scores(site, x) > self.threshold

        condsim.route(f"keep{site}", self.mechanism, decide)
        out = None
        for tokens in condsim.tokens(f"keep{site}"):
            of_bucket = self._from(site + 1, tokens.take(x), tokens.mask)
            out = tokens.put(out, of_bucket)
        assert out is not None
        return out

    def _blocks_before(self, site: int) -> list[nn.Module]:
        """The blocks between the site before and this one, or the end."""
        edges = (0, *self.sites, len(self.blocks))
        return list(self.blocks)[edges[site] : edges[site + 1]]

    def _scores(self, site: int, x: torch.Tensor) -> torch.Tensor:
        """The score of each token, [units, tokens]."""
        scores: torch.Tensor = self.scorers[site](x).squeeze(-1)
        scores[:, 0] = ALWAYS
        return scores

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        return trained(cls(), steps, progress)

    @classmethod
    def rivals(cls) -> dict[str, nn.Module]:
        return smaller_transformers()

    def softly(self, images: torch.Tensor, noisy: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Class logits, and what the loss adds for tokens that are kept or dropped too often.

        All blocks run on all tokens; a straight-through sigmoid says what counts, a Gumbel sample
        if noisy. The first images of the batch keep all of their tokens.
        """
        x = self.embedding(images)
        dense = round(DENSE_SHARE * len(images))
        kept = torch.ones(x.shape[:2])
        missed = torch.zeros(())
        for site in range(len(self.sites) + 1):
            for block in self._blocks_before(site):
                x = block.softly(x, kept)  # type: ignore[operator]
            if site == len(self.sites):
                break
            decided = self._soft_decision(site, x[dense:], noisy) * kept[dense:]
            off = decided[:, 1:].mean() - KEPT[site]
            missed = missed + KEPT_WEIGHT * off.square()
            kept = torch.cat([kept[:dense], decided])
        return self.head(x), missed

    def _soft_decision(self, site: int, x: torch.Tensor, noisy: bool) -> torch.Tensor:
        """1 for tokens that stay and 0 for others, with the gradient of a sigmoid."""
        scores = self.scorers[site](x).squeeze(-1)
        if noisy:
            uniform = torch.rand_like(scores).clamp(1e-6, 1 - 1e-6)
            scores = scores + uniform.log() - (-uniform).log1p()
        soft = scores.sigmoid()
        hard = (scores > 0).float()
        straight_through = hard + soft - soft.detach()
        class_token = torch.ones(len(x), 1)
        return torch.cat([class_token, straight_through[:, 1:]], 1)


def trained(model: PruneFashion, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
    """The model after so many steps, and what its checkpoint says about it."""
    model.train()
    images, labels, digest = fashion_training()
    batches = ShuffledBatches(len(images) - VALIDATION_IMAGES, model.batch)

    def loss(step: int) -> torch.Tensor:
        rows = batches(step)
        logits, missed = model.softly(images[rows], noisy=step < NOISY_SHARE * steps)
        value: torch.Tensor = F.cross_entropy(logits, labels[rows]) + missed
        return value

    minimise(model.parameters(), loss, steps, progress, "prune-fashion")
    return model.eval(), {"data_sha256": digest}
