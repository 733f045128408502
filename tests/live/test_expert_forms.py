"""Runnable forms of the mixture-of-experts strategies and baselines."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from condsim.live.expert_forms import EXPERT_FORMS, DenseExperts, DenseForms, ExpertWeights

EXPERTS, WIDTH, INNER, TOKENS, TOP_K = 4, 8, 16, 6, 2


def layer(biased: bool) -> ExpertWeights:
    torch.manual_seed(0)
    return ExpertWeights(
        torch.randn(EXPERTS, INNER, WIDTH),
        torch.randn(EXPERTS, WIDTH, INNER),
        torch.randn(EXPERTS, INNER) if biased else None,
        torch.randn(EXPERTS, WIDTH) if biased else None,
        F.silu,
    )


def expert(experts: ExpertWeights, number: int, x: torch.Tensor) -> torch.Tensor:
    """One expert's result, plainly."""
    up_bias = None if experts.up_bias is None else experts.up_bias[number]
    down_bias = None if experts.down_bias is None else experts.down_bias[number]
    hidden = F.linear(x, experts.up[number], up_bias)
    return F.linear(F.silu(hidden), experts.down[number], down_bias)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("strategy", EXPERT_FORMS)
def test_every_form_is_the_weighted_sum_of_a_rows_experts(strategy: str, biased: bool) -> None:
    experts = layer(biased)
    x, weights = torch.randn(TOKENS, WIDTH), torch.rand(TOKENS, TOP_K)
    ids = torch.stack([torch.randperm(EXPERTS)[:TOP_K] for _ in range(TOKENS)])
    expected = torch.zeros(TOKENS, WIDTH)
    for token in range(TOKENS):
        for slot in range(TOP_K):
            result = expert(experts, int(ids[token, slot]), x[token])
            expected[token] += weights[token, slot] * result
    out = EXPERT_FORMS[strategy](experts, x, ids, weights, TOKENS)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


def test_padded_drops_rows_over_the_room() -> None:
    experts = layer(biased=False)
    x, weights = torch.randn(TOKENS, WIDTH), torch.ones(TOKENS, 1)
    ids = torch.zeros(TOKENS, 1, dtype=torch.int64)
    out = EXPERT_FORMS["padded"](experts, x, ids, weights, 4)
    torch.testing.assert_close(out[:4], expert(experts, 0, x[:4]))
    assert bool((out[4:] == 0).all())


@pytest.mark.parametrize("strategy", EXPERT_FORMS)
def test_outputs_are_in_the_dtype_of_the_inputs(strategy: str) -> None:
    """Routers often give their weights in fp32."""
    experts = ExpertWeights(
        torch.randn(EXPERTS, INNER, WIDTH).bfloat16(),
        torch.randn(EXPERTS, WIDTH, INNER).bfloat16(),
        None,
        None,
        F.silu,
    )
    x = torch.randn(TOKENS, WIDTH).bfloat16()
    ids = torch.randint(0, EXPERTS, (TOKENS, TOP_K))
    with torch.inference_mode():
        out = EXPERT_FORMS[strategy](experts, x, ids, torch.rand(TOKENS, TOP_K), TOKENS)
    assert out.dtype == torch.bfloat16


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("count", [1, 2, EXPERTS])
def test_the_dense_network_is_the_mean_of_its_experts(count: int, biased: bool) -> None:
    experts, x = layer(biased), torch.randn(TOKENS, WIDTH)
    results = [expert(experts, number, x) for number in range(count)]
    mean = torch.stack(results).mean(0)
    torch.testing.assert_close(DenseExperts.of(experts, count)(x), mean, rtol=1e-4, atol=1e-4)


def test_a_dense_network_is_made_once() -> None:
    experts = layer(biased=False)
    dense = DenseForms("moe")
    assert dense.first(2, lambda: experts) is dense.first(2, lambda: experts)
    dense.first(EXPERTS, lambda: experts)
    names = ["moe.dense_2.up", "moe.dense_2.down", "moe.dense_4.up", "moe.dense_4.down"]
    assert list(dense.named()) == names


def test_a_dense_network_is_trained_beside_the_weights_that_it_is_a_view_of() -> None:
    experts = layer(biased=True)
    with torch.no_grad():
        dense = DenseExperts.of(experts, experts.experts)
    trained = [*experts.named("own").values(), *dense.named("dense").values()]
    for tensor in trained:
        tensor.requires_grad_(True)
    optimizer = torch.optim.SGD(trained, lr=0.1)
    for _ in range(2):
        dense(torch.randn(3, experts.up.shape[-1])).sum().backward()
        optimizer.step()
    assert dense.up.grad is not None
