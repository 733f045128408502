"""Products of two sides with scales: sums over a block are scaled outside of the tensor cores.

    seconds of a tile = (depth / block) * 2 m n / (lanes * clock), after its arithmetic
    activations before it = a kernel of its own, which reads them and writes them narrow

Tensor cores know no scales, so each sum over a block of depth is moved to registers, multiplied
with the scale of its row and of its column, and added: two operations an element, by the same warps
that start the products and wait for them. Activations are scaled by a kernel before each product.
Source: DeepSeek-AI, 2024, "DeepSeek-V3", section 3.3.2, "Increasing accumulation precision";
github.com/vllm-project/vllm, `fused_moe_kernel` and `per_token_group_quant_fp8`.
Not true of DeepGEMM, whose warp groups scale the sums of one tile while another one's are computed.
"""

from __future__ import annotations

from typing import Any

from condsim.cost.gpu import traffic
from condsim.cost.gpu.rates import GpuRates
from condsim.hardware.gpu import Tile

LANES = 128
"""Operations in fp32 that an SM does in a cycle. Source: NVIDIA CUDA C++ Programming Guide,
"Arithmetic Instructions", compute capability 8.9, 9.0 and 10.0."""
OPERATIONS = 2
"""For each sum: times the scale of its row, then times that of its column and added to the rest."""
TILES = [Tile(m=64, n=128)]
"""The one tile, whatever the size. Source: github.com/vllm-project/vllm,
`get_default_config` in fused_moe.py, for `fp8_w8a8` with a block shape."""


def scaling_seconds(results: Any, depth: Any, device: GpuRates) -> Any:
    """Seconds that an SM takes to scale the sums of a tile; 0 where none are scaled.

    results: elements of the tile. depth: elements that each is a sum of. Numbers or arrays.
    """
    if device.quantised is None or not device.quantised.scaled_depth:
        return 0.0
    sums = results * depth / device.quantised.scaled_depth
    return OPERATIONS * sums / (LANES * device.gpu.clock_hz.value)


def quantising_seconds(count: Any, device: GpuRates) -> Any:
    """Seconds of the kernel that scales the activations of a product; 0 where none are scaled.

    count: elements, number or array.
    """
    if device.quantised is None:
        return 0.0
    moved_bytes = count * (device.quantised.row_itemsize + device.itemsize)
    return device.gpu.kernel_s.value + traffic.stream_seconds(moved_bytes, device)
