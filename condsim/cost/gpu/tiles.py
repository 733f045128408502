"""Tiles and waves: a result is computed in whole tiles, and in whole rounds of tiles over all SMs.

    row blocks = Σ groups ceil(rows / m)
    tiles = row blocks * ceil(columns / n)
    waves = ceil(tiles / SMs)
    seconds of a wave = max(2 m n K / (peak / SMs), bytes of (m + n) K / what an SM takes in of L2)
    what an SM takes in = min(what all get together / busy SMs, what its port takes)
    a tile of several SMs: as many parts in a wave, the seconds of each divided by their number

Source: NVIDIA, Matrix Multiplication Background User's Guide, "Tile Quantization" and "Wave
Quantization"; the second term is the intensity of a tile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.cost.gpu import scaled
from condsim.cost.gpu.rates import GpuRates
from condsim.hardware.gpu import Tile

DEPTH = 64
"""Elements of K that a tile takes in at a time."""


@dataclass(frozen=True, slots=True)
class TileSize:
    """Rows and columns of a tile of the result; numbers or arrays. sms: how many SMs compute it."""

    m: Any
    n: Any
    sms: int = 1


def sizes(tiles: Iterable[Tile]) -> list[TileSize]:
    """The sizes of a profile's tiles."""
    return [TileSize(tile.m, tile.n, tile.sms) for tile in tiles]


def row_blocks(rows: Any, m: Any) -> Any:
    """Row blocks of ragged groups, float [...].

    rows: int array [..., groups], 0 for a group without rows. m: rows of a tile, int or int array
    [...].
    """
    tile_rows = np.asarray(m)[..., None]
    blocks = np.ceil(np.asarray(rows) / tile_rows)
    return blocks.sum(-1)


def by_rule(tiles: list[Tile], rows: Any) -> TileSize:
    """The first tile whose limit of rows is not exceeded; int arrays like rows.

    rows: of the input, before top-k.
    """
    rows = np.asarray(rows)
    m = np.full(rows.shape, tiles[-1].m)
    n = np.full(rows.shape, tiles[-1].n)
    for tile in reversed(tiles):
        if tile.rows is not None:
            small = rows <= tile.rows
            m = np.where(small, tile.m, m)
            n = np.where(small, tile.n, n)
    return TileSize(m, n)


def fastest(seconds_by_tile: Iterable[Any]) -> Any:
    """The time of what a library that tries all tiles would choose, number or array."""
    first, *others = seconds_by_tile
    least = first
    for seconds in others:
        least = np.minimum(least, seconds)
    return least


def tiled_seconds(
    blocks: Any,
    columns: Any,
    depth: Any,
    tile: TileSize,
    device: GpuRates,
    operand_bytes: Any = None,
    times: float = 1.0,
) -> Any:
    """Seconds of the arithmetic of a matmul in tiles.

    blocks: row blocks, number or array. columns, depth: N and K of the product (elements).
    operand_bytes: that a tile takes in at each depth, None: m activations and n weights, which are
    unpacked on the SM. times: the rate of arithmetic over that of a dense product.
    Not true for kernels that split K or stream over tiles without waves.
    """
    gpu = device.gpu
    if operand_bytes is None:
        operand_bytes = tile.m * device.itemsize + tile.n * device.weight_itemsize
    whole_depth = np.ceil(depth / DEPTH) * DEPTH
    flops_per_s_of_sm = device.reached_flops_per_s * times / gpu.sms.value
    flops_of_tile = 2.0 * tile.m * tile.n * whole_depth
    scaling_s = scaled.scaling_seconds(tile.m * tile.n, whole_depth, device)
    arithmetic_s = flops_of_tile / flops_per_s_of_sm + scaling_s
    tiles = blocks * np.ceil(columns / tile.n)
    busy_sms = tiles * tile.sms
    taken_in_s = operand_bytes * whole_depth / _bytes_per_s_of_sm(busy_sms, device)
    waves = np.ceil(busy_sms / gpu.sms.value)
    wave_s = np.maximum(arithmetic_s, taken_in_s)
    return waves * wave_s / tile.sms


def _bytes_per_s_of_sm(busy_sms: Any, device: GpuRates) -> Any:
    """What an SM takes in of L2 where so many are busy: its part of what all of them get together,
    at most what its port takes."""
    gpu = device.gpu
    together = gpu.operand_bytes_per_clock.value
    if gpu.port_bytes_per_clock is None or not device.by_tma:
        return together * gpu.clock_hz.value
    busy = np.clip(busy_sms, 1.0, gpu.sms.value)
    most = max(gpu.port_bytes_per_clock.value, together)
    return np.minimum(together * gpu.sms.value / busy, most) * gpu.clock_hz.value


def fixed_seconds(blocks: Any, columns: Any, tile: TileSize, device: GpuRates) -> Any:
    """Seconds that tiles cost beyond their arithmetic.

    Each tile fills its pipeline and writes its result. blocks: row blocks, those that only write
    zeros too. columns: N of the product.
    """
    tiles = blocks * np.ceil(columns / tile.n)
    tiles_of_each_sm = tiles * tile.sms / device.gpu.sms.value
    return tiles_of_each_sm * device.gpu.tile_s.value
