"""Serving traces: prices are condsim's own, results repeat, and what cannot be is refused."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.serve.outcome import Limits
from condsim.serve.requests import Lengths, Requests, bursts, poisson
from condsim.serve.serving import Serving
from condsim.trace import Trace

CPU, GPU = "amd-epyc-9655", "nvidia-h100-sxm"


@cache
def shipped(name: str) -> Trace:
    return condsim.load(resource("traces") / name)


def at_once(count: int) -> Requests:
    return bursts(count, 1.0, count)


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("name", ["exit-fashion", "skip-fashion", "moe-bytes"])
def test_a_batch_of_everyone_costs_what_simulate_says(name: str, device: str) -> None:
    """The dense sides decide nothing, so one full batch must be a step of `simulate`."""
    trace = shipped(name)
    served = condsim.serve(trace, device, at_once(8), max_batch=8)
    for baseline in ("same-params", "same-flops"):
        predicted = condsim.simulate(trace, device, batch=8, baseline=baseline, steps=[3])
        of_step = float(predicted.steps["baseline_s"].iloc[0])
        assert served.sides[baseline].latency_s.max() == pytest.approx(of_step, rel=0.02)


def test_a_sample_that_runs_alone_costs_what_simulate_says_of_all() -> None:
    trace = shipped("exit-fashion")
    served = condsim.serve(trace, CPU, poisson(1.0, 4000), max_batch=1)
    predicted = condsim.simulate(trace, CPU, batch=1)
    assert served.conditional.latency_s.mean() == pytest.approx(predicted.latency_s, rel=0.03)
    assert served.dense.latency_s.mean() == pytest.approx(predicted.baseline_s, rel=0.01)


def bytes_of(served: Serving) -> bytes:
    table = served.conditional.table().to_csv(index=False)
    return (json.dumps(served.to_dict()) + table).encode()


def test_equal_seeds_give_equal_bytes() -> None:
    requests = poisson(3000.0, 500, seed=1)
    again = [condsim.serve(shipped("skip-fashion"), CPU, requests, seed=2) for _ in range(2)]
    assert bytes_of(again[0]) == bytes_of(again[1])
    other = condsim.serve(shipped("skip-fashion"), CPU, requests, seed=3)
    assert bytes_of(other) != bytes_of(again[0])


def test_simpy_says_the_same() -> None:
    requests = poisson(3000.0, 300, seed=1)
    ours, theirs = (
        condsim.serve(shipped("exit-fashion"), CPU, requests, engine=engine, exits="regroup")
        for engine in ("closed", "events")
    )
    for name, side in ours.sides.items():
        np.testing.assert_allclose(side.latency_s, theirs.sides[name].latency_s, rtol=1e-9)


def test_stages_add_up_to_the_steps_of_the_trace() -> None:
    for device in (CPU, GPU):
        served = condsim.serve(shipped("exit-fashion"), device, at_once(40))
        assert served.conditional.pricing_error < 0.02


def test_the_sides_are_under_the_same_arrivals_and_saturate() -> None:
    served = condsim.serve(shipped("exit-fashion"), CPU, poisson(500.0, 400), max_batch=4)
    assert {tuple(side.requests.arrival_s[:3]) for side in served.sides.values()} == {
        tuple(served.requests.arrival_s[:3])
    }
    fast = condsim.serve(
        shipped("exit-fashion"), CPU, poisson(1e6, 3000), max_batch=4, exits="regroup"
    )
    for side in fast.sides.values():
        assert side.throughput == pytest.approx(side.saturated, rel=0.05)
        assert side.utilisation > 0.99


def test_limits_make_the_goodput() -> None:
    requests = poisson(4000.0, 1000)
    free = condsim.serve(shipped("exit-fashion"), CPU, requests)
    assert free.conditional.goodput == free.conditional.throughput
    median = float(np.median(free.conditional.latency_s))
    limited = condsim.serve(shipped("exit-fashion"), CPU, requests, limits=Limits(median))
    ratio = limited.conditional.goodput / limited.conditional.throughput
    assert ratio == pytest.approx(0.5, abs=0.02)


def test_a_table_of_requests_is_taken() -> None:
    table = pd.DataFrame(
        {"arrival_s": [0.0, 0.1], "prompt_tokens": [5, 6], "output_tokens": [1, 2]}
    )
    served = condsim.serve(shipped("exit-fashion"), CPU, table)
    assert "lengths of requests mean nothing" in served.notes[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"scheduler": "chunked"}, "'chunked' is not for requests that one forward answers"),
        ({"scheduler": "dynamc"}, "unknown scheduler 'dynamc'; did you mean 'dynamic'"),
        ({"exits": "run"}, "unknown policy of exits 'run'"),
        ({"dispatch": "random"}, "unknown dispatch 'random'"),
        ({"max_batch": 0}, "max_batch must be a whole number from 1"),
        ({"max_wait_s": -1.0}, "max_wait_s must be 0 or more seconds"),
        ({"replicas": 0}, "replicas must be a whole number from 1"),
        ({"kv_tokens": 0}, "kv_tokens must be a whole number from 1"),
        ({"dtype": "fp3"}, "has no dtype 'fp3'"),
        ({"threshold": float("nan")}, "threshold must be a number"),
    ],
)
def test_what_no_server_could_do(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(CondsimError, match=said):
        condsim.serve(shipped("exit-fashion"), CPU, at_once(4), **asked)


@pytest.mark.parametrize("name", ["sparse-fashion", "moe-bytes-train"])
def test_steps_of_training_answer_no_request(name: str) -> None:
    with pytest.raises(CondsimError, match="is of training steps, which answer no request"):
        condsim.serve(shipped(name), GPU, at_once(4))


def test_arguments_that_do_not_exist() -> None:
    with pytest.raises(TypeError, match="no argument 'batch'"):
        condsim.serve(shipped("exit-fashion"), CPU, at_once(4), batch=4)
    with pytest.raises(CondsimError, match="requests are a file, a table"):
        condsim.serve(shipped("exit-fashion"), CPU, 200)  # type: ignore[arg-type]


# Texts


def texts(count: int, rate: float, prompt: int, answer: int) -> Requests:
    return poisson(rate, count, Lengths(prompt, prompt), Lengths(answer, answer))


def test_a_text_alone_costs_its_prompt_and_its_tokens(talking: Trace) -> None:
    served = condsim.serve(talking, CPU, texts(20, 0.1, 7, 3))
    prefill = condsim.simulate(talking, CPU, batch=1, phase="prefill")
    decode = condsim.simulate(talking, CPU, batch=1, phase="decode")
    dense = served.dense
    assert dense.ttft_s.max() == pytest.approx(prefill.baseline_s, rel=0.02)
    assert np.nanmax(dense.time_per_output_token_s) == pytest.approx(decode.baseline_s, rel=0.05)
    ours = served.conditional
    assert ours.ttft_s.mean() == pytest.approx(prefill.latency_s, rel=0.15)
    assert served.time_per_output_token_s.mean() == pytest.approx(decode.latency_s, rel=0.15)


def test_batches_of_texts_save_time_and_lose_latency(talking: Trace) -> None:
    requests = texts(200, 1e6, 7, 4)
    alone = condsim.serve(talking, CPU, requests, max_batch=1).conditional
    many = condsim.serve(talking, CPU, requests, max_batch=32).conditional
    assert many.throughput > 1.5 * alone.throughput
    assert np.median(many.time_per_output_token_s) > np.median(alone.time_per_output_token_s)


def test_memory_that_one_text_does_not_fit_into(talking: Trace) -> None:
    with pytest.raises(CondsimError, match=r"kv_tokens 20 .* no room for request 0, .* 21 tokens"):
        condsim.serve(talking, CPU, texts(3, 1.0, 16, 5), kv_tokens=20, kv_block=1)
    with pytest.raises(CondsimError, match="token_budget 8 is less than the 32 sequences"):
        condsim.serve(talking, CPU, texts(3, 1.0, 16, 5), token_budget=8)
    with pytest.raises(CondsimError, match="'dynamic' is not for texts"):
        condsim.serve(talking, CPU, texts(3, 1.0, 16, 5), scheduler="dynamic")


def test_little_memory_preempts_and_costs_time(talking: Trace) -> None:
    requests = texts(60, 1e6, 16, 16)
    free = condsim.serve(talking, CPU, requests).conditional
    tight = condsim.serve(talking, CPU, requests, kv_tokens=96).conditional
    assert tight.preemptions.sum() > 0
    assert tight.finished_s.max() > free.finished_s.max()
    assert tight.waited_s["KV memory"] > 0


def test_prompts_that_are_cached_answer_sooner(talking: Trace) -> None:
    columns = {"arrival_s": [0.0, 1.0], "prompt_tokens": [4000, 4000], "output_tokens": [2, 2]}
    table = pd.DataFrame(columns | {"cached_tokens": [0, 3900]})
    served = condsim.serve(talking, CPU, table)
    first, second = served.dense.ttft_s
    assert second < first


@pytest.mark.parametrize("max_batch", [1, 8])
def test_a_device_whose_attention_waits_for_long_sequences(talking: Trace, max_batch: int) -> None:
    """PyTorch's own attention is no kernel of an engine: nothing is waited for."""
    served = condsim.serve(
        talking, "nvidia-rtx-pro-6000", texts(12, 1e5, 7, 4), max_batch=max_batch
    )
    assert served.conditional.latency_s.min() > 0


