"""What attention waits for the longest sequence, of steps that only decode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from runtimes.test_served import attention_with_copies

from condsim.cost.device import Target
from condsim.hardware import hardware
from condsim.runtimes import RUNTIMES
from condsim.serve.prices.composition import Sites
from condsim.serve.prices.ragged import RaggedAttention
from condsim.serve.prices.side import ServedSide
from condsim.serve.requests import Requests
from condsim.trace import Trace

MANY = 128


def ragged_on(trace: Trace, device: str, prompts: list[int]) -> RaggedAttention:
    """Prices of a device for requests that answer one token each."""
    program = attention_with_copies()
    programs = {f"same-params/{regime}": program for regime in ("decode-1", "decode-n")}
    trace = replace(trace, programs=programs)
    target = Target(hardware(device), "bf16", RUNTIMES["served"])
    side = ServedSide(trace, target, dict.fromkeys(trace.mechanisms, "same-params"))
    ones = np.ones(len(prompts), int)
    requests = Requests(np.zeros(len(prompts)), np.array(prompts), ones, 0 * ones)
    return RaggedAttention(side, Sites(trace), requests, MANY)


def test_unlike_lengths_cost_more_than_their_mean(talking: Trace) -> None:
    alike = ragged_on(talking, "nvidia-rtx-pro-6000", [1000])
    unlike = ragged_on(talking, "nvidia-rtx-pro-6000", [100] * 9 + [9100])
    alike_s, _ = alike.beyond(MANY, MANY * 1000)
    unlike_s, unlike_j = unlike.beyond(MANY, MANY * 1000)
    assert unlike_s > 5 * alike_s
    assert unlike_j > 0


def test_it_grows_with_the_keys_and_few_sequences_are_cut(talking: Trace) -> None:
    unlike = ragged_on(talking, "nvidia-rtx-pro-6000", [100] * 9 + [9100])
    once_s, _ = unlike.beyond(MANY, 10_000)
    assert unlike.beyond(MANY, 20_000)[0] == pytest.approx(2 * once_s)
    assert unlike.beyond(1, 10_000) == (0.0, 0.0)
    assert unlike.beyond(0, 0) == (0.0, 0.0)


def test_a_device_whose_kernels_order_blocks_waits_for_nobody(talking: Trace) -> None:
    assert ragged_on(talking, "nvidia-h200-sxm", [100, 9100]).beyond(64, 10_000) == (0.0, 0.0)
