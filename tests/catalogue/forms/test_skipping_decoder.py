"""Decoders whose tokens jump over layers: as many as published, and what the others still run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import condsim
from condsim.catalogue import CATALOGUE, CatalogueModel
from condsim.catalogue.parts.question import Question, trace_of
from condsim.trace import Trace

SKIPPING = CatalogueModel(
    name="tiny-skipping",
    title="Tiny decoder with routers",
    form="skipping_decoder",
    model_type="llama",
    config={
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 64,
        "first": 2,
        "router": 8,
        "adapter": 12,
        "skipped": 1,
    },
    parameters=1e5,
    source="made",
    licence="none",
    routing="made",
)
ENTERED = 2 * (2 * 32 * 32 + 3 * 32 * 64)
"""FLOPs of a token that enters: query, output projection and three matrices."""
JUMPED = 2 * 3 * 32 * 12
"""Of one that does not: the adapter."""


@pytest.fixture(scope="module")
def trace(cache: Path) -> Trace:
    return trace_of(SKIPPING, Question(batch=64, context=64))


def test_tokens_enter_as_often_as_published(trace: Trace) -> None:
    assert [site.name for site in trace.sites] == [f"model.layers.{n}.router" for n in (2, 3)]
    shares = [trace.decisions(site.name).ids.mean() for site in trace.sites]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_a_token_that_jumps_over_a_layer_runs_its_adapter(trace: Trace) -> None:
    for site in trace.sites:
        assert site.branch_flops == (JUMPED, ENTERED)
    prediction = condsim.simulate(trace, "nvidia-h100-sxm", runtime="eager")
    assert prediction.strategy == "compacted"
    assert prediction.executed_flops < prediction.baseline_flops


def test_one_of_the_catalogue_has_its_published_share() -> None:
    config = CATALOGUE["flexidepth-llama-3-8b"].config
    assert config["num_hidden_layers"] - config["first"] == 16
    assert config["skipped"] == 8
