"""Experts whose matrices lie one under the other, as DBRX has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim.errors import CondsimError
from condsim.live.adapters.flat_projections import flat_projections

EXPERTS, WIDTH, INNER, TOP_K = 4, 16, 16, 2


class Experts(nn.Module):
    """Experts on [units, positions, hidden]. scale: what is computed beside the projections."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.num_experts = EXPERTS
        self.scale = scale
        self.w1 = nn.Parameter(torch.randn(EXPERTS * INNER, WIDTH) / 4)
        self.v1 = nn.Parameter(torch.randn(EXPERTS * INNER, WIDTH) / 4)
        self.w2 = nn.Parameter(torch.randn(EXPERTS * INNER, WIDTH) / 4)
        self.activation_fn = F.silu

    def forward(self, x: torch.Tensor, top_k_index: Any, top_k_weights: Any) -> torch.Tensor:
        rows = x.reshape(-1, WIDTH)
        out = torch.zeros_like(rows)
        took = F.one_hot(top_k_index, EXPERTS).permute(2, 1, 0)
        for (number,) in took.sum((-1, -2)).greater(0).nonzero():
            slot, hit = torch.where(took[number])
            w1, v1, w2 = (
                w.view(EXPERTS, INNER, WIDTH)[number] for w in (self.w1, self.v1, self.w2)
            )
            inner = self.activation_fn(rows[hit] @ w1.T) * (rows[hit] @ v1.T)
            out.index_add_(0, hit, inner @ w2 * top_k_weights[hit, slot, None])
        return (self.scale * out).view(x.shape)


class Model(nn.Module):
    """One such layer behind a router."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(32, WIDTH)
        self.router = nn.Linear(WIDTH, EXPERTS)
        self.experts = Experts(scale)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        weights, chosen = self.router(x.flatten(0, 1)).softmax(-1).topk(TOP_K)
        result: torch.Tensor = x + self.experts(x, chosen, weights)
        return result


def test_the_projections_are_views_in_the_order_of_use() -> None:
    experts = Experts()
    found = flat_projections(experts)
    assert found is not None
    assert (found.experts, found.gated) == (EXPERTS, True)
    up, down = found.first(3)
    assert up.shape == (3, 2 * INNER, WIDTH)
    assert torch.equal(up[1, :INNER], experts.w1[INNER : 2 * INNER])
    assert torch.equal(down[2], experts.w2[2 * INNER : 3 * INNER].T)
    assert flat_projections(nn.Linear(4, 4)) is None


def test_they_are_captured_with_all_strategies() -> None:
    torch.manual_seed(0)
    model, ids = Model().eval(), torch.randint(0, 32, (3, 10))
    trace = condsim.capture(model, ids, measure=False)
    (site,) = trace.sites
    assert (site.branches, site.top_k) == (EXPERTS, TOP_K)
    with torch.no_grad():
        own = model.router(model.embed(ids).flatten(0, 1)).topk(TOP_K).indices
    assert np.array_equal(trace.decisions(site.name).ids, own.numpy())
    strategies = {name.partition("/")[0] for name in trace.programs}
    assert {"looped", "grouped", "batched", "padded", "same-params"} <= strategies
    assert site.branch_flops[0] == 6 * WIDTH * INNER


def test_what_computes_something_beside_is_refused() -> None:
    torch.manual_seed(0)
    with pytest.raises(CondsimError, match="give another result"):
        condsim.capture(Model(scale=2.0).eval(), torch.randint(0, 32, (3, 10)), measure=False)
