"""A model that gives another result for the same input is no model that a trace can stand for."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from condsim.capture.repeatable import own_result
from condsim.errors import CondsimError
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel


class Jitter(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.empty_like(x).uniform_(0.99, 1.01)


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.add_(x.mean(0).abs())
        return x + self.seen


class Flips(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * random.random()


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (Jitter, "it draws random numbers"),
        (Counts, "it keeps a state"),
        (Flips, "it keeps a state"),
    ],
)
def test_the_module_that_differs_is_named(odd: type[nn.Module], why: str) -> None:
    model = nn.Sequential(nn.Linear(4, 4), odd(), nn.Linear(4, 2)).eval()
    with pytest.raises(CondsimError, match=f"^1 gives another result for the same input.*{why}"):
        own_result(LiveModel.of(model), as_batches(torch.randn(3, 4))[0])


def test_noise_that_changes_nothing_is_accepted() -> None:
    class Draws(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.rand(3)
            return 2 * x

    x = torch.randn(3, 4)
    (own,) = own_result(LiveModel.of(Draws()), as_batches(x)[0])
    assert torch.equal(own, 2 * x)


class InPlace(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x[x > 0] += 1
        return x * 2


class Normalises(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sub_(x.mean()).div_(x.std())


@pytest.mark.parametrize("odd", [InPlace, Normalises])
def test_inputs_that_are_changed_are_put_back(odd: type[nn.Module]) -> None:
    x = torch.randn(3, 4)
    before = x.clone()
    with pytest.raises(CondsimError, match="changes its inputs in place"):
        own_result(LiveModel.of(odd()), as_batches(x)[0])
    assert torch.equal(x, before)
