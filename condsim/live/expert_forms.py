"""Runnable forms of the mixture-of-experts strategies and baselines, on experts whose weights are stacked along a first dimension.

(The forms of the other mechanisms are the row selectors that `condsim.branch` yields.) x [tokens, hidden]; ids [tokens, k]; weights [tokens, k], fp32 or as x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class ExpertWeights:
    """The experts of one layer. up [E, n, H], down [E, H, i], biases [E, n] and [E, H] or None; activate: [..., n] → [..., i]."""

    up: torch.Tensor
    down: torch.Tensor
    up_bias: torch.Tensor | None
    down_bias: torch.Tensor | None
    activate: Callable[[torch.Tensor], torch.Tensor]

    @property
    def experts(self) -> int:
        return self.up.shape[0]


def grouped(
    w: ExpertWeights, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor, room: int = 0
) -> torch.Tensor:
    """Sort the rows by expert, one grouped matmul a projection, put them back."""
    k = ids.shape[1]
    expert, order = torch.sort(ids.reshape(-1))
    rows = x[order // k]
    ends = torch.cumsum(
        torch.histc(expert.float(), bins=w.experts, min=0, max=w.experts - 1), 0, dtype=torch.int32
    )
    h = F.grouped_mm(rows, w.up.transpose(-2, -1), offs=ends)
    if w.up_bias is not None:
        h = h.add_(w.up_bias[expert])
    y = F.grouped_mm(w.activate(h), w.down.transpose(-2, -1), offs=ends)
    if w.down_bias is not None:
        y = y.add_(w.down_bias[expert])
    y = y * weights.reshape(-1)[order].unsqueeze(-1)
    back = torch.empty_like(order)
    back[order] = torch.arange(order.shape[0], device=x.device)
    return y[back].view(x.shape[0], k, -1).sum(1).to(x.dtype)


def batched(
    w: ExpertWeights, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor, room: int = 0
) -> torch.Tensor:
    """Copy each row's expert weights and multiply row by row."""
    k = ids.shape[1]
    flat = ids.reshape(-1)
    rows = x.repeat_interleave(k, dim=0)
    h = torch.bmm(w.up[flat], rows.unsqueeze(-1)).squeeze(-1)
    if w.up_bias is not None:
        h = h.add_(w.up_bias[flat])
    y = torch.bmm(w.down[flat], w.activate(h).unsqueeze(-1)).squeeze(-1)
    if w.down_bias is not None:
        y = y.add_(w.down_bias[flat])
    y = y * weights.reshape(-1).unsqueeze(-1)
    return y.view(x.shape[0], k, -1).sum(1).to(x.dtype)


def padded(
    w: ExpertWeights, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor, room: int
) -> torch.Tensor:
    """Every expert gets `room` rows: short ones are padded, rows over it are dropped. Static shapes, no synchronisation."""
    tokens, k = ids.shape
    flat = ids.reshape(-1)
    place = F.one_hot(flat, w.experts).cumsum(0).gather(1, flat.unsqueeze(1)).squeeze(1) - 1
    kept = place < room
    slot = torch.where(kept, flat * room + place, w.experts * room)
    buffer = x.new_zeros((w.experts * room + 1, x.shape[1]))
    buffer.index_copy_(0, slot, x.repeat_interleave(k, dim=0))
    rows = buffer[:-1].view(w.experts, room, -1)
    h = torch.bmm(rows, w.up.transpose(1, 2))
    if w.up_bias is not None:
        h = h.add_(w.up_bias.unsqueeze(1))
    y = torch.bmm(w.activate(h), w.down.transpose(1, 2))
    if w.down_bias is not None:
        y = y.add_(w.down_bias.unsqueeze(1))
    back = y.view(w.experts * room, -1).index_select(0, slot.clamp(max=w.experts * room - 1))
    back = back * (weights.reshape(-1) * kept).unsqueeze(-1)
    return back.view(tokens, k, -1).sum(1).to(x.dtype)


STRATEGIES: dict[
    str, Callable[[ExpertWeights, torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]
] = {
    "grouped": grouped,
    "batched": batched,
    "padded": padded,
}


@dataclass(frozen=True)
class DenseExperts:
    """All of (or the first) experts as one feed-forward network, each with the same weight. Stacked once, before anything is timed.

    up [e * n, H]; down [H, e * i], already divided by the number of experts.
    """

    up: torch.Tensor
    down: torch.Tensor
    up_bias: torch.Tensor | None
    down_bias: torch.Tensor | None
    experts: int
    activate: Callable[[torch.Tensor], torch.Tensor]

    @classmethod
    def of(cls, w: ExpertWeights, experts: int) -> DenseExperts:
        """The first `experts` experts, weight 1 / experts each."""
        up, down = w.up[:experts], w.down[:experts]
        return cls(
            up.reshape(-1, up.shape[-1]).contiguous(),
            (down.permute(1, 0, 2).reshape(down.shape[1], -1) / experts).contiguous(),
            None if w.up_bias is None else w.up_bias[:experts].reshape(-1).contiguous(),
            None if w.down_bias is None else w.down_bias[:experts].mean(0),
            experts,
            w.activate,
        )

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        h = F.linear(x, self.up, self.up_bias)
        h = self.activate(h.view(x.shape[0], self.experts, -1)).flatten(1)
        return F.linear(h, self.down, self.down_bias)

    def named(self, site: str) -> dict[str, torch.Tensor]:
        """The stacked tensors under names of their own."""
        found: dict[str, Any] = {
            "up": self.up,
            "down": self.down,
            "up_bias": self.up_bias,
            "down_bias": self.down_bias,
        }
        return {f"{site}.dense_{self.experts}.{k}": v for k, v in found.items() if v is not None}
