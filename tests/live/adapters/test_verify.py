"""A lifted forward stands in for the module's own only where both give the same bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from condsim.live.adapters.own_forward import OwnForward
from condsim.live.adapters.verify import check_same_result, offer_strategies
from condsim.live.lift.lifted import Lifted
from condsim.mechanisms import MECHANISMS


class Skipped(nn.Module):
    """Rows [batch, 6]; a layer that rows enter where the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.body = nn.Linear(6, 1), nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        enters = self.gate(x).squeeze(-1) > 0
        return torch.where(enters[:, None], self.body(x), x)


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(9, 6)


@pytest.fixture
def lifted(x: torch.Tensor) -> Lifted:
    torch.manual_seed(1)
    model = Skipped().eval()
    site = OwnForward("layer", model)
    with torch.inference_mode(), site.installed():
        model(x)
    assert site.lifted is not None
    return site.lifted


@torch.inference_mode()
def test_the_modules_own_strategy_comes_first(lifted: Lifted) -> None:
    offer_strategies(lifted)
    assert lifted.offers["skip"][0] == "masked"
    assert set(lifted.offers["skip"]) == set(MECHANISMS["skip"].marked)
    assert lifted.left_out == {}


@torch.inference_mode()
def test_the_own_forward_is_accepted_and_another_one_is_not(
    lifted: Lifted, x: torch.Tensor
) -> None:
    own = lifted.host.forward
    check_same_result(lifted, own, (x,), {})

    def another(rows: torch.Tensor) -> Any:
        return own(rows) * 1.0001

    with pytest.raises(Exception, match="does not give its own output"):
        check_same_result(lifted, another, (x,), {})
