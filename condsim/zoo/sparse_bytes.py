"""sparse-bytes: a causal language model over bytes with wide ReLU FFNs.

A predictor picks the blocks of neurons that run. The first layer's FFN is plain and narrow: what
its neurons want follows single bytes, so that a sequence would touch nearly all of its blocks (91 %
within 64 bytes, in a model that was trained with blocks there) and gathering them would save
little.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

import condsim
from condsim.live.execution import Execution, executing
from condsim.mechanisms.sparse_activation import SparseActivation
from condsim.zoo.base import ZOO, Knob, ZooModel
from condsim.zoo.byte_model import ByteModel
from condsim.zoo.data import spread_starts, training_text, windows
from condsim.zoo.dense_bytes import DenseBytes, Layer
from condsim.zoo.spread import Spread
from condsim.zoo.training import bits, minimise

LEAK_WEIGHT = 1.0
"""Of the loss on activations in blocks that the predictor does not pick: it makes the predictor
right, not only obeyed."""
CHANGE_WEIGHT = 0.2
"""Of the loss on how much a block's logit changes within a window: nearby bytes should want the
same blocks."""
WINDOW = 32
"""Bytes in such a window."""
PRUNED_BELOW = 0.02
"""Blocks that a smaller share of the training text's bytes want are removed after training."""


class Predictor(nn.Sequential):
    """Low-rank: one logit a block and row [rows, blocks].

    threshold: a row wants the blocks of higher logits.
    """

    threshold = 0.0

    def __init__(self, hidden: int, rank: int, blocks: int) -> None:
        narrow = nn.Linear(hidden, rank, bias=False)
        wide = nn.Linear(rank, blocks)
        super().__init__(narrow, wide)

    def active(self, x: torch.Tensor) -> torch.Tensor:
        """Blocks that each row wants: bool [rows, blocks]."""
        logits: torch.Tensor = self(x)
        return logits > self.threshold