# Experts that do not fit


def offloaded(share: float, cache: str = "lru", replicas: int = 1) -> Serving:
    return condsim.serve(
        shipped("moe-bytes"),
        GPU,
        poisson(100.0, 60, seed=1),
        strategy="offloaded",
        expert_cache=share,
        cache=cache,
        max_batch=2,
        replicas=replicas,
    )


def test_the_more_experts_a_device_keeps_the_less_it_copies() -> None:
    sides = [offloaded(share).conditional for share in (0.0, 0.5, 1.0)]
    found = [side.cached["experts found"] for side in sides]
    assert found[0] == 0.0 < found[1] < found[2] < 1.0
    latencies = [side.latency_s.mean() for side in sides]
    assert latencies[0] > latencies[1] > latencies[2]
    assert found[1] <= sides[1].cached["experts found at best"] + 1e-9


def test_every_replica_has_a_cache_of_its_own() -> None:
    one, two = offloaded(1.0).conditional, offloaded(1.0, replicas=2).conditional
    assert two.cached["experts found"] <= one.cached["experts found"]
    assert not condsim.serve(shipped("moe-bytes"), GPU, at_once(2)).conditional.cached


def test_the_bound_is_no_cache() -> None:
    with pytest.raises(CondsimError, match="'belady' knows the future"):
        offloaded(0.5, "belady")


def test_what_cannot_be_spread_over_ranks_is_refused(talking: Trace) -> None:
    texts = poisson(20.0, 4, Lengths(4, 4), Lengths(2, 2))
    two = condsim.Parallel(expert=2, fabric="nvlink-4")
    with pytest.raises(CondsimError, match="has no experts to spread over ranks"):
        condsim.serve(talking, GPU, texts, parallel=two)
    with pytest.raises(CondsimError, match="is known for texts that are generated"):
        condsim.serve(shipped("moe-bytes"), GPU, at_once(4), parallel=two)
