"""Models whose steps are no rectangles, and steps of them at many sizes.

Two lengths that differ, layers that keep another number of tokens each, and sequences of unlike
length in one step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

HIDDEN, HEADS, VOCABULARY = 32, 4, 50
PATCH, IMAGE = 4, 24


@dataclass(frozen=True)
class Step:
    """One forward pass: what goes in, and the extents that its sizes follow."""

    inputs: tuple[torch.Tensor, ...]
    extents: dict[str, int]


@dataclass(frozen=True)
class Packed:
    """A model with the steps that its program is fitted to, and others that are new to it."""

    name: str
    model: nn.Module
    fitted: list[Step]
    unseen: list[Step] = field(default_factory=list)


class Attention(nn.Module):
    """Multi-head attention of `queries` to `context`, both [units, positions, hidden]."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(HIDDEN, HIDDEN)
        self.key = nn.Linear(HIDDEN, HIDDEN)
        self.value = nn.Linear(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, HIDDEN)

    def forward(
        self,
        queries: torch.Tensor,
        context: torch.Tensor,
        mask: torch.Tensor | None = None,
        causal: bool = False,
    ) -> torch.Tensor:
        query = self.by_head(self.query(queries))
        key = self.by_head(self.key(context))
        value = self.by_head(self.value(context))
        mixed = F.scaled_dot_product_attention(query, key, value, mask, is_causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def by_head(self, rows: torch.Tensor) -> torch.Tensor:
        """Return [units, heads, positions, hidden / heads]."""
        return rows.unflatten(-1, (HEADS, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two linears on each row."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(HIDDEN, 4 * HIDDEN), nn.GELU(), nn.Linear(4 * HIDDEN, HIDDEN))


class Block(nn.Module):
    """Self-attention, then a feed-forward network."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(HIDDEN)
        self.attention = Attention()
        self.feed_forward = FeedForward()

    def forward(
        self, rows: torch.Tensor, mask: torch.Tensor | None = None, causal: bool = False
    ) -> torch.Tensor:
        normed = self.norm(rows)
        rows = rows + self.attention(normed, normed, mask, causal)
        return rows + self.feed_forward(rows)


# Two lengths


class Translator(nn.Module):
    """An encoder of the source and a decoder of the target that attends to it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
        self.encoder = nn.ModuleList(Block() for _ in range(2))
        self.decoder = nn.ModuleList(Block() for _ in range(2))
        self.cross = nn.ModuleList(Attention() for _ in range(2))
        self.head = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        encoded = self.embedding(source)
        for block in self.encoder:
            encoded = block(encoded)
        decoded = self.embedding(target)
        for block, cross in zip(self.decoder, self.cross, strict=True):
            decoded = block(decoded, causal=True)
            decoded = decoded + cross(decoded, encoded)
        return self.head(decoded)


def translation(batch: int, source: int, target: int) -> Step:
    """A step of random sentences."""
    inputs = (
        torch.randint(VOCABULARY, (batch, source)),
        torch.randint(VOCABULARY, (batch, target)),
    )
    return Step(inputs, {"batch": batch, "source": source, "target": target})


def translator() -> Packed:
    """Sources shorter and longer than their targets, and as long."""
    sizes = [(2, 5, 9), (3, 7, 4), (5, 6, 6), (2, 11, 3), (4, 8, 13), (6, 3, 5), (3, 12, 7)]
    sizes += [(7, 4, 10)]
    unseen = [(8, 14, 15), (9, 21, 2), (10, 2, 17)]
    return Packed(
        "translator",
        Translator().eval(),
        [translation(*size) for size in sizes],
        [translation(*size) for size in unseen],
    )


# Another number of tokens in each layer


class Vision(nn.Module):
    """A vision transformer that drops tokens of a low score before each layer but the first."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, HIDDEN, PATCH, stride=PATCH)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.scores = nn.ModuleList(nn.Linear(HIDDEN, 1) for _ in range(2))
        self.head = nn.Linear(HIDDEN, 10)

    def tokens(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the first block makes of all patches, [images, patches, hidden]."""
        first: torch.Tensor = self.blocks[0](self.patches(images).flatten(2).transpose(1, 2))
        return first


class PaddedVision(Vision):
    """Each image's kept tokens are gathered, and padded to the image that keeps the most."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        """Return logits, and the number of tokens of each layer."""
        rows = self.tokens(images)
        widths = []
        for score, block in zip(self.scores, list(self.blocks)[1:], strict=True):
            scores = score(rows).squeeze(-1)
            counts = (scores > 0).sum(1).clamp(min=2)
            width = int(counts.max())
            widths.append(width)
            order = scores.topk(width, dim=1).indices
            rows = rows.gather(1, order.unsqueeze(-1).expand(-1, -1, HIDDEN))
            kept = torch.arange(width) < counts.unsqueeze(1)
            rows = block(rows, mask=kept[:, None, None, :])
        return self.head(rows.mean(1)), widths


class PackedVision(Vision):
    """Kept tokens of all images stand one below the other; attention sees those of its image."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        """Return logits, and the number of rows of each layer."""
        grid = self.tokens(images)
        units, patches, _ = grid.shape
        rows = grid.flatten(0, 1)
        image = torch.arange(units).repeat_interleave(patches, output_size=units * patches)
        totals = []
        for score, block in zip(self.scores, list(self.blocks)[1:], strict=True):
            kept = (score(rows).squeeze(-1) > 0).nonzero().squeeze(1)
            totals.append(len(kept))
            rows, image = rows[kept], image[kept]
            same_image = image.unsqueeze(1) == image.unsqueeze(0)
            rows = block(rows.unsqueeze(0), mask=same_image).squeeze(0)
        pooled = torch.zeros(units, HIDDEN).index_add_(0, image, rows)
        return self.head(pooled), totals


@torch.inference_mode()
def pictures(model: nn.Module, batch: int) -> Step:
    """A step of random images; what the model keeps of them says the extents of its layers."""
    images = torch.randn(batch, 3, IMAGE, IMAGE) + torch.randn(batch, 3, 1, 1)
    _, kept = model(images)
    extents = {"batch": batch}
    for number, count in enumerate(kept, start=1):
        extents[f"tokens@block{number}"] = count
    return Step((images,), extents)


FITTED_IMAGES = (2, 3, 5, 2, 4, 6, 3, 7, 2, 5, 4, 3)
UNSEEN_IMAGES = (8, 9, 11)


def vision(name: str, model: nn.Module) -> Packed:
    """Images of which the model keeps as many tokens as they ask for."""
    model.eval()
    fitted = [pictures(model, batch) for batch in FITTED_IMAGES]
    unseen = [pictures(model, batch) for batch in UNSEEN_IMAGES]
    return Packed(name, model, fitted, unseen)


# Sequences of unlike length in one step


class Ragged(nn.Module):
    """Rows of all sequences stand one below the other, [tokens, hidden]."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(HIDDEN, VOCABULARY)


class PaddedRagged(Ragged):
    """Linears see packed rows, attention sees them padded to the longest sequence."""

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        rows = self.embedding(ids)
        longest = int(lengths.max())
        sequence = torch.arange(len(lengths)).repeat_interleave(lengths, output_size=len(ids))
        starts = lengths.cumsum(0) - lengths
        position = torch.arange(len(ids)) - starts[sequence]
        present = torch.arange(longest) < lengths.unsqueeze(1)
        for block in self.blocks:
            normed = block.norm(rows)
            padded = normed.new_zeros(len(lengths), longest, HIDDEN)
            padded[sequence, position] = normed
            mixed = block.attention(padded, padded, present[:, None, None, :])
            rows = rows + mixed[sequence, position]
            rows = rows + block.feed_forward(rows)
        return self.head(rows)


class PairwiseRagged(Ragged):
    """Attention computes one score for each pair of positions that share a sequence."""

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        rows = self.embedding(ids)
        sequence = torch.arange(len(lengths)).repeat_interleave(lengths, output_size=len(ids))
        pairs = (sequence.unsqueeze(1) == sequence.unsqueeze(0)).nonzero()
        to, of = pairs.unbind(1)
        for block in self.blocks:
            rows = rows + self.attended(block.attention, block.norm(rows), to, of)
            rows = rows + block.feed_forward(rows)
        return self.head(rows)

    def attended(
        self, attention: Attention, rows: torch.Tensor, to: torch.Tensor, of: torch.Tensor
    ) -> torch.Tensor:
        """Return what each row gathers. to, of: the rows of each pair, int [pairs]."""
        query, key, value = attention.query(rows), attention.key(rows), attention.value(rows)
        scores = (query[to] * key[of]).sum(-1).mul(HIDDEN**-0.5).exp()
        total = torch.zeros(len(rows)).index_add_(0, to, scores)
        weights = scores / total[to]
        mixed = torch.zeros_like(rows).index_add_(0, to, weights.unsqueeze(-1) * value[of])
        return attention.out(mixed)


def sequences(*lengths: int) -> Step:
    """A step of random sequences of these lengths, with every extent that they have."""
    tokens = sum(lengths)
    pairs = sum(length * length for length in lengths)
    inputs = (torch.randint(VOCABULARY, (tokens,)), torch.tensor(lengths))
    extents = {"batch": len(lengths), "tokens": tokens, "longest": max(lengths), "pairs": pairs}
    return Step(inputs, extents)


def only(step: Step, *names: str) -> Step:
    """The same step with some of its extents."""
    return Step(step.inputs, {name: step.extents[name] for name in names})


FITTED_LENGTHS = (
    (5, 9),
    (3, 7, 4),
    (2, 11, 6, 3),
    (8, 8),
    (13, 2, 5),
    (4, 6, 3, 9, 7),
    (10, 3),
    (6, 5, 12),
    (7, 2, 2, 8),
)
UNSEEN_LENGTHS = ((14, 1, 6, 9, 3, 2), (17, 15), (1, 1, 20), (4, 4, 4, 4, 4, 4, 4))


def ragged(name: str, model: nn.Module, *extents: str) -> Packed:
    """Sequences of unlike length. extents: those that the model's sizes follow."""
    fitted = [only(sequences(*lengths), *extents) for lengths in FITTED_LENGTHS]
    unseen = [only(sequences(*lengths), *extents) for lengths in UNSEEN_LENGTHS]
    return Packed(name, model.eval(), fitted, unseen)


def packed_models() -> dict[str, Packed]:
    """Every model, by name."""
    torch.manual_seed(0)
    models = [
        translator(),
        vision("padded-vision", PaddedVision()),
        vision("packed-vision", PackedVision()),
        ragged("padded-ragged", PaddedRagged(), "batch", "tokens", "longest"),
        ragged("pairwise-ragged", PairwiseRagged(), "batch", "tokens", "pairs"),
    ]
    return {packed.name: packed for packed in models}
