"""Products with scales: what scaling sums and making rows narrow add."""

from __future__ import annotations

from dataclasses import replace

import pytest

from condsim.cost.gpu import scaled, tiles
from condsim.cost.gpu.rates import GpuRates, Quantised
from condsim.cost.gpu.tiles import TileSize

SQUARE = TileSize(128, 128)
BLOCKS = Quantised(row_itemsize=2, scaled_depth=128)
MICRO = Quantised(row_itemsize=2, scaled_depth=0)
"""Formats whose scales tensor cores apply."""


def test_products_without_scales_cost_nothing_more(h100: GpuRates) -> None:
    assert scaled.scaling_seconds(128 * 128, 1024, h100) == 0
    assert scaled.quantising_seconds(1e6, h100) == 0
    assert h100.result_itemsize == h100.itemsize


def test_sums_of_a_block_are_scaled_one_by_one(h100: GpuRates) -> None:
    device = replace(h100, quantised=BLOCKS)
    clocks = 2 * 128 * 128 * 8 / scaled.LANES
    seconds = scaled.scaling_seconds(128 * 128, 1024, device)
    assert seconds == pytest.approx(clocks / h100.gpu.clock_hz.value)
    assert scaled.scaling_seconds(128 * 128, 1024, replace(h100, quantised=MICRO)) == 0


def test_scaling_comes_after_the_arithmetic_of_each_tile(h100: GpuRates) -> None:
    fed_at_once = h100.profile.replace(**{"gpu.operand_bytes_per_clock": 1e12})
    h100 = replace(h100, profile=fed_at_once)
    device = replace(h100, quantised=BLOCKS)
    plain = float(tiles.tiled_seconds(1, 128, 1024, SQUARE, h100))
    added = float(tiles.tiled_seconds(1, 128, 1024, SQUARE, device)) - plain
    assert added == pytest.approx(scaled.scaling_seconds(128 * 128, 1024, device))


def test_rows_are_read_wide_and_written_narrow(h100: GpuRates) -> None:
    fp8 = replace(h100, dtype="fp8", itemsize=1, quantised=BLOCKS)
    more = scaled.quantising_seconds(2e9, fp8) - scaled.quantising_seconds(1e9, fp8)
    assert more == pytest.approx(3e9 / h100.dram_bytes_per_s)
    assert fp8.result_itemsize == 2


def test_a_dtype_may_reach_a_share_of_its_own(h100: GpuRates) -> None:
    fp8 = replace(h100, dtype="fp8", itemsize=1)
    assert fp8.reached_flops_per_s == pytest.approx(1402.6e12, rel=1e-3)
    assert h100.reached_flops_per_s == pytest.approx(794.5e12, rel=1e-3)
