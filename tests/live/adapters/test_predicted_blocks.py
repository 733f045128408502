"""Feed-forwards whose blocks a predictor picks, written without a mark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim.errors import CondsimError


class Base(nn.Module):
    """[rows, 12] → [rows, 12], 6 blocks of 4."""

    threshold = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Linear(12, 6)
        self.up, self.down = nn.Linear(12, 24, bias=False), nn.Linear(24, 12)
        with torch.no_grad():
            self.scores.weight *= 4


class Union(Base):
    """The batch's union of blocks runs for every row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cut = (self.scores(x) > 1.5).any(0).nonzero().flatten()
        neurons = (cut[:, None] * 4 + torch.arange(4)).flatten()
        return F.linear(
            F.gelu(x @ self.up.weight[neurons].t()), self.down.weight[:, neurons], self.down.bias
        )


class Zeroed(Base):
    """All neurons run, and those of unwanted blocks are multiplied by zero."""

    def __init__(self) -> None:
        super().__init__()
        self.sparsity_threshold = 0.6

    def forward(self, x: torch.Tensor) -> Any:
        wanted = torch.sigmoid(self.scores(x)) > self.sparsity_threshold
        h = F.silu(self.up(x))
        return self.down((h.view(-1, 6, 4) * wanted.unsqueeze(-1)).flatten(1))


class Odd(Base):
    """A form that nobody would guess."""

    def forward(self, x: torch.Tensor) -> Any:
        return self.down(
            F.relu(self.up(x)) * self.scores(x).cos().round().repeat_interleave(4, dim=1)
        )


def captured(model: nn.Module) -> Any:
    inputs = list(torch.randn(3, 8, 12))
    with torch.no_grad():
        before = [model(x) for x in inputs]
    trace = condsim.capture(model.eval(), inputs, measure=False)
    with torch.no_grad():
        assert all(torch.equal(a, model(x)) for a, x in zip(before, inputs, strict=True))
    assert not any("forward" in m.__dict__ for m in model.modules())
    return trace


def strategies(trace: Any) -> set[str]:
    return {k.partition("/")[0] for k in trace.programs}


def test_masked_blocks_are_read() -> None:
    torch.manual_seed(0)
    model = Zeroed()
    trace = captured(model)
    assert trace.header.captured == {"sparse_activation": "masked"}
    assert strategies(trace) == {"masked", "gathered", "same-params", "same-flops"}
    (site,) = trace.sites
    assert (site.mechanism, site.branches) == ("sparse_activation", 6)
    torch.manual_seed(0)
    model, x = Zeroed(), torch.randn(3, 8, 12)
    with torch.no_grad():
        wanted = torch.cat([torch.sigmoid(model.scores(batch)) > 0.6 for batch in x])
    assert np.array_equal(trace.decisions(site.name).ids, wanted.numpy())


def test_a_union_for_all_rows_offers_what_gives_the_same_result() -> None:
    torch.manual_seed(1)

    class Thresholded(Union):
        def __init__(self) -> None:
            super().__init__()
            self.block_threshold = 1.5

    trace = captured(Thresholded())
    assert trace.header.captured == {"sparse_activation": "gathered"}
    assert strategies(trace) == {"gathered", "same-params", "same-flops"}
    assert "logits > 1.5, gelu, gathered for all rows alike" in trace.header.notes[0]


def test_another_form_is_refused_with_what_was_found() -> None:
    with pytest.raises(
        CondsimError,
        match=r"ffn: a predictor of 6 blocks beside a feed-forward of 24 neurons, "
        r"in none of the usual forms.*condsim\.route",
    ):
        condsim.capture(Odd().eval(), torch.randn(8, 12), measure=False)
