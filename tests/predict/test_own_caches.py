"""Caches that a model writes in place are in its memory, whole, on both sides."""

from __future__ import annotations

import pytest

import condsim
from condsim.resources import resource

LAYERS, POSITIONS, KEYS_AND_VALUES = 8, 128, 2 * 96
"""Of the decoder of `exit-bytes` (condsim/zoo/exit_bytes.py): it makes its cache once."""


@pytest.mark.parametrize(
    ("strategy", "baseline", "batch"),
    [("projected", "same-params", 1), ("wait", "same-flops", 8), ("masked", "same-params", 3)],
)
def test_the_cache_of_a_decoder_that_keeps_it(strategy: str, baseline: str, batch: int) -> None:
    trace = condsim.load(resource("traces") / "exit-bytes")
    asked = {"strategy": strategy, "baseline": baseline, "batch": batch}
    prediction = condsim.simulate(trace, "nvidia-h100-sxm", **asked)
    of_sequence = LAYERS * POSITIONS * KEYS_AND_VALUES
    memory = prediction.memory
    assert memory.caches_bytes == batch * of_sequence * 2, "bf16"
    assert prediction.peak_bytes == memory.needed_bytes
    assert prediction.baseline_peak_bytes > batch * of_sequence * 2


@pytest.mark.parametrize("name", ["exit-fashion", "moe-bytes"])
def test_whole_inputs_have_none(name: str) -> None:
    trace = condsim.load(resource("traces") / name)
    assert condsim.simulate(trace, "nvidia-h100-sxm").memory.caches_bytes == 0
