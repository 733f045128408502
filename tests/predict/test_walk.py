"""A prediction is the same whatever a block of steps holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import condsim
from condsim.predict import walk
from condsim.predict.prediction import Prediction
from condsim.resources import resource
from condsim.steps.rebatch import rebatch
from condsim.trace import Trace

UNITS = {
    "branch-fashion": 256, "exit-fashion": 256, "moe-bytes": 64, "skip-fashion": 256,
    "sparse-bytes": 256,
}  # fmt: skip
"""Units a step, so that a trace has 8 steps."""
DEVICES = ("its own", "nvidia-h100-sxm", "google-tpu-v5e", "qualcomm-hexagon-8gen3")
NUMBERS = (
    "speedup", "latency_s", "baseline_s", "energy_j", "baseline_energy_j", "flops_ratio",
    "executed_flops", "baseline_flops", "speedup_interval", "latency_interval", "peak_bytes",
    "baseline_peak_bytes", "graphs",
)  # fmt: skip
BLOCK_STEPS = 3


def cases() -> Iterator[Any]:
    """Every trace on every device; few of them are quick enough to be asked each time."""
    for name, device, protocol in itertools.product(UNITS, DEVICES, ("stream", "repeat")):
        if protocol == "repeat" and device != "its own":
            continue
        quick = name == "exit-fashion" or (name, device) == ("moe-bytes", "its own")
        yield pytest.param(name, device, protocol, marks=() if quick else pytest.mark.slow)


def opened(name: str) -> Trace:
    """A shipped trace that remembers no answer."""
    return condsim.load(resource("traces") / name)


def asked(trace: Trace, device: str, units: int, protocol: str) -> Prediction:
    profile = trace.profile if device == "its own" else condsim.hardware(device)
    return condsim.simulate(trace, profile, batch=units, protocol=protocol, baseline="same-flops")


def numbers(prediction: Prediction) -> Mapping[str, Any]:
    """All numbers of an answer."""
    found: dict[str, Any] = {name: getattr(prediction, name) for name in NUMBERS}
    found["estimated"] = [prediction.estimated[basis] for basis in sorted(prediction.estimated)]
    found["rivals"] = list(prediction.rivals.values())
    found["steps"] = prediction.steps.to_numpy()
    found["waterfall"] = prediction.waterfall[["conditional_s", "baseline_s"]].to_numpy()
    found["timeline"] = prediction.timeline[["start_s", "duration_s"]].to_numpy()
    if prediction.profile.startswith("amd"):
        found["segments"] = prediction.segments[["calls", "seconds"]].to_numpy()
    return found


@pytest.mark.parametrize(("name", "device", "protocol"), list(cases()))
def test_blocks_of_few_steps_give_the_same_numbers(
    name: str, device: str, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = (device, UNITS[name], protocol)
    whole = numbers(asked(opened(name), *question))
    assert len(whole["steps"]) > 2 * BLOCK_STEPS
    monkeypatch.setattr(walk, "BLOCK_STEPS", BLOCK_STEPS)
    in_blocks = numbers(asked(opened(name), *question))
    for what, values in whole.items():
        expected = np.asarray(values, float)
        least = 1e-15 * float(np.abs(expected).max())
        np.testing.assert_allclose(in_blocks[what], expected, rtol=1e-10, atol=least, err_msg=what)


def test_blocks_hold_all_steps_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "BLOCK_COUNTS", 6 * 10)
    cut = rebatch(opened("exit-fashion"), 32)
    blocks = walk.Blocks(cut, None, 1.25, in_one=False)
    assert [len(steps) for steps in blocks] == [10, 10, 10, 10, 10, 10, 4]
    for site, counts in cut.steps.counts.items():
        in_blocks = np.concatenate([steps.counts[site] for steps in blocks])
        np.testing.assert_array_equal(in_blocks, counts)


def test_a_block_has_at_least_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "BLOCK_COUNTS", 1)
    cut = rebatch(opened("exit-fashion"), 1024)
    assert [len(steps) for steps in walk.Blocks(cut, None, 1.25, in_one=False)] == [1, 1]
