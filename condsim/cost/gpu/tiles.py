"""Tiles and waves: a result is computed in whole blocks, and whole rounds of blocks over all SMs.

    row blocks = Σ groups ceil(rows / m)      tiles = row blocks * ceil(columns / n)      waves = ceil(tiles / SMs)
    seconds of a wave = max(2 m n K / (peak / SMs), (m + n) K bytes / what an SM takes in from L2)
    a tile of several SMs: as many parts in a wave, the seconds of each divided by their number

Source: NVIDIA, Matrix Multiplication Background User's Guide, "Tile Quantization" and "Wave Quantization"; the second term is the intensity of a tile.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from condsim.hardware.gpu import Gpu, Tile

DEPTH = 64  # elements of K that a tile takes at a time


def row_blocks(rows: Any, m: Any) -> Any:
    """Row blocks of ragged groups, float [...]. rows: int array [..., groups], 0 for a group without rows; m: rows of a tile, int or int array [...]."""
    return np.ceil(np.asarray(rows) / np.asarray(m)[..., None]).sum(-1)


def by_rule(tiles: list[Tile], rows: Any) -> tuple[Any, Any]:
    """(m, n) of the first tile whose limit is not exceeded, int arrays like rows. rows: of the input, before top-k."""
    rows = np.asarray(rows)
    m, n = np.full(rows.shape, tiles[-1].m), np.full(rows.shape, tiles[-1].n)
    for tile in reversed(tiles):
        if tile.rows is not None:
            m, n = np.where(rows <= tile.rows, tile.m, m), np.where(rows <= tile.rows, tile.n, n)
    return m, n


def fastest(tiles: list[Tile], seconds: Callable[[Any, Any, int], Any]) -> Any:
    """What a library that tries them all would choose: the least of seconds(m, n, SMs of a tile), number or array."""
    return functools.reduce(
        np.minimum, (seconds(np.asarray(tile.m), np.asarray(tile.n), tile.sms) for tile in tiles)
    )


def tiled_seconds(
    blocks: Any,
    columns: Any,
    depth: Any,
    m: Any,
    n: Any,
    gpu: Gpu,
    flops_a_second: float,
    itemsize: int,
    operands: Any = None,
    sms: int = 1,
) -> Any:
    """Seconds of the arithmetic of a matmul in tiles of m x n, each on so many SMs.

    blocks: row blocks, number or array; columns, depth: N and K of the product (elements); flops_a_second: what all SMs reach together. operands: elements
    that a tile takes in at each depth, None: m + n.
    Not true for kernels that split K or stream over tiles without waves.
    """
    tiles = blocks * np.ceil(columns / n)
    deep = np.ceil(depth / DEPTH) * DEPTH
    arithmetic = 2.0 * m * n * deep / (flops_a_second / gpu.sms.value)
    taken_in = (
        (m + n if operands is None else operands)
        * deep
        * itemsize
        / (gpu.operand_bytes_per_clock.value * gpu.clock_hz.value)
    )
    return np.ceil(tiles * sms / gpu.sms.value) * np.maximum(arithmetic, taken_in) / sms


def fixed_seconds(blocks: Any, columns: Any, n: Any, gpu: Gpu, sms: int = 1) -> Any:
    """Seconds that tiles cost beyond their arithmetic: each fills its pipeline and writes its result. blocks: row blocks, those that only write zeros too."""
    return blocks * np.ceil(columns / n) * sms / gpu.sms.value * gpu.tile_s.value
