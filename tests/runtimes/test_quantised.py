"""Weights in a narrower dtype: which are, what they take, and who has kernels for them."""

from __future__ import annotations

import pytest

import condsim
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.runtimes.quantised import WEIGHT_DTYPES, is_quantised
from condsim.trace import Trace

GPU = "nvidia-h200-sxm"


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "moe-bytes")


def test_narrow_weights_take_less_time_and_memory(trace: Trace) -> None:
    whole, narrow = (
        condsim.simulate(
            trace, GPU, "grouped", 8, weights=weights, runtime="cuda_graphs", steps=[0]
        )
        for weights in (None, "int4")
    )
    assert narrow.latency_s < whole.latency_s
    assert narrow.memory.weights_bytes < whole.memory.weights_bytes / 2
    assert narrow.memory.activations_bytes == whole.memory.activations_bytes
    assert (whole.weights, narrow.weights) == ("bf16", "int4")
    assert "int4, 4.16 bits with a scale and a zero" in " ".join(narrow.notes)


def test_only_products_of_layers_are_narrow(trace: Trace) -> None:
    program = trace.programs["grouped/prefill-n"]
    chosen = [op for op in program.root.nodes if is_quantised(op, ())]
    assert {op.name for op in chosen} == {"linear", "_grouped_mm"}
    assert not any(op.role or "lm_head" in op.module for op in chosen)
    experts = tuple(f"{site.name}." for site in trace.sites)
    assert {op.name for op in chosen if is_quantised(op, experts)} == {"_grouped_mm"}


def test_a_device_without_kernels_is_refused(trace: Trace) -> None:
    with pytest.raises(CondsimError, match="'raspberry-pi-5' has no kernels for weights in int4"):
        condsim.simulate(trace, "raspberry-pi-5", weights="int4")
    with pytest.raises(CondsimError, match="unknown dtype of weights 'int3'; did you mean 'int8'"):
        condsim.simulate(trace, GPU, weights="int3")


def test_scales_are_counted() -> None:
    bits = {name: dtype.bits for name, dtype in WEIGHT_DTYPES.items()}
    assert bits["mxfp4"] == 4.25
    assert bits["int4"] == pytest.approx(4.156, abs=1e-3)
