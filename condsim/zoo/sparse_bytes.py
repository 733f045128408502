"""sparse-bytes: a causal language model over bytes with wide ReLU FFNs, of which a predictor picks the blocks of neurons that run.

The first layer's FFN is plain and narrow: what its neurons want follows single bytes, so that a sequence would touch nearly all of its blocks (91 % within
64 bytes, in a model that was trained with blocks there) and gathering them would save little.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

import condsim
from condsim.live.execution import Execution, executing
from condsim.zoo.attention import CausalAttention
from condsim.zoo.base import ZOO, ZooModel
from condsim.zoo.data import spread_starts, training_text, windows
from condsim.zoo.training import Spread, bits, minimise

LEAK_WEIGHT = 1.0
"""Of the loss on activations in blocks that the predictor does not pick: it makes the predictor right, not only obeyed."""
CHANGE_WEIGHT = 0.2
"""Of the loss on how much a block's logit changes within a window: nearby bytes should want the same blocks."""
WINDOW = 32
"""Bytes in such a window."""
PRUNED_BELOW = 0.02
"""Blocks that a smaller share of the training text's bytes want are removed after training."""


class Predictor(nn.Sequential):
    """Low-rank: one logit a block and row [rows, blocks]."""

    def __init__(self, hidden: int, rank: int, blocks: int) -> None:
        super().__init__(nn.Linear(hidden, rank, bias=False), nn.Linear(rank, blocks))

    def active(self, x: torch.Tensor) -> torch.Tensor:
        """Blocks that each row wants: bool [rows, blocks]."""
        logits: torch.Tensor = self(x)
        return logits > 0


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
        y: torch.Tensor = x + self.attention(self.attention_norm(x))
        return y

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attend(x)
        y: torch.Tensor = x + self.down(F.relu(self.up(self.ffn_norm(x))))
        return y


