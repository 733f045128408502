"""Models small enough to capture and time in a test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

import condsim


class Leaving(nn.Module):
    """One early exit: rows [batch, 8] → logits [batch, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 16)
        self.heads = nn.ModuleList(nn.Linear(16, 4) for _ in range(2))

    def forward(self, x: torch.Tensor) -> Any:
        h = self.first(x).relu()
        out = None

        def decide() -> tuple[torch.Tensor, None, torch.Tensor]:
            score = x[:, 0]
            return (score < 0).long(), None, score

        rows: Any
        condsim.route("exit0", "early_exit", decide, branches=2)
        with condsim.branch("exit0", 0) as rows:
            if rows:
                out = rows.put(None, self.heads[0](rows.take(h)))
        with condsim.branch("exit0", 1) as rows:
            if rows:
                out = rows.put(out, self.heads[1](self.second(rows.take(h)).relu()))
        return out


class Memory:
    """What a cache is: it grows with every call."""

    def __init__(self) -> None:
        self.seen: torch.Tensor | None = None


class Talking(nn.Module):
    """One skippable layer a position, with a cache: ids [batch, seq] → logits [batch, seq, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.layer, self.head = (
            nn.Embedding(32, 16),
            nn.Linear(16, 16),
            nn.Linear(16, 32),
        )

    def forward(
        self, input_ids: torch.Tensor, cache: Memory | None = None, use_cache: bool = False
    ) -> Any:
        x = self.embed(input_ids)
        seen = x
        if use_cache:
            cache = cache or Memory()
            seen = x if cache.seen is None else torch.cat([cache.seen, x], 1)
            cache.seen = seen
        flat = (x + seen.mean(1, keepdim=True)).flatten(0, 1)
        rows: Any
        condsim.route("gate", "skip", lambda: (flat[:, 0] > 0).long(), branches=2)
        with condsim.branch("gate", 1) as rows:
            if rows:
                flat = rows.put(flat, self.layer(rows.take(flat)))
        return SimpleNamespace(logits=self.head(flat).view(*input_ids.shape, 32), cache=cache)


def leaving() -> tuple[nn.Module, list[torch.Tensor]]:
    """Six batches of 8."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Leaving().eval(), [torch.randn(8, 8, generator=generator) for _ in range(6)]


def trained() -> tuple[nn.Module, list[torch.Tensor], condsim.Training]:
    """The batches of `leaving`, with a class for each row."""
    model, inputs = leaving()
    targets = [torch.arange(8) % 4 for _ in inputs]
    return model, inputs, condsim.Training(nn.functional.cross_entropy, targets=targets)


def talking() -> tuple[nn.Module, list[dict[str, torch.Tensor]]]:
    """Three batches of 4 sequences of 7 tokens."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Talking().eval(), [
            {"input_ids": torch.randint(32, (4, 7), generator=generator)} for _ in range(3)
        ]


def wrong() -> int:
    return 3
