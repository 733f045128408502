"""Steps of several micro-batches, against what PyTorch's allocator reports of such a loop."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from gates.trained import small_mixture
from torch import nn
from torch.profiler import ProfilerActivity, profile

import condsim
from condsim.resources import resource
from condsim.trace import Trace

DEVICE = "raspberry-pi-5"
MICRO_BATCHES = 5


@functools.cache
def mixture() -> tuple[nn.Module, list[dict[str, torch.Tensor]], Trace]:
    """The gates' mixture, captured with two micro-batches of 4 sequences."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, _ = small_mixture()
        tokens = torch.randint(0, 64, (4 * MICRO_BATCHES, 15))
    batches = [{"input_ids": part, "labels": part} for part in tokens.split(4)]
    train = condsim.Training(accumulate=2)
    return model, batches, condsim.capture(model, batches, measure=False, train=train)


def allocated(profiler: profile) -> tuple[int, int]:
    """(largest sum of what was allocated and freed, the sum at the end)."""
    results = profiler.profiler
    assert results is not None
    alive = peak = 0
    for event in results.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    return peak, alive


def test_the_peak_is_that_of_the_allocator() -> None:
    """Of a loop over micro-batches that are routed each in its own way."""
    model, batches, trace = mixture()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)

    def step() -> None:
        for batch in batches:
            model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    peak, left = allocated(profiler)
    assert left == 0
    p = condsim.simulate(trace, DEVICE, accumulate=MICRO_BATCHES)
    training = p.memory.training
    assert training is not None
    assert training.alive_bytes == peak
    gradients = sum(weight.numel() * 4 for weight in model.parameters())
    assert training.of_kind("gradients") == pytest.approx(gradients, rel=0.01)


def test_each_more_costs_as_much_as_the_one_before() -> None:
    _, _, trace = mixture()
    of = {n: condsim.simulate(trace, DEVICE, accumulate=n) for n in (2, 3, 4)}
    assert condsim.simulate(trace, DEVICE).latency_s == of[2].latency_s
    third, fourth = (of[n].latency_s - of[n - 1].latency_s for n in (3, 4))
    assert third == pytest.approx(fourth, rel=0.02)
    assert of[4].executed_flops == 2 * of[2].executed_flops
    assert of[4].flops_ratio == pytest.approx(of[2].flops_ratio)
    assert of[4].memory.peak_bytes == of[2].memory.peak_bytes
    assert any("4 micro-batches of 4 units" in note for note in of[4].notes)


def test_a_folder_keeps_how_many(tmp_path: Path) -> None:
    _, _, trace = mixture()
    trace.save(tmp_path / "mixture")
    again = condsim.load(tmp_path / "mixture")
    assert again.header.accumulate == 2
    assert condsim.simulate(again, DEVICE).latency_s == condsim.simulate(trace, DEVICE).latency_s


def test_a_trace_without_says_how_to_capture_one() -> None:
    trace = condsim.load(resource("traces") / "moe-bytes-train")
    with pytest.raises(condsim.CondsimError, match="holds no step of several micro-batches, got 4"):
        condsim.simulate(trace, accumulate=4)
