"""Models by name: the path from a configuration to an answer, on tiny ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_models import DENSE, MIXTURE, SIZES

import condsim
from condsim.catalogue import CATALOGUE, CatalogueModel
from condsim.catalogue.parts.answer import answer_about
from condsim.catalogue.parts.loads import loads_of
from condsim.catalogue.parts.programs import build, programs_of
from condsim.catalogue.parts.question import Question, trace_of
from condsim.catalogue.parts.rivals import rivals_of, runtime_of
from condsim.errors import CondsimError
from condsim.predict.prediction import Prediction
from condsim.routing.published import STATISTICS
from condsim.trace import Trace

SHARED = CatalogueModel(
    name="tiny-shared",
    title="Tiny mixture with a shared expert",
    model_type="qwen2_moe",
    config={
        **SIZES,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 64,
        "decoder_sparse_step": 1,
    },
    parameters=1e5,
    source="made",
    licence="none",
    routing="mixtral",
)
QUESTION = Question(batch=4, context=64)
GPU = "nvidia-h200-sxm"


@pytest.fixture(scope="module")
def trace(cache: Path) -> Trace:
    return trace_of(MIXTURE, QUESTION)


def test_a_model_is_recorded_once_and_opened_afterwards(trace: Trace, cache: Path) -> None:
    recorded: list[str] = []
    again = programs_of(MIXTURE, QUESTION.regime, recorded.append)
    assert recorded == []
    assert set(again.programs) == set(trace.programs)
    assert len(trace.sites) == MIXTURE.config["num_hidden_layers"]
    assert list(cache.rglob("trace.json"))


def test_the_answer_says_how_it_runs_and_where_its_routing_is_from(trace: Trace) -> None:
    prediction = condsim.simulate(trace, GPU, runtime="served")
    assert prediction.strategy == "fused"
    said = " ".join(prediction.notes)
    assert "fused expert kernels in CUDA graphs" in said
    assert "drawn from generator 'mixtral'" in said
    assert (prediction.batch, prediction.phase) == (4, "decode")


def test_dense_rivals_stand_on_the_same_device(trace: Trace) -> None:
    profile = condsim.hardware(GPU)
    prediction = condsim.simulate(trace, profile, runtime="served")
    (rival,) = rivals_of(MIXTURE, prediction, profile, QUESTION)
    assert rival.speedup == pytest.approx(rival.step.latency_s / prediction.latency_s)
    assert 0 < rival.step.latency_s < prediction.latency_s
    assert rival.why == "as wide"


def test_a_rival_runs_as_it_is_served_where_nobody_serves_the_model() -> None:
    gpu, cpu = condsim.hardware(GPU), condsim.hardware("raspberry-pi-5")
    skipping, dense = CATALOGUE["flexidepth-llama-3-8b"], CATALOGUE["llama-3.1-8b"]
    assert runtime_of(dense, skipping, "eager", gpu) == "served"
    assert runtime_of(dense, skipping, "eager", cpu) == "eager"
    assert runtime_of(dense, MIXTURE, "eager", gpu) == "eager"


def test_a_longer_context_takes_longer_and_more_memory() -> None:
    answers = []
    for context in (64, 65536):
        longer = trace_of(MIXTURE, Question(batch=4, context=context))
        answers.append(condsim.simulate(longer, GPU, runtime="served"))
    short, long = answers
    assert long.latency_s > short.latency_s
    of_position = 2 * 2 * 8 * 5 * 2  # keys and values, 2 heads of 8, 5 layers, 2 bytes
    assert short.memory.caches_bytes == 4 * 64 * of_position
    assert long.memory.caches_bytes == 4 * 65536 * of_position
    assert short.memory.weights_bytes == long.memory.weights_bytes


def test_what_does_not_fit_says_what_would() -> None:
    huge = condsim.simulate(
        trace_of(MIXTURE, Question(batch=1024, context=1_000_000)), GPU, runtime="served"
    )
    assert not huge.memory.fits
    assert any("such devices" in way for way in huge.memory.ways_out)
    assert any("a smaller batch or context" in way for way in huge.memory.ways_out)


def test_a_dense_model_and_odd_questions_are_refused() -> None:
    with pytest.raises(CondsimError, match="'tiny-dense' is dense"):
        trace_of(DENSE, QUESTION)
    with pytest.raises(CondsimError, match="batch must be a whole number of at least 1, got 0"):
        Question(batch=0)
    with pytest.raises(CondsimError, match="phase must be prefill or decode"):
        Question(phase="training")


def test_every_model_names_what_there_is() -> None:
    conditional = [model for model in CATALOGUE.values() if model.conditional]
    dense = [model for model in CATALOGUE.values() if not model.conditional]
    assert len(conditional) >= 14
    assert len(dense) >= 8
    for model in conditional:
        assert model.form != "decoder" or model.routing in STATISTICS
        assert model.rivals
        assert all(not CATALOGUE[rival].conditional for rival in model.rivals)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CATALOGUE))
def test_configurations_have_the_published_parameters(name: str) -> None:
    model = CATALOGUE[name]
    parameters = sum(tensor.numel() for tensor in build(model).parameters())
    assert parameters == pytest.approx(model.parameters, rel=0.02)


@pytest.mark.usefixtures("cache")
def test_devices_that_share_a_model_stand_beside_copies_of_its_rivals() -> None:
    profile = condsim.hardware(GPU)
    question = Question(batch=2, context=64, ranks=2)
    answered = answer_about(MIXTURE, question, profile, parallel=condsim.Parallel(expert=2))
    assert answered.prediction.devices["units"].tolist() == [1, 1]
    (shared,) = answered.rivals
    assert shared.why == "as wide; a copy on each of 2 devices"
    (alone,) = rivals_of(MIXTURE, answered.prediction, profile, question.of_a_copy)
    assert shared.step.latency_s == alone.step.latency_s


@pytest.mark.usefixtures("cache")
def test_loads_are_of_all_devices_together() -> None:
    question = Question(batch=2, context=64, ranks=2)
    parallel = condsim.Parallel(expert=2)
    asked = (MIXTURE, question, condsim.hardware(GPU), "fused", "same-params")
    loads = list(loads_of(*asked, parallel=parallel))
    assert [load.batch for load in loads] == [2, 16, 128]
    assert loads[0].latency_s < loads[-1].latency_s


@pytest.mark.usefixtures("cache")
def test_shared_experts_run_beside_exchanges() -> None:
    question = Question(batch=8, context=64, ranks=2)
    trace = trace_of(SHARED, question)

    def spread(overlap: str | None) -> Prediction:
        parallel = condsim.Parallel(expert=2, overlap=overlap)
        return condsim.simulate(trace, GPU, runtime="served", batch=8, parallel=parallel)

    in_turn, beside = spread(None), spread("shared-experts")
    assert beside.latency_s < in_turn.latency_s
    assert beside.waterfall["factor"].prod() == pytest.approx(beside.speedup, rel=1e-12)
    assert "rank 0, beside exchanges" in set(beside.timeline["lane"])
    assert "rank 0, beside exchanges" not in set(in_turn.timeline["lane"])


def test_nothing_is_overlapped_without_shared_experts(trace: Trace) -> None:
    parallel = condsim.Parallel(expert=2, overlap="shared-experts")
    with pytest.raises(CondsimError, match="has no shared experts; leave overlap out"):
        condsim.simulate(trace, GPU, runtime="served", parallel=parallel)
    with pytest.raises(CondsimError, match="unknown overlap 'halves'"):
        condsim.Parallel(expert=2, overlap="halves")
