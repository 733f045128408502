"""Experts that are modules of their own, stacked."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from condsim.live.execution import Execution, executing
from condsim.live.expert_forms import EXPERT_FORMS
from condsim.live.experts import Experts

EXPERTS, WIDTH = 3, 8
"""Grouped matmuls want rows of a multiple of 16 bytes."""


def modules() -> list[nn.Module]:
    torch.manual_seed(0)
    return [
        nn.Sequential(nn.Linear(WIDTH, 12), nn.GELU(), nn.Linear(12, WIDTH)) for _ in range(EXPERTS)
    ]


@pytest.mark.parametrize("strategy", EXPERT_FORMS)
def test_every_form_gives_what_the_modules_give(strategy: str) -> None:
    experts, x = modules(), torch.randn(5, WIDTH)
    ids = torch.tensor([[0], [1], [2], [1], [0]])
    site = Experts("moe", experts, x)
    with torch.inference_mode(), executing(Execution(room=5)):
        out = site.run(strategy, x, ids)
        expected = torch.stack([experts[int(i)](row) for i, row in zip(ids, x, strict=True)])
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize(("baseline", "count"), [("same-params", EXPERTS), ("same-flops", 2)])
def test_baselines_average_all_experts_or_the_first(baseline: str, count: int) -> None:
    experts, x = modules(), torch.randn(5, WIDTH)
    site = Experts("moe", experts, x)
    site.top_k = 2
    with torch.inference_mode():
        out = site.run(baseline, x, None)
        mean = torch.stack([expert(x) for expert in experts[:count]]).mean(0)
    torch.testing.assert_close(out, mean)


def test_only_the_baseline_in_force_is_built() -> None:
    site = Experts("moe", modules(), torch.randn(5, WIDTH))
    stacked = ["up", "down", "up_bias", "down_bias"]
    assert list(site.named()) == [f"moe.stacked.{name}" for name in stacked]
    site.prepare(Execution({"moe": "same-params"}))
    assert set(site.named()) > {f"moe.dense_{EXPERTS}.up", "moe.stacked.up"}


def test_experts_of_another_structure_are_not_stacked() -> None:
    normalised: list[nn.Module] = [
        nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)) for _ in range(EXPERTS)
    ]
    site = Experts("moe", normalised, torch.randn(5, WIDTH))
    assert not site.stacks
    site.prepare(Execution({"moe": "same-params"}))
    assert site.named() == {}
