"""Mixtures of experts that nobody here wrote.

They are captured, or refused with a line that says what was found and how to mark it.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import nn

import condsim
from condsim.errors import CondsimError
from condsim.trace import Trace


def package(name: str) -> Any:
    """The package, or a skip that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as e:
        pytest.skip(
            f"{name} cannot be imported ({e}): "
            f"pip install --no-deps {name.replace('_', '-')} and what it asks for"
        )


def refused(model: nn.Module, inputs: Any) -> str:
    """The error's one line."""
    with pytest.raises(CondsimError) as error:
        condsim.capture(model.eval(), inputs, measure=False)
    assert "\n" not in str(error.value)
    draws = "draws random numbers" in str(error.value)
    assert draws or "condsim.route" in str(error.value)
    return str(error.value)


def captured(model: nn.Module, inputs: list[torch.Tensor]) -> Trace:
    """The trace; its replay gives the model's own bits, and the model is as it was.

    But for the order of sums, where a mixture was found by value.
    """
    model.eval()
    trace = condsim.capture(model, inputs, measure=False)
    by_value = "found by their values" in " ".join(trace.header.notes)
    same = torch.allclose if by_value else torch.equal
    with torch.no_grad():
        own = [first(model(x)) for x in inputs]
        with condsim.force(model, trace):
            assert all(same(first(model(x)), y) for x, y in zip(inputs, own, strict=True))
        assert torch.equal(first(model(inputs[0])), own[0])
    assert condsim.simulate(trace, "nvidia-h100-sxm").speedup > 0
    return trace


def first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


def test_latent_moe_is_captured() -> None:
    found = package("latent_moe")
    torch.manual_seed(0)
    model = found.LatentMoE(
        found.LatentMoEConfig(d=32, m=16, n_experts=3, top_k=1, alpha=2, impl="loop")
    )
    trace = captured(model, [torch.randn(2, 5, 32) for _ in range(2)])
    assert [(s.name, s.mechanism, s.branches, s.top_k) for s in trace.sites] == [
        ("experts", "moe", 6, 2)
    ]
    assert {"looped", "grouped", "batched", "padded"} <= {
        k.partition("/")[0] for k in trace.programs
    }


def test_latent_moe_sorts_its_rows() -> None:
    found = package("latent_moe")
    model = found.LatentMoE(found.LatentMoEConfig(d=32, m=16, n_experts=4, top_k=1, alpha=2))
    trace = captured(model, [torch.randn(2, 5, 32) for _ in range(2)])
    (site,) = trace.sites
    assert (site.mechanism, site.branches) == ("moe", 8)


def test_pytorch_mixtures_is_captured() -> None:
    package("pytorch_mixtures")
    sizes = {
        "hidden_dim": 16,
        "intermediate_dim": 32,
        "num_experts": 4,
        "topk": 2,
        "dtype": torch.float32,
    }
    config = importlib.import_module("pytorch_mixtures.configs").MoEConfig(
        **sizes, expert_fn="ff", expert_act="silu", router_fn="topk", capacity_factor=None
    )
    torch.manual_seed(0)
    trace = captured(
        importlib.import_module("pytorch_mixtures.topk_moe").TopkMoE(config),
        [torch.randn(2, 6, 16) for _ in range(2)],
    )
    assert [(s.name, s.mechanism, s.branches, s.top_k) for s in trace.sites] == [
        ("experts", "moe", 4, 2)
    ]


def test_mixture_of_experts_draws_its_second_expert() -> None:
    found = package("mixture_of_experts")
    assert "draws random numbers" in refused(
        found.MoE(dim=16, num_experts=4), torch.randn(2, 8, 16)
    )


def test_st_moe_sends_dispatch_masks() -> None:
    found = package("st_moe_pytorch")
    assert "found experts (Experts)" in refused(
        found.MoE(dim=16, num_experts=4), torch.randn(2, 8, 16)
    )


def test_soft_moe_has_no_decisions() -> None:
    found = package("soft_moe_pytorch")
    assert "no routing found" in refused(
        found.SoftMoE(dim=16, seq_len=8, num_experts=4), torch.randn(2, 8, 16)
    )


def test_esmoe_has_unlike_experts() -> None:
    found = package("esmoe")
    assert "found experts (ModuleList)" in refused(
        found.ESMoE(4, 2, channels=8), torch.randn(3, 8, 12, 12)
    )


def test_sparrow_adds_noise_to_its_router() -> None:
    found = package("sparrow")
    layer = importlib.import_module("sparrow.layers").MoELayer(
        found.SparrowConfig(hidden_dim=16, num_experts=4)
    )
    assert "draws random numbers" in refused(layer, torch.randn(64, 16))


def test_a_model_without_routing() -> None:
    message = refused(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.randn(2, 4))
    assert message.startswith("no routing found in this model")
