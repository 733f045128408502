"""Mixtures of experts that nobody here wrote: captured, or refused with a line that says what was found and how to mark it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import nn

import condsim
from condsim.errors import CondsimError


def package(name: str) -> Any:
    """The package, or a skip that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as e:
        pytest.skip(f"{name} cannot be imported ({e}): pip install --no-deps {name.replace('_', '-')} and what it asks for")


def refused(model: nn.Module, inputs: Any) -> str:
    """The error's one line."""
    with pytest.raises(CondsimError) as error:
        condsim.capture(model.eval(), inputs, measure=False)
    assert "\n" not in str(error.value)
    assert "condsim.route" in str(error.value)
    return str(error.value)


def test_latent_moe_does_more_than_its_experts() -> None:
    found = package("latent_moe")
    model = found.LatentMoE(found.LatentMoEConfig(d=32, m=16, n_experts=4, top_k=1, alpha=2))
    assert "8 experts behind a gate, and w_down, w_up" in refused(model, torch.randn(2, 5, 32))


def test_mixture_of_experts_sends_dispatch_masks() -> None:
    found = package("mixture_of_experts")
    assert "found experts (Experts)" in refused(found.MoE(dim=16, num_experts=4), torch.randn(2, 8, 16))


def test_st_moe_sends_dispatch_masks() -> None:
    found = package("st_moe_pytorch")
    assert "found experts (Experts)" in refused(found.MoE(dim=16, num_experts=4), torch.randn(2, 8, 16))


def test_soft_moe_has_no_decisions() -> None:
    found = package("soft_moe_pytorch")
    assert "no routing found" in refused(found.SoftMoE(dim=16, seq_len=8, num_experts=4), torch.randn(2, 8, 16))


def test_esmoe_has_unlike_experts() -> None:
    found = package("esmoe")
    assert "found experts (ModuleList)" in refused(found.ESMoE(4, 2, channels=8), torch.randn(3, 8, 12, 12))


def test_sparrow_runs_every_expert_on_every_row() -> None:
    found = package("sparrow")
    layer = importlib.import_module("sparrow.layers").MoELayer(found.SparrowConfig(hidden_dim=16, num_experts=4))
    assert "found experts (ModuleList)" in refused(layer, torch.randn(6, 16))


def test_a_model_without_routing() -> None:
    message = refused(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.randn(2, 4))
    assert message.startswith("no routing found in this model")
