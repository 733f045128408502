"""Decoders whose neurons are picked: rates that are published, kernels that read what is picked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import condsim
from condsim.catalogue import CATALOGUE, CatalogueModel
from condsim.catalogue.forms.sparse_decoder import _rates
from condsim.catalogue.parts.question import Question, trace_of
from condsim.trace import Trace

SPARSE = CatalogueModel(
    name="tiny-sparse",
    title="Tiny decoder with predictors",
    form="sparse_decoder",
    model_type="llama",
    config={
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 64,
        "hidden_act": "relu",
        "predictor_rank": 8,
        "active": 0.25,
        "hot": 0.43,
        "hot_holds": 0.8,
    },
    parameters=1e5,
    source="made",
    licence="none",
    routing="made",
)


@pytest.fixture(scope="module")
def trace(cache: Path) -> Trace:
    return trace_of(SPARSE, Question(batch=4, context=64))


def test_neurons_fire_as_often_as_published() -> None:
    config = CATALOGUE["prosparse-llama-2-7b"].config
    rates = _rates(config, config["intermediate_size"])
    assert rates.mean() == pytest.approx(config["active"], rel=0.01)
    hottest = np.sort(rates)[::-1][: round(config["hot"] * len(rates))]
    assert hottest.sum() / rates.sum() == pytest.approx(config["hot_holds"], abs=0.01)


def test_alike_layers_are_recorded_once_and_all_have_decisions(trace: Trace) -> None:
    assert [site.name for site in trace.sites] == [f"model.layers.{n}.mlp" for n in range(4)]
    shares = [trace.decisions(site.name).ids.mean() for site in trace.sites]
    assert np.mean(shares) == pytest.approx(0.25, abs=0.05)


def test_served_it_reads_what_is_picked(trace: Trace) -> None:
    prediction = condsim.simulate(trace, "nvidia-h100-sxm", runtime="served")
    assert prediction.strategy == "neuron_kernels"
    assert prediction.executed_flops < prediction.baseline_flops
