"""Which tiles a grouped product is tried with: by the library that it is of."""

from __future__ import annotations

import numpy as np

from condsim.cost.gpu import scaled, tiles
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.gpu.tiles import TileSize
from condsim.hardware.gpu import Tile
from condsim.program.work import Params

BY_RULE = "fused_moe_mm"
"""The product of vLLM's Triton kernel, which chooses its tile by the number of tokens, and whose
threads copy operands themselves: rows are taken by their index.
Its params: (rows that a token has in the input,)."""
TRTLLM_GEN = "trtllm_gen_mm"
"""The product of TensorRT-LLM's kernels, which compute weights times rows: the wide side of a tile
is of weights, and few rows of an expert leave little of it empty.
Its params: (whether a kernel before it makes its rows narrow,)."""
FEW_ROWS = [Tile(m=rows, n=128) for rows in (8, 16, 32, 64, 128)]
"""Of TRTLLM_GEN. Source: github.com/flashinfer-ai/flashinfer, trtllm_fused_moe_kernel_launcher.cu,
`tile_tokens_dim`; the other side is that of one instruction, 128."""


def candidates(
    name: str, params: Params, input_rows: np.ndarray, device: GpuRates
) -> list[TileSize]:
    """Return the tiles that a grouped product is tried with.

    input_rows: rows of its input, int array. Narrow weights have kernels that are tuned (Marlin:
    github.com/vllm-project/vllm, fused_moe), and so has a library's own grouped product.
    """
    if name == TRTLLM_GEN:
        return tiles.sizes([*FEW_ROWS, *device.gpu.tiles])
    if device.quantised and device.quantised.scaled_depth:
        return tiles.sizes(scaled.TILES)
    if name == BY_RULE and device.weight_itemsize == device.itemsize:
        return [tiles.by_rule(device.gpu.grouped_tiles, input_rows // params[0])]
    return tiles.sizes(device.gpu.tiles)
