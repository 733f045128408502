"""Runnable forms of the strategies and baselines of a mixture of experts.

They run experts whose weights are stacked along a first dimension. The forms of the other
mechanisms are the selectors that `condsim.branch` yields. The forms are recorded, too: a variable
that kept a tensor for longer than it is needed would change the memory that a model needs.

Everywhere x [tokens, hidden] are the rows that arrive, ids [tokens, k] the experts of each, and
weights [tokens, k] their combination weights, in fp32 or as x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from condsim.registry import Registry


@dataclass(frozen=True)
class ExpertWeights:
    """The experts of one layer, E of them.

    up: [E, n, hidden]. down: [E, hidden, i]. up_bias: [E, n] or None. down_bias: [E, hidden] or
        None.
    activate: what stands between the projections, [..., n] → [..., i].
    """

    up: torch.Tensor
    down: torch.Tensor
    up_bias: torch.Tensor | None
    down_bias: torch.Tensor | None
    activate: Callable[[torch.Tensor], torch.Tensor]

    @property
    def experts(self) -> int:
        """How many there are."""
        return self.up.shape[0]

    def named(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors by name, each name with `prefix` in front."""
        return _named(prefix, self)


ExpertForm = Callable[
    [ExpertWeights, torch.Tensor, torch.Tensor, torch.Tensor, int],
    torch.Tensor,
]
"""(experts, x, ids, weights, room) → [tokens, hidden], in the dtype of x.

room: rows that an expert has room for, where the form has a limit.
"""
EXPERT_FORMS: Registry[ExpertForm] = Registry("form of experts")
"""Strategy → what runs it."""


