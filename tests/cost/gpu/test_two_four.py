"""2:4 sparse products: what they cost in the limits, and the four regimes that others measured."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[3]))

import condsim
from benchmarks.literature.predict import seconds
from benchmarks.literature.two_four import Layer
from benchmarks.literature.vit import Vit, dense
from condsim.cost.gpu import two_four
from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.hot import SizedOperator
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, hardware
from condsim.program import Op, Program, Scope
from condsim.resources import resource
from condsim.strategies.two_four import sparse_weights

A100 = hardware("nvidia-a100-sxm-80gb")
SIZES = st.tuples(st.integers(1, 4096), st.integers(16, 8192), st.integers(64, 8192))


def device_s(
    name: str, m: int, n: int, k: int, profile: HardwareProfile, params: tuple[int, ...] = (1,)
) -> float:
    shapes: Any = [(m, k), (n, k)], [(m, n)]
    operator = SizedOperator(name, *shapes, params)
    return float(kernel(operator, GpuRates(profile, "bf16", 2, 2)).seconds)


def at_rate(times: float) -> HardwareProfile:
    """An A100 whose sparse products run at so many times the rate of dense ones."""
    return A100.replace(**{"gpu.two_four.times": times})


def speedup(m: int, k: int, n: int) -> float:
    layer = Layer(m, k, n)
    dense_s = seconds(layer.program(False), A100, 1, "bf16")
    sparse_s = seconds(layer.program(True), A100, 1, "bf16")
    return dense_s / sparse_s


@given(SIZES)
def test_never_more_than_twice_as_fast_on_the_device(size: tuple[int, int, int]) -> None:
    m, n, k = size
    assert (
        device_s("two_four_linear", m, n, k, A100) >= device_s("linear", m, n, k, A100) / 2 * 0.999
    )


@given(SIZES, st.sampled_from([0, 1]))
def test_a_higher_rate_never_slows_it_down(size: tuple[int, int, int], sparse: int) -> None:
    m, n, k = size
    seconds_by_rate = [
        device_s("two_four_linear", m, n, k, at_rate(times), (sparse,))
        for times in (1.0, 1.5, 2.0, 4.0)
    ]
    assert seconds_by_rate == sorted(seconds_by_rate, reverse=True)


def test_at_a_rate_of_one_a_large_product_takes_what_a_dense_one_does() -> None:
    m, n, k = 8192, 8192, 8192
    dense_s = device_s("linear", m, n, k, A100)
    sparse_s = device_s("two_four_linear", m, n, k, at_rate(1.0))
    assert sparse_s == pytest.approx(dense_s, rel=0.02)


def test_small_sizes_are_padded() -> None:
    limits = two_four.two_four_of(A100)
    # Of the sparse matrix a multiple of 32 rows and a depth of 64, of the dense one 8 columns.
    assert two_four.padded(1, 40, 70, 2, 1, limits) == (8, 64, 128)
    assert two_four.padded(1, 40, 70, 2, 0, limits) == (32, 40, 128)
    assert two_four.padded(1, 40, 70, 1, 1, limits) == (16, 64, 128)
    small_s = device_s("two_four_linear", 1, 33, 65, A100)
    padded_s = device_s("two_four_linear", 8, 64, 128, A100)
    assert small_s == pytest.approx(padded_s, rel=1e-3)
    assert two_four.sparse_bytes(10, 64, 2) == 10 * 64 * 2 * 9 / 16


def test_four_regimes() -> None:
    """A large product, a layer, a product with a vector, and a whole model.

    The cost of a call was taken from the product with a vector. Published: up to 1.7x (pytorch/ao,
    torchao/sparsity/README.md), 1.38x (pytorch/tutorials pull 2574), 0.11x (pytorch/pytorch issue
    111339), 1.10x (SAM's ViT-H with 2:4 MLPs, compiled, pytorch/ao).
    """
    assert 1.6 < speedup(10240, 10240, 10240) < 2.0
    assert speedup(3072, 10240, 3072) == pytest.approx(1.38, rel=0.1)
    assert speedup(1, 4096, 4096) == pytest.approx(0.11, rel=0.3)
    model = dense(Vit(32, 1280, 16, 4097, 16))
    sparse_model = with_sparse_mlps(model)
    dense_s, sparse_s = (
        seconds(program, A100, 8, "bf16", "compiled") for program in (model, sparse_model)
    )
    assert dense_s / sparse_s == pytest.approx(1.10, abs=0.05)


def with_sparse_mlps(model: Program) -> Program:
    nodes = []
    for node in model.root.nodes:
        assert isinstance(node, Op)
        in_mlp = any("fc" in tensor.weight for tensor in node.inputs)
        nodes.append(sparse_weights(node) if node.name == "linear" and in_mlp else node)
    return replace(model, root=Scope(tuple(nodes)))


def test_as_a_strategy_it_halves_the_second_product_and_says_what_it_drops() -> None:
    trace = condsim.load(resource("traces") / "sparse-bytes")
    masked, halved = (
        condsim.simulate(trace, "nvidia-h100-sxm", s, 32) for s in ("masked", "two_four")
    )
    # The second products of three feed-forwards; the other products stay.
    second = sum(2 * 32 * 64 * 96 * inner for inner in (608, 736, 768))
    assert trace.steps["seq"].iloc[0] == 64
    assert masked.executed_flops - halved.executed_flops == pytest.approx(second / 2)
    assert any("dropped" in note for note in halved.notes)
    assert halved.waterfall["factor"].prod() == pytest.approx(halved.speedup)
    free = hardware("nvidia-h100-sxm").replace(**{"gpu.two_four.call_s": 1e-12})
    assert condsim.simulate(trace, free, "two_four", 32).latency_s <= masked.latency_s + 1e-10


def test_both_engines_agree() -> None:
    trace = condsim.load(resource("traces") / "sparse-bytes")
    closed, events = (
        condsim.simulate(trace, "nvidia-a100-sxm-80gb", "two_four", 2, steps=[0, 1], engine=e)
        for e in ("closed", "events")
    )
    np.testing.assert_allclose(
        closed.steps["conditional_s"], events.steps["conditional_s"], rtol=1e-9
    )


def test_a_device_without_it_says_so() -> None:
    trace = condsim.load(resource("traces") / "sparse-bytes")
    with pytest.raises(CondsimError, match=r"nvidia-v100-sxm2 multiplies no 2:4 sparse matrices"):
        condsim.simulate(trace, "nvidia-v100-sxm2", "two_four", 2)
    with pytest.raises(CondsimError, match="not for a cpu"):
        condsim.simulate(trace, "intel-i7-8700", "two_four", 2)
