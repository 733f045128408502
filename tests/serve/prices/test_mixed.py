"""What attention for answers costs more in a step that computes prompts too."""

from __future__ import annotations

from dataclasses import replace

from runtimes.test_served import attention_with_copies

from condsim.cost.device import Target
from condsim.hardware import hardware
from condsim.runtimes import RUNTIMES
from condsim.serve.prices.composition import Sites
from condsim.serve.prices.mixed import MixedAttention
from condsim.serve.prices.side import ServedSide
from condsim.trace import Trace


def mixed_on(trace: Trace, device: str) -> MixedAttention:
    """Prices of a device, up to 64 sequences of 256 keys."""
    program = attention_with_copies()
    programs = {f"same-params/{regime}": program for regime in ("decode-1", "decode-n")}
    trace = replace(trace, programs=programs)
    target = Target(hardware(device), "bf16", RUNTIMES["served"])
    side = ServedSide(trace, target, dict.fromkeys(trace.mechanisms, "same-params"))
    return MixedAttention(side, Sites(trace), [1, 64, 128, 256], 64)


def test_it_grows_with_sequences_and_keys(talking: Trace) -> None:
    mixed = mixed_on(talking, "nvidia-rtx-pro-6000")
    few_s, _ = mixed.beyond(4, 4 * 64)
    many_s, many_j = mixed.beyond(64, 64 * 64)
    long_s, _ = mixed.beyond(64, 64 * 256)
    assert 0 <= few_s < many_s < long_s
    assert many_j > 0


def test_nothing_decodes_or_the_device_does_not_care(talking: Trace) -> None:
    assert mixed_on(talking, "nvidia-rtx-pro-6000").beyond(0, 0) == (0.0, 0.0)
    assert mixed_on(talking, "nvidia-h200-sxm").beyond(64, 64 * 256) == (0.0, 0.0)