class SparseLayer(Layer):
    """A layer of whose neurons, `blocks` blocks of `size`, each row computes those that a predictor picks for it."""

    def __init__(
        self, site: str, hidden: int, heads: int, blocks: int, size: int, rank: int, max_seq: int
    ) -> None:
        super().__init__(hidden, heads, blocks * size, max_seq)
        self.site, self.blocks, self.size = site, blocks, size
        self.predictor = Predictor(hidden, rank, blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attend(x)
        rows = self.ffn_norm(x).flatten(0, 1)
        condsim.route(
            self.site,
            "sparse_activation",
            lambda: self.predictor.active(rows),
            branches=self.blocks,
        )
        chosen: Any
        with condsim.branch(self.site) as chosen:
            h = F.relu(
                F.linear(rows, chosen.weight(self.up.weight, 0), chosen.weight(self.up.bias, 0))
            )
            y = F.linear(chosen.mask(h), chosen.weight(self.down.weight, 1), self.down.bias)
        return x + y.view_as(x)


@ZOO.register("sparse-bytes")
class SparseBytes(ZooModel):
    """Byte ids int64 [batch, seq ≤ 256] → next-byte logits [batch, seq, 256].

    width: neurons of the first layer. blocks: of `size` neurons each, one number for each layer after it.
    """

    mechanism = "sparse_activation"
    data = "text"
    seq = 64
    steps = 1400

    def __init__(
        self,
        width: int = 256,
        blocks: tuple[int, ...] = (24, 24, 24),
        size: int = 32,
        hidden: int = 96,
        heads: int = 4,
        rank: int = 16,
        max_seq: int = 256,
    ) -> None:
        super().__init__(
            width=width,
            blocks=tuple(blocks),
            size=size,
            hidden=hidden,
            heads=heads,
            rank=rank,
            max_seq=max_seq,
        )
        self.embed = nn.Embedding(256, hidden)
        sparse = [
            SparseLayer(f"ffn{i}", hidden, heads, n, size, rank, max_seq)
            for i, n in enumerate(blocks, start=1)
        ]
        self.layers = nn.ModuleList([Layer(hidden, heads, width, max_seq), *sparse])
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, 256, bias=False)
        nn.init.normal_(self.embed.weight, std=0.1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        logits: torch.Tensor = self.head(self.norm(x))
        return logits

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        model = cls().train()
        text, digest = training_text()
        seq, batch = 64, 32
        spreads = nn.ModuleList(
            Spread(layer.blocks, centre=-1.1, reach=0.4) for layer in model.sparse_layers()
        )

        def loss(_: int) -> torch.Tensor:
            """Every block runs; the predicted mask is applied straight through."""
            ids, targets = windows(text, torch.randint(len(text) - seq - 1, (batch,)), seq)
            x = model.layers[0](model.embed(ids))
            extra = torch.zeros(())
            for layer, spread in zip(model.sparse_layers(), spreads, strict=True):
                x = layer.attend(x)
                rows = layer.ffn_norm(x).flatten(0, 1)
                logits = spread(layer.predictor(rows))
                soft = (3 * logits).sigmoid()
                hard = (logits > 0).float()
                mask = (hard + soft - soft.detach()).unsqueeze(-1)
                h = F.relu(layer.up(rows)).view(-1, layer.blocks, layer.size)
                x = x + layer.down((h * mask).flatten(1)).view_as(x)
                change = logits.view(-1, WINDOW, layer.blocks).var(1).mean()
                leak = (h * (1 - hard).unsqueeze(-1)).mean()
                extra = extra + CHANGE_WEIGHT * change + LEAK_WEIGHT * leak
            return bits(model.head(model.norm(x)), targets).mean() + extra / len(spreads)

        minimise(
            [*model.parameters(), *spreads.parameters()],
            loss,
            steps,
            3e-3,
            progress,
            "sparse-bytes",
        )
        for layer, spread in zip(model.sparse_layers(), spreads, strict=True):
            assert isinstance(spread, Spread)
            assert isinstance(layer.predictor[1], nn.Linear)
            spread.fold(layer.predictor[1])
        wanted = model.eval().wanted(windows(text, spread_starts(text, 1024, seq), seq)[0])
        return model.pruned([share >= PRUNED_BELOW for share in wanted]).eval(), {
            "data_sha256": digest
        }

    def sparse_layers(self) -> list[SparseLayer]:
        """All layers but the first."""
        return [layer for layer in self.layers if isinstance(layer, SparseLayer)]

    @torch.inference_mode()
    def wanted(self, ids: torch.Tensor) -> list[torch.Tensor]:
        """Share of the bytes that want each block: float [blocks], one a sparse layer. ids: int64 [sequences, seq]."""
        with executing(Execution(observed={})) as execution:
            for batch in torch.split(ids, 32):
                self(batch)
        assert execution.observed is not None
        return [
            torch.cat([d["ids"] for d in execution.observed[layer.site]]).float().mean(0)
            for layer in self.sparse_layers()
        ]

    def pruned(self, keep: list[torch.Tensor]) -> SparseBytes:
        """A copy with the blocks that `keep` (bool [blocks], one a sparse layer) says, at least one a layer."""
        keep = [k if k.any() else torch.ones_like(k) for k in keep]
        weights = self.state_dict()
        for i, kept in enumerate(keep, start=1):
            neurons = kept.repeat_interleave(self.config["size"])
            for key, index, dim in (
                ("up.weight", neurons, 0),
                ("up.bias", neurons, 0),
                ("down.weight", neurons, 1),
                ("predictor.1.weight", kept, 0),
                ("predictor.1.bias", kept, 0),
            ):
                name = f"layers.{i}.{key}"
                weights[name] = weights[name].index_select(dim, index.nonzero().squeeze(-1))
        copy = type(self)(**{**self.config, "blocks": tuple(int(k.sum()) for k in keep)})
        copy.load_state_dict(weights)
        return copy
