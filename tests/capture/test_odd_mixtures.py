"""Mixtures in odd states are captured as they run: FLOPs as counted, decisions as the router's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.flop_counter import FlopCounterMode

import condsim

WIDTH, EXPERTS, TOP_K, ROWS = 32, 4, 2, 16


def dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, WIDTH))


class Adapted(nn.Module):
    """A linear layer beside which two small ones add something."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(WIDTH, WIDTH)
        self.down, self.up = nn.Linear(WIDTH, 4, bias=False), nn.Linear(4, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + 2.0 * self.up(self.down(x))


def normed() -> nn.Module:
    return nn.Sequential(weight_norm(nn.Linear(WIDTH, 64)), nn.ReLU(), nn.Linear(64, WIDTH))


class Mixture(nn.Module):
    """Its router is a method that is called like condsim's mark."""

    def __init__(self, expert: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(expert() for _ in range(EXPERTS))

    def route(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weights, ids = self.gate(x).softmax(-1).topk(TOP_K, -1)
        return weights / weights.sum(-1, keepdim=True), ids

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = self.route(x)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, slots = torch.where(ids == number)
            if len(rows):
                out.index_add_(0, rows, weights[rows, slots, None] * expert(x[rows]))
        return out


def in_training_mode() -> Mixture:
    mixture = Mixture(dropping)
    mixture.train()
    return mixture


def with_one_expert_twice() -> Mixture:
    mixture = Mixture(dropping)
    mixture.experts[1] = mixture.experts[0]
    return mixture.eval()


def behind_a_hook() -> Mixture:
    mixture = Mixture(dropping)
    mixture.gate.register_forward_hook(lambda _, __, scores: scores + torch.arange(EXPERTS) / 2)
    return mixture.eval()


@pytest.mark.parametrize(
    "make",
    [
        in_training_mode,
        lambda: Mixture(Adapted).eval(),
        pytest.param(with_one_expert_twice, marks=pytest.mark.slow),
        pytest.param(lambda: Mixture(normed).eval(), marks=pytest.mark.slow),
        pytest.param(behind_a_hook, marks=pytest.mark.slow),
        pytest.param(lambda: Mixture(Adapted).to(torch.bfloat16).eval(), marks=pytest.mark.slow),
    ],
)
def test_it_is_captured_as_it_runs(make: Callable[[], Mixture]) -> None:
    torch.manual_seed(0)
    mixture = make()
    dtype = mixture.gate.weight.dtype
    batches = [torch.randn(ROWS, WIDTH, dtype=dtype) for _ in range(3)]
    trace = condsim.capture(mixture, batches, measure=False)
    training = mixture.training
    mixture.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        chosen = [mixture.route(batch)[1] for batch in batches]
        routed = counted.get_total_flops()
        for batch in batches:
            mixture(batch)
    mixture.train(training)
    of_steps = (counted.get_total_flops() - routed) / len(batches)
    assert condsim.simulate(trace, "raspberry-pi-5").executed_flops == pytest.approx(of_steps)
    (site,) = trace.sites
    ids = trace.decisions(site.name).ids
    assert np.array_equal(np.sort(ids), np.sort(torch.cat(chosen).numpy()))
