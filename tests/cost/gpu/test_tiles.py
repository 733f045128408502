"""Tiles and waves: whole blocks, whole rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.gpu import tiles
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.gpu.tiles import TileSize
from condsim.hardware import Tile

SQUARE = TileSize(128, 128)
PAIR = TileSize(256, 128, sms=2)
"""A tile of two SMs, each of which computes a square."""


def with_peak(device: GpuRates, flops_per_s: float) -> GpuRates:
    """The device at another rate of arithmetic."""
    profile = device.profile.replace(**{"peak_flops.bf16": flops_per_s})
    return replace(device, profile=profile)


def sms_of(device: GpuRates) -> int:
    return int(device.gpu.sms.value)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=20), st.integers(1, 128))
def test_row_blocks_hold_all_rows_and_none_is_empty(rows: list[int], m: int) -> None:
    blocks = int(tiles.row_blocks(np.array(rows), m))
    assert blocks == sum(-(-r // m) for r in rows)
    assert blocks * m >= sum(rows)
    assert blocks <= sum(rows)


def test_a_rule_takes_the_first_tile_whose_limit_holds() -> None:
    rule = [Tile(m=16, n=64, rows=32), Tile(m=64, n=128, rows=512), Tile(m=128, n=128)]
    size = tiles.by_rule(rule, np.array([1, 32, 33, 512, 513, 10**6]))
    assert size.m.tolist() == [16, 16, 64, 64, 128, 128]
    assert size.n.tolist() == [64, 64, 128, 128, 128, 128]


def test_waves_are_whole_rounds_over_the_sms(h100: GpuRates) -> None:
    sms = sms_of(h100)
    without_port = h100.profile.replace(**{"gpu.port_bytes_per_clock": None})
    for device in (h100, replace(h100, profile=without_port)):
        one, full, over = (
            float(tiles.tiled_seconds(blocks, 128, 1024, SQUARE, device))
            for blocks in (1, sms, sms + 1)
        )
        assert one <= full
        assert over == 2 * full
    assert one == full


def test_where_few_sms_are_busy_each_takes_in_what_its_port_takes(h100: GpuRates) -> None:
    fast, sms = with_peak(h100, 1e24), sms_of(h100)
    one, half, full = (
        float(tiles.tiled_seconds(blocks, 128, 1024, SQUARE, fast)) for blocks in (1, sms // 2, sms)
    )
    gpu = h100.gpu
    assert gpu.port_bytes_per_clock is not None
    share = gpu.operand_bytes_per_clock.value / gpu.port_bytes_per_clock.value
    assert one == half == pytest.approx(full * share)


def test_a_tile_of_several_sms_takes_in_its_operands_once(h100: GpuRates) -> None:
    """Where arithmetic costs nothing, what is taken in remains."""
    fast, sms = with_peak(h100, 1e24), sms_of(h100)
    alone = float(tiles.tiled_seconds(sms, 128, 1024, SQUARE, fast))
    pair = float(tiles.tiled_seconds(sms // 2, 128, 1024, PAIR, fast))
    assert pair == pytest.approx(alone * (256 + 128) / (2 * 256))


def test_arithmetic_alone_is_the_same_on_one_sm_or_two(h100: GpuRates) -> None:
    slow, sms = with_peak(h100, 1.0), sms_of(h100)
    alone = float(tiles.tiled_seconds(sms, 128, 1024, SQUARE, slow))
    assert float(tiles.tiled_seconds(sms // 2, 128, 1024, PAIR, slow)) == alone


@given(st.floats(1, 1e6), st.floats(1, 4096))
def test_the_least_of_all_tiles_is_chosen(a: float, b: float) -> None:
    assert tiles.fastest([a, b, a + b]) == min(a, b)


def test_narrow_weights_are_taken_in_as_they_are(h100: GpuRates) -> None:
    """Where arithmetic costs nothing, a tile of half a byte a weight takes in m + n / 4 of m +
    n."""
    fast = with_peak(h100, 1e24)
    narrow = replace(fast, weight_itemsize=0.5)
    wide_s, narrow_s = (float(tiles.tiled_seconds(1, 128, 1024, SQUARE, d)) for d in (fast, narrow))
    assert narrow_s / wide_s == pytest.approx((2 + 0.5) / (2 + 2))
