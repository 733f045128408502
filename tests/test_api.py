"""`condsim.capture`: it leaves the model as it was."""

from __future__ import annotations

import pytest
import torch
from gates.models import case

import condsim
from condsim.errors import CondsimError


def test_modules_are_put_back_into_their_modes() -> None:
    of = case("stranger-skips")
    body = of.model.get_submodule("blocks")
    body.train()
    try:
        trace = condsim.capture(of.model, of.inputs[:1], measure=False)
        assert body.training
        assert not of.model.training
    finally:
        of.model.eval()
    assert trace.name == "Skips"


def test_modes_are_put_back_after_an_error() -> None:
    model = torch.nn.Linear(3, 3)
    with pytest.raises(CondsimError, match="no routing found"):
        condsim.capture(model, torch.ones(2, 3), measure=False)
    assert model.training


def test_empty_inputs_are_refused() -> None:
    with pytest.raises(CondsimError, match="empty list"):
        condsim.capture(torch.nn.Linear(3, 3), [], measure=False)


class Counts(torch.nn.Module):
    """A layer that rows skip; a buffer is added to, and another one made anew."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.body = torch.nn.Linear(4, 1), torch.nn.Linear(4, 4)
        self.register_buffer("passes", torch.zeros(()))
        self.register_buffer("last", torch.zeros(1, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        self.last = x[:1].clone()
        keep = self.gate(x).squeeze(-1) > 0
        out = x.clone()
        out[keep] = self.body(x[keep])
        return out


def test_counts_that_a_model_keeps_are_put_back() -> None:
    torch.manual_seed(0)
    model = Counts().eval()
    last = model.last
    condsim.capture(model, torch.randn(8, 4), measure=False)
    assert model.passes == 0
    assert model.last is last
    assert not last.any()
