"""Gates that are spread: a mean and a deviation while training, one linear layer afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from condsim.zoo.spread import Spread


def test_logits_get_a_mean_and_a_deviation() -> None:
    torch.manual_seed(0)
    logits = 7 + 3 * torch.randn(512, 2)
    spread = Spread(2, centre=-1.0, reach=0.5)(logits)
    assert spread.mean(0).tolist() == pytest.approx([-1.0, -1.0], abs=1e-4)
    assert spread.std(0).tolist() == pytest.approx([1.0, 1.0], abs=1e-2)


def test_a_folded_layer_gives_spread_logits() -> None:
    torch.manual_seed(0)
    linear, spread = nn.Linear(5, 3), Spread(3, centre=0.2, reach=1.0)
    x = torch.randn(256, 5)
    with torch.no_grad():
        spread.shift.copy_(torch.tensor([0.3, 0.0, -2.0]))
        for _ in range(20):
            spread(linear(x))
        expected = spread.eval()(linear(x))
        spread.fold(linear)
        assert torch.allclose(linear(x), expected, atol=1e-5)
