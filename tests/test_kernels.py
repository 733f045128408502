"""The table of kernels: what it says of a step is the sum over that step's calls."""

from __future__ import annotations

import numpy as np
import pytest

import condsim
from condsim.cost.cost_model import device_model
from condsim.cost.device import Target
from condsim.kernels import Kernels
from condsim.lower import lower
from condsim.predict.choose import choose_strategies, program_of
from condsim.resources import resource
from condsim.runtimes import choose_runtime
from condsim.steps.rebatch import rebatch, site_rules
from condsim.trace import Trace

TRACES = ("branch-fashion", "exit-fashion", "moe-bytes", "skip-fashion", "sparse-bytes")
DEVICES = ("captured", "nvidia-h100-sxm", "google-tpu-v4", "google-edge-tpu")
STRATEGY = {"google-tpu-v4": "bucketed", "google-edge-tpu": "cpu_tail"}


def priced(trace: Trace, device: str, batch: int) -> Kernels:
    profile = trace.profile if device == "captured" else condsim.hardware(device)
    strategies = choose_strategies(trace, STRATEGY.get(device))
    cut = rebatch(trace, batch, phase="prefill")
    program = program_of(trace, strategies, cut.regime)
    steps = cut.steps.take(slice(0, 6))
    model = device_model(Target(profile, profile.dtype, choose_runtime(None, profile)))
    return model.kernels(lower(program, site_rules(trace), strategies, steps))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRACES)
def test_a_column_sums_up_over_the_calls_of_each_step(name: str, device: str) -> None:
    kernels = priced(condsim.load(resource("traces") / name), device, batch=3)
    for column in ("dispatch", "flops", "moved_bytes"):
        of_rows = kernels.column(column)
        played = []
        for step in range(kernels.steps):
            rows = kernels.rows_of(kernels.lowered.sequence(step))
            played.append(of_rows[rows].sum())
        np.testing.assert_allclose(kernels.total(column), played, rtol=1e-12)


@pytest.mark.parametrize("name", ["moe-bytes", "skip-fashion"])
def test_steps_that_run_the_same_operators_are_issued_as_each_is_alone(name: str) -> None:
    kernels = priced(condsim.load(resource("traces") / name), "nvidia-h100-sxm", batch=3)
    profile = condsim.hardware("nvidia-h100-sxm")
    model = device_model(Target(profile, profile.dtype, choose_runtime(None, profile)))
    seen = []
    for steps, together in model.issued_alike(kernels):
        for place, step in enumerate(steps.tolist()):
            alone, _ = model.issued(kernels, step)
            np.testing.assert_array_equal(together.host_s[place], alone.host_s)
            np.testing.assert_array_equal(together.device_s[place], alone.device_s)
            np.testing.assert_array_equal(together.sync, alone.sync)
            seen.append(step)
    assert sorted(seen) == list(range(kernels.steps))


@pytest.mark.parametrize("name", TRACES)
def test_labels_share_a_column_out(name: str) -> None:
    kernels = priced(condsim.load(resource("traces") / name), "captured", batch=3)
    shares = kernels.by_label(kernels.family, kernels.seconds)
    np.testing.assert_allclose(sum(shares.values()), kernels.per_step(kernels.seconds))


def test_the_largest_of_a_step_is_one_of_its_calls() -> None:
    kernels = priced(condsim.load(resource("traces") / "exit-fashion"), "captured", batch=3)
    moved = kernels.column("moved_bytes")
    for step, largest in enumerate(kernels.largest("moved_bytes")):
        rows = kernels.rows_of(kernels.lowered.sequence(step))
        assert largest == moved[rows].max()