@EXPERT_FORMS.register("grouped")
def grouped(
    experts: ExpertWeights, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor, room: int = 0
) -> torch.Tensor:
    """Sort the rows by expert, run one grouped matmul a projection, put the rows back."""
    k = ids.shape[1]
    expert, order = torch.sort(ids.reshape(-1))
    rows = x[order // k]
    ends = _ends(expert, experts.experts)
    hidden = F.grouped_mm(rows, experts.up.transpose(-2, -1), offs=ends)
    if experts.up_bias is not None:
        hidden = hidden.add_(experts.up_bias[expert])
    out = F.grouped_mm(experts.activate(hidden), experts.down.transpose(-2, -1), offs=ends)
    if experts.down_bias is not None:
        out = out.add_(experts.down_bias[expert])
    out = out * weights.reshape(-1)[order].unsqueeze(-1)
    back = torch.empty_like(order)
    back[order] = torch.arange(order.shape[0], device=x.device)
    return out[back].view(x.shape[0], k, -1).sum(1).to(x.dtype)


def _ends(expert: torch.Tensor, experts: int) -> torch.Tensor:
    """Where each expert's rows end in a sorted list of experts, int32 [experts]."""
    rows_per_expert = torch.histc(expert.float(), bins=experts, min=0, max=experts - 1)
    return torch.cumsum(rows_per_expert, 0, dtype=torch.int32)


@EXPERT_FORMS.register("batched")
def batched(
    experts: ExpertWeights, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor, room: int = 0
) -> torch.Tensor:
    """Copy each row's expert weights and multiply row by row."""
    k = ids.shape[1]
    expert = ids.reshape(-1)
    rows = x.repeat_interleave(k, dim=0)
    hidden = torch.bmm(experts.up[expert], rows.unsqueeze(-1))
    hidden = hidden.squeeze(-1)
    if experts.up_bias is not None:
        hidden = hidden.add_(experts.up_bias[expert])
    out = torch.bmm(experts.down[expert], experts.activate(hidden).unsqueeze(-1))
    out = out.squeeze(-1)
    if experts.down_bias is not None:
        out = out.add_(experts.down_bias[expert])
    out = out * weights.reshape(-1).unsqueeze(-1)
    return out.view(x.shape[0], k, -1).sum(1).to(x.dtype)


@EXPERT_FORMS.register("padded")
def padded(
    experts: ExpertWeights, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor, room: int
) -> torch.Tensor:
    """Give every expert `room` rows: pad short experts, drop the rows over it.

    Shapes are static, so that nothing is synchronised.
    """
    tokens, k = ids.shape
    slots = experts.experts * room
    expert = ids.reshape(-1)
    place = _places(expert, experts.experts)
    kept = place < room
    slot = torch.where(kept, expert * room + place, slots)
    buffer = x.new_zeros((slots + 1, x.shape[1]))
    buffer.index_copy_(0, slot, x.repeat_interleave(k, dim=0))
    rows = buffer[:-1].view(experts.experts, room, -1)
    hidden = torch.bmm(rows, experts.up.transpose(1, 2))
    if experts.up_bias is not None:
        hidden = hidden.add_(experts.up_bias.unsqueeze(1))
    out = torch.bmm(experts.activate(hidden), experts.down.transpose(1, 2))
    if experts.down_bias is not None:
        out = out.add_(experts.down_bias.unsqueeze(1))
    back = out.view(slots, -1).index_select(0, slot.clamp(max=slots - 1))
    back = back * (weights.reshape(-1) * kept).unsqueeze(-1)
    return back.view(tokens, k, -1).sum(1).to(x.dtype)


def _places(expert: torch.Tensor, experts: int) -> torch.Tensor:
    """How many rows of the same expert stand before each row, int [rows]."""
    rows_so_far = F.one_hot(expert, experts).cumsum(0).gather(1, expert.unsqueeze(1))
    return rows_so_far.squeeze(1) - 1


@dataclass(frozen=True)
class DenseExperts:
    """Several experts as one feed-forward network that averages their results.

    Made once, before anything is timed.
    up: [experts * n, hidden]. down: [hidden, experts * i], already divided by the number of
        experts. up_bias: [experts * n] or None. down_bias: [hidden] or None.
    activate: what stands between the projections, [..., n] → [..., i].
    """

    up: torch.Tensor
    down: torch.Tensor
    up_bias: torch.Tensor | None
    down_bias: torch.Tensor | None
    experts: int
    activate: Callable[[torch.Tensor], torch.Tensor]

    @classmethod
    def of(cls, weights: ExpertWeights, experts: int) -> DenseExperts:
        """The first so many experts of a layer.

        What shares memory with those is detached: PyTorch trains no tensor whose view is trained.
        """
        up = weights.up[:experts].detach()
        down = weights.down[:experts].permute(1, 0, 2)
        joined_up = up.reshape(-1, up.shape[-1])
        joined_down = down.reshape(down.shape[0], -1) / experts
        up_bias = down_bias = None
        if weights.up_bias is not None:
            up_bias = weights.up_bias[:experts].detach().reshape(-1).contiguous()
        if weights.down_bias is not None:
            down_bias = weights.down_bias[:experts].mean(0)
        return cls(
            joined_up.contiguous(),
            joined_down.contiguous(),
            up_bias,
            down_bias,
            experts,
            weights.activate,
        )

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        hidden = F.linear(x, self.up, self.up_bias)
        hidden = self.activate(hidden.view(x.shape[0], self.experts, -1))
        return F.linear(hidden.flatten(1), self.down, self.down_bias)

    def named(self, site: str) -> dict[str, torch.Tensor]:
        """The tensors by a name that says whose experts they join, and how many."""
        return _named(f"{site}.dense_{self.experts}", self)


def _named(prefix: str, experts: ExpertWeights | DenseExperts) -> dict[str, torch.Tensor]:
    tensors = {
        "up": experts.up,
        "down": experts.down,
        "up_bias": experts.up_bias,
        "down_bias": experts.down_bias,
    }
    return {f"{prefix}.{name}": t for name, t in tensors.items() if t is not None}


class DenseForms:
    """The dense networks of one site's experts, each made when it is first asked for."""

    def __init__(self, site: str) -> None:
        self.site = site
        self._by_count: dict[int, DenseExperts] = {}

    def first(self, experts: int, weights: Callable[[], ExpertWeights]) -> DenseExperts:
        """The first so many experts as one network, which can be trained later.

        weights: gives those of the layer.
        """
        if experts not in self._by_count:
            with torch.inference_mode(False), torch.no_grad():
                self._by_count[experts] = DenseExperts.of(weights(), experts)
        return self._by_count[experts]

    def named(self) -> dict[str, torch.Tensor]:
        """All their tensors by name."""
        tensors: dict[str, torch.Tensor] = {}
        for dense in self._by_count.values():
            tensors |= dense.named(self.site)
        return tensors
