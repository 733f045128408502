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
