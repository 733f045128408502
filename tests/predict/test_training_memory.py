"""What is predicted of a training step's memory, against what PyTorch's allocator reports."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest
import torch
from gates.trained import small_mixture
from torch import nn
from torch.profiler import ProfilerActivity, profile

import condsim
from condsim.resources import resource
from condsim.show.predictions import memory_line
from condsim.show.text import size
from condsim.trace import Trace

UNITS, POSITIONS = 6, 15


@functools.cache
def mixture() -> tuple[nn.Module, Trace]:
    """The gates' mixture with grouped experts, captured in training on 4 sequences of 10."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, inputs = small_mixture()
        tokens = torch.randint(0, 64, (4 * UNITS, POSITIONS))
    batches = [{"input_ids": part, "labels": part} for part in tokens.split(4)]
    assert inputs["input_ids"].shape == (4, 10)
    trace = condsim.capture(model, batches, measure=False, train=condsim.Training())
    return model, trace


def allocated(events: Any) -> tuple[int, int]:
    """(largest sum of what was allocated and freed, the sum at the end)."""
    alive = peak = 0
    for event in events:
        if event.name == "[memory]":
            alive += event.nbytes
            peak = max(peak, alive)
    return peak, alive


def test_the_peak_is_that_of_the_allocator() -> None:
    """With decisions of the trace's own inputs, at another batch than the captured one."""
    model, trace = mixture()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        small_mixture()
        tokens = torch.randint(0, 64, (4 * UNITS, POSITIONS))[:UNITS]
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)

    def step() -> None:
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as prof:
        step()
    events = prof.profiler.kineto_results.events()
    measured, left = allocated([_Event(event) for event in events])
    model.eval()
    assert left == 0
    predicted = condsim.simulate(trace, "raspberry-pi-5", batch=UNITS, steps=[0])
    peak = predicted.memory.training
    assert peak is not None
    assert peak.alive_bytes == measured


class _Event:
    def __init__(self, event: Any) -> None:
        self.name = event.name()
        self.nbytes = event.nbytes()


@pytest.mark.parametrize("strategy", ["grouped", "looped"])
def test_the_parts_are_the_whole(strategy: str) -> None:
    _, trace = mixture()
    p = condsim.simulate(trace, "raspberry-pi-5", strategy=strategy)
    table = p.memory_waterfall.set_index("part")
    parts = table.drop("all")
    assert parts["conditional_bytes"].sum() == table.loc["all", "conditional_bytes"] == p.peak_bytes
    assert parts["dense_bytes"].sum() == table.loc["all", "dense_bytes"] == p.baseline_peak_bytes


def test_what_is_saved_and_added_is_said() -> None:
    _, trace = mixture()
    p = condsim.simulate(trace, "raspberry-pi-5")
    said = re.fullmatch(
        r"conditional computation saves .*B and adds .*B: the peak is (.*B) (lower|higher)",
        memory_line(p),
    )
    assert said is not None
    difference = p.peak_bytes - p.baseline_peak_bytes
    assert said[1] == size(abs(difference))
    assert said[2] == ("higher" if difference > 0 else "lower")


def test_weights_and_state_are_those_of_the_model() -> None:
    model, trace = mixture()
    p = condsim.simulate(trace, "raspberry-pi-5")
    buffers = sum(value.nbytes for name, value in model.named_buffers() if "original" not in name)
    count = len(list(model.parameters()))
    peak = p.memory.training
    assert peak is not None
    of_weights = sum(weight.nbytes for weight in model.parameters())
    assert peak.weights_bytes == of_weights + buffers
    assert peak.optimizer_bytes == 2 * of_weights + 4 * count


def test_an_inference_has_no_such_table() -> None:
    trace = condsim.load(resource("traces") / "exit-fashion")
    assert condsim.simulate(trace, "raspberry-pi-5").memory_waterfall.empty