class SparseLayer(Layer):
    """A layer with `blocks` blocks of `size` neurons.

    Each row computes those that a predictor picks for it.
    """

    def __init__(
        self, site: str, hidden: int, heads: int, blocks: int, size: int, rank: int, max_seq: int
    ) -> None:
        super().__init__(hidden, heads, blocks * size, max_seq)
        self.site = site
        self.blocks = blocks
        self.size = size
        self.predictor = Predictor(hidden, rank, blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attend(x)
        rows = self.ffn_norm(x).flatten(0, 1)
        condsim.route(
            self.site,
            SparseActivation.name,
            lambda: self.predictor.active(rows),
            branches=self.blocks,
        )
        chosen: Any
        with condsim.branch(self.site) as chosen:
            h = F.relu(self._up(rows, chosen))
            y = self._down(h, chosen)
        return x + y.view_as(x)

    def _up(self, rows: torch.Tensor, chosen: Any) -> torch.Tensor:
        """What goes into the chosen neurons. chosen: the selector of blocks."""
        weight = chosen.weight(self.up.weight, 0)
        bias = chosen.weight(self.up.bias, 0)
        return F.linear(rows, weight, bias)

    def _down(self, h: torch.Tensor, chosen: Any) -> torch.Tensor:
        """What comes out of them. h: their activations."""
        masked = chosen.mask(h)
        weight = chosen.weight(self.down.weight, 1)
        return F.linear(masked, weight, self.down.bias)

    def training_forward(
        self, x: torch.Tensor, spread: nn.Module
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The output, and two parts of the loss: change and leak, weighted.

        Every block runs; the predicted mask is applied straight through.
        """
        x = self.attend(x)
        rows = self.ffn_norm(x).flatten(0, 1)
        logits = spread(self.predictor(rows))
        soft = (3 * logits).sigmoid()
        hard = (logits > 0).float()
        mask = (hard + soft - soft.detach()).unsqueeze(-1)
        h = F.relu(self.up(rows))
        h = h.view(-1, self.blocks, self.size)
        masked = (h * mask).flatten(1)
        x = x + self.down(masked).view_as(x)
        of_windows = logits.view(-1, WINDOW, self.blocks)
        change = of_windows.var(1).mean()
        not_picked = (1 - hard).unsqueeze(-1)
        leak = (h * not_picked).mean()
        return x, CHANGE_WEIGHT * change, LEAK_WEIGHT * leak


@ZOO.register("sparse-bytes")
class SparseBytes(ByteModel, ZooModel):
    """Byte ids int64 [batch, seq ≤ 256] → next-byte logits [batch, seq, 256].

    width: neurons of the first layer. blocks: of `size` neurons each, one number for each layer
    after it.
    """

    mechanism = SparseActivation.name
    data = "text"
    knob = Knob("threshold", (-1.0, -0.5, 0.5, 1.0), -100.0, 100.0)
    seq = 64
    trained_seq = 64
    batch = 32
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
        threshold: float = 0.0,
    ) -> None:
        super().__init__(
            width=width,
            blocks=tuple(blocks),
            size=size,
            hidden=hidden,
            heads=heads,
            rank=rank,
            max_seq=max_seq,
            threshold=threshold,
        )
        self.add_embedding(hidden)
        sparse: list[Layer] = []
        for number, count in enumerate(blocks, start=1):
            site = f"ffn{number}"
            sparse.append(SparseLayer(site, hidden, heads, count, size, rank, max_seq))
        for layer in sparse:
            assert isinstance(layer, SparseLayer)
            layer.predictor.threshold = threshold
        plain = Layer(hidden, heads, width, max_seq)
        self.layers = nn.ModuleList([plain, *sparse])
        self.add_head(hidden)

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        model = cls().train()
        text, digest = training_text()
        seq, batch = cls.trained_seq, cls.batch
        possible_starts = len(text) - seq - 1
        spreads = nn.ModuleList()
        for layer in model.sparse_layers():
            spreads.append(Spread(layer.blocks, centre=-1.1, reach=0.4))

        def loss(_: int) -> torch.Tensor:
            starts = torch.randint(possible_starts, (batch,))
            ids, targets = windows(text, starts, seq)
            logits, of_blocks = model.training_forward(ids, spreads)
            entropy = bits(logits, targets).mean()
            return entropy + of_blocks

        parameters = [*model.parameters(), *spreads.parameters()]
        minimise(parameters, loss, steps, progress, "sparse-bytes")
        for layer, spread in zip(model.sparse_layers(), spreads, strict=True):
            assert isinstance(spread, Spread)
            spread.fold(layer.predictor[1])
        model.eval()
        starts = spread_starts(text, 1024, seq)
        ids, _ = windows(text, starts, seq)
        keep = [share >= PRUNED_BELOW for share in model.wanted(ids)]
        pruned = model.pruned(keep).eval()
        return pruned, {"data_sha256": digest}

    @classmethod
    def rivals(cls) -> dict[str, nn.Module]:
        return {f"dense-width-{width}": DenseBytes(width) for width in (64, 256)}

    def training_forward(
        self, ids: torch.Tensor, spreads: nn.ModuleList
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Next-byte logits, and what the blocks add to the loss, the mean over the layers."""
        x = self.layers[0](self.embed(ids))
        extra = torch.zeros(())
        for layer, spread in zip(self.sparse_layers(), spreads, strict=True):
            x, change, leak = layer.training_forward(x, spread)
            extra = extra + change + leak
        return self.logits(x), extra / len(spreads)

    def sparse_layers(self) -> list[SparseLayer]:
        """All layers but the first."""
        return [layer for layer in self.layers if isinstance(layer, SparseLayer)]

    @torch.inference_mode()
    def wanted(self, ids: torch.Tensor) -> list[torch.Tensor]:
        """Share of the bytes that want each block: float [blocks], one a sparse layer.

        ids: int64 [sequences, seq].
        """
        with executing(Execution(observed={})) as execution:
            for batch in torch.split(ids, 32):
                self(batch)
        assert execution.observed is not None
        shares: list[torch.Tensor] = []
        for layer in self.sparse_layers():
            calls = execution.observed[layer.site]
            decisions = torch.cat([call["ids"] for call in calls])
            shares.append(decisions.float().mean(0))
        return shares

    def pruned(self, keep: list[torch.Tensor]) -> SparseBytes:
        """A copy with some of the blocks, at least one a layer.

        keep: which blocks, bool [blocks], one a sparse layer; where it names none, all are kept.
        """
        weights = self.state_dict()
        blocks: list[int] = []
        for number, asked in enumerate(keep, start=1):
            kept = asked if asked.any() else torch.ones_like(asked)
            blocks.append(int(kept.sum()))
            neurons = kept.repeat_interleave(self.config["size"])
            for name, selected, dim in (
                ("up.weight", neurons, 0),
                ("up.bias", neurons, 0),
                ("down.weight", neurons, 1),
                ("predictor.1.weight", kept, 0),
                ("predictor.1.bias", kept, 0),
            ):
                key = f"layers.{number}.{name}"
                rows = selected.nonzero().squeeze(-1)
                weights[key] = weights[key].index_select(dim, rows)
        config = {**self.config, "blocks": tuple(blocks)}
        copy = type(self)(**config)
        copy.load_state_dict(weights)
        return copy
