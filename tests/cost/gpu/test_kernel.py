"""Kernels of a GPU: the effects add up, and more of a resource is never slower."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.gpu.kernel import EXPERT_S, kernel
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.hot import SizedOperator
from condsim.hardware import HardwareProfile, hardware

GPU = hardware("nvidia-h100-sxm")


def fused(
    rows: list[int],
    profile: HardwareProfile = GPU,
    n: int = 512,
    k: int = 1024,
    here: int | None = None,
    tokens: int | None = None,
) -> tuple[float, dict[str, float]]:
    """(seconds, worlds) of one fused matmul whose experts have so many rows.

    here: how many of the experts are on this device, all where None.
    """
    total = sum(rows)
    experts = len(rows) if here is None else here
    inputs, outputs = [(tokens or total, k), (experts, n, k)], [(total, n)]
    operator = SizedOperator("fused_moe_mm", inputs, outputs, (1,))
    on_device = kernel(operator, GpuRates(profile, "bf16", 2, 2), np.array([rows]))
    worlds = {name: float(np.max(seconds)) for name, seconds in on_device.worlds.items()}
    return float(on_device.seconds[0]), worlds


def moving(name: str, inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> float:
    """Seconds beyond the fixed ones of an operator that computes nothing of note."""
    on_device = kernel(SizedOperator(name, inputs, outputs), GpuRates(GPU, "bf16", 2, 2))
    return float(on_device.worlds["gather"])


@given(st.lists(st.integers(0, 200), min_size=2, max_size=40).filter(any))
def test_the_worlds_of_a_matmul_add_up_to_its_time(rows: list[int]) -> None:
    total, worlds = fused(rows)
    ideal = 2.0 * sum(rows) * 512 * 1024 / GPU.peak_flops["bf16"].value
    assert total == pytest.approx(ideal + sum(worlds.values()), rel=1e-9)


@pytest.mark.parametrize(
    ("field", "factor"),
    [
        ("gpu.dram_fraction", 1.02),
        ("gpu.operand_bytes_per_clock", 2),
        ("gpu.sms", 2),
        ("memory.hbm.bandwidth", 2),
        ("memory.l2.bandwidth", 2),
        ("matmul_efficiency", 1.1),
    ],
)
@pytest.mark.parametrize("rows", [[1, 0, 0, 3], [40] * 64, [4096, 1, 1, 900]])
def test_more_of_a_resource_is_never_slower(field: str, factor: float, rows: list[int]) -> None:
    quantity = GPU.model_dump()
    for part in field.split("."):
        quantity = quantity[part]
    more = GPU.replace(**{field: quantity["value"] * factor})
    assert fused(rows, more)[0] <= fused(rows)[0] * (1 + 1e-9)


def test_tiles_of_one_element_leave_no_quantisation() -> None:
    fine = GPU.replace(
        **{
            "gpu.grouped_tiles": [{"m": 1, "n": 1}],
            "gpu.tile_s": 1e-17,
            "gpu.operand_bytes_per_clock": 1e9,
            "gpu.sms": 1,
        }
    )
    _, worlds = fused([64, 3, 0, 17], fine)
    assert worlds["quantisation"] == pytest.approx(0.0, abs=1e-12)


def test_few_tokens_pay_for_touched_experts_only() -> None:
    """At one row an expert the weights are the time, and half of the experts take half of it."""
    profile = GPU.replace(**{"gpu.kernel_s": 1e-12, "gpu.tile_s": 1e-17})
    few, many = (fused([1] * n + [0] * (64 - n), profile, n=4096, k=4096)[0] for n in (16, 32))
    assert many / few == pytest.approx(2.0, rel=0.05)


def test_experts_that_are_elsewhere_cost_their_blocks_but_no_arithmetic() -> None:
    alone_s, alone_worlds = fused([8] * 8, tokens=64)
    shared_s, shared_worlds = fused([8] * 64, here=8, tokens=64)
    assert shared_s > alone_s
    assert shared_worlds["weight_traffic"] == pytest.approx(alone_worlds["weight_traffic"])


def test_a_gather_moves_the_rows_that_it_takes_not_its_source() -> None:
    small = moving("index_select", [(1000, 64), (5,)], [(5, 64)])
    assert moving("index_select", [(100_000, 64), (5,)], [(5, 64)]) == small
    assert moving("index_add_", [(100_000, 64), (5,), (5, 64)], [(100_000, 64)]) == small
    assert moving("add", [(100_000, 64), (100_000, 64)], [(100_000, 64)]) > small


def test_one_thread_block_pays_for_each_row() -> None:
    rows = [(4096,)]
    sorting_s = 4096 * GPU.gpu.row_s.value if GPU.gpu else 0.0
    sorted_rows = moving("moe_align_block_size", rows, rows)
    assert sorted_rows == pytest.approx(moving("clone", rows, rows) + sorting_s)


def product(name: str, inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]]) -> float:
    """Seconds that a product waits for what it is multiplied with."""
    on_device = kernel(SizedOperator(name, inputs, outputs), GpuRates(GPU, "bf16", 2, 2))
    return float(np.max(on_device.worlds["weight_traffic"]))


def test_attention_reads_keys_and_values() -> None:
    query, cache = (8, 32, 1, 128), (8, 32, 4096, 128)
    narrow_values = (8, 32, 4096, 1)
    both = product("scaled_dot_product_attention", [query, cache, cache], [query])
    keys = product("scaled_dot_product_attention", [query, cache, narrow_values], [(8, 32, 1, 1)])
    assert both / keys == pytest.approx(2, rel=0.05)


def test_a_product_reads_its_weights_wherever_they_stand() -> None:
    rows, weights, bias, result = (4, 4096), (4096, 8192), (8192,), (4, 8192)
    plain = product("mm", [rows, weights], [result])
    biased = product("addmm", [bias, rows, weights], [result])
    assert biased == pytest.approx(plain, rel=1e-9)


def test_one_thread_block_pays_for_each_expert() -> None:
    ids, outputs = [(16, 8)], [(128,)]
    few, many = (
        kernel(
            SizedOperator("moe_align_block_size", ids, outputs, (n,)), GpuRates(GPU, "bf16", 2, 2)
        )
        for n in (64, 256)
    )
    assert float(many.seconds - few.seconds) == pytest.approx(192 * EXPERT_S)
