"""One kernel on a GPU, and what each effect adds to it: where the effects are composed.

    matmul:  kernel_s + softmax(arithmetic in tiles, weights + activations) + fixed seconds of its tiles
    others:  kernel_s + bytes / bandwidth (+ row_s * rows where one thread block sorts them)

A matmul's seconds are split over the waterfall by legal counterfactuals: an ideal device, + its weights, + what tensor cores reach and its activations
(no tiles), + tiles.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.cost.gpu import split, tiles, traffic, two_four
from condsim.cost.gpu.overlap import soft_maximum
from condsim.hardware import HardwareProfile
from condsim.hardware.gpu import Gpu
from condsim.program import elements
from condsim.program.operators import MATMULS, Shape, Work

GATHERS = (
    "index",
    "index_select",
    "embedding",
    "gather",
    "index_add_",
    "index_copy_",
    "index_put_",
    "index_put",
    "scatter_",
    "scatter_add_",
)
BY_COLUMN = ("transposed",)
ONE_BLOCK = ("moe_align_block_size",)


@dataclass(frozen=True, slots=True)
class Kernel:
    """seconds: on the device, float or float array. worlds: what each effect adds beyond flops / peak, by world of the waterfall, the same shapes."""

    seconds: Any
    worlds: Mapping[str, Any]
    flops: Any


def kernel(
    name: str,
    job: Work,
    inputs: list[Shape],
    outputs: list[Shape],
    params: tuple[int, ...],
    profile: HardwareProfile,
    dtype: str,
    itemsize: int,
    groups_rows: np.ndarray | None = None,
    resident: Any = 0.0,
) -> Kernel:
    """Device time of an operator that is one kernel.

    inputs, outputs: shapes, entries int or int array [n]. groups_rows: rows of each group of a grouped matmul, int [n, groups]; more groups than its
    weights have are elsewhere: their rows are written as zeros. resident: share of the weights that L2 has, number or array [n].
    """
    gpu = profile.gpu
    assert gpu is not None
    if job.family not in MATMULS:
        return _moves(name, inputs, outputs, profile, gpu, itemsize)
    peak = profile.peak_flops[dtype].value
    reached = peak * profile.matmul_efficiency.value
    if job.family == "grouped_mm":
        shape = _grouped(
            job, inputs, params, profile, gpu, itemsize, reached, groups_rows, resident
        )
    elif name == two_four.NAME:
        shape = _two_four(job, inputs, outputs, params, profile, gpu, itemsize, reached, resident)
    else:
        shape = _plain(job, inputs, outputs, profile, gpu, itemsize, reached, resident)
    ideal = shape.flops / peak
    weighted = soft_maximum(ideal, shape.weights_s, gpu.overlap.value)
    fluid = soft_maximum(
        shape.flops / reached, shape.weights_s + shape.activations_s, gpu.overlap.value
    )
    kernel_s = gpu.kernel_s.value
    worlds = {
        "weight_traffic": weighted - ideal,
        "efficiency": fluid - weighted,
        "quantisation": shape.tiled_s - fluid,
        "launch": kernel_s + 0.0 * ideal,
    }
    return Kernel(shape.tiled_s + kernel_s, worlds, shape.flops)


@dataclass(frozen=True, slots=True)
class _Matmul:
    """flops; seconds of its weights and of its activations alone, and of the whole in tiles."""

    flops: Any
    weights_s: Any
    activations_s: Any
    tiled_s: Any


def _plain(
    job: Work,
    inputs: list[Shape],
    outputs: list[Shape],
    profile: HardwareProfile,
    gpu: Gpu,
    itemsize: int,
    reached: float,
    resident: Any,
) -> _Matmul:
    """One size, or a batch of them."""
    second = elements(inputs[1]) * itemsize if len(inputs) > 1 else 0
    weights_s = traffic.weight_seconds(second, resident, profile, gpu)
    activations_s = traffic.stream_seconds(
        (elements(inputs[0]) + sum(map(elements, outputs))) * itemsize, profile, gpu
    )
    m = np.asarray(job.m, dtype=float)

    def tiled(tile_m: Any, tile_n: Any, sms: int) -> Any:
        return functools.reduce(
            np.minimum, (in_parts(parts, tile_m, tile_n, sms) for parts in split.PARTS)
        )

    def in_parts(parts: int, tile_m: Any, tile_n: Any, sms: int) -> Any:
        blocks = job.groups * np.ceil(m / tile_m) * parts
        arithmetic = tiles.tiled_seconds(
            blocks, job.n, job.k / parts, tile_m, tile_n, gpu, reached, itemsize, sms=sms
        )
        whole = soft_maximum(
            arithmetic, weights_s + activations_s, gpu.overlap.value
        ) + tiles.fixed_seconds(blocks, job.n, tile_n, gpu, sms)
        return whole + split.reduction_seconds(parts, job.groups * m * job.n, profile, gpu)

    return _Matmul(job.flops, weights_s, activations_s, tiles.fastest(gpu.tiles, tiled))


def _two_four(
    job: Work,
    inputs: list[Shape],
    outputs: list[Shape],
    params: tuple[int, ...],
    profile: HardwareProfile,
    gpu: Gpu,
    itemsize: int,
    reached: float,
    resident: Any,
) -> _Matmul:
    """One size, one operand 2:4 sparse (params: which)."""
    can, sparse = two_four.needs(profile), params[0]
    m, n, depth = two_four.padded(job.m, job.n, inputs[1][1], itemsize, sparse, can)
    kept = two_four.sparse_bytes(m if sparse == 0 else n, depth, itemsize)
    weights = kept if sparse == 1 else n * depth * itemsize
    weights_s = traffic.weight_seconds(weights, resident, profile, gpu)
    activations = (kept if sparse == 0 else elements(inputs[0]) * itemsize) + sum(
        map(elements, outputs)
    ) * itemsize
    activations_s = traffic.stream_seconds(activations, profile, gpu)
    share = two_four.sparse_bytes(1, 1, itemsize) / itemsize

    def tiled(tile_m: Any, tile_n: Any, sms: int) -> Any:
        blocks = np.ceil(m / tile_m)
        rows, columns = (tile_m * share, tile_n) if sparse == 0 else (tile_m, tile_n * share)
        arithmetic = tiles.tiled_seconds(
            blocks,
            n,
            depth,
            tile_m,
            tile_n,
            gpu,
            reached * can.times.value,
            itemsize,
            rows + columns,
            sms,
        )
        return soft_maximum(
            arithmetic, weights_s + activations_s, gpu.overlap.value
        ) + tiles.fixed_seconds(blocks, n, tile_n, gpu, sms)

    return _Matmul(job.flops, weights_s, activations_s, tiles.fastest(gpu.tiles, tiled))


def _grouped(
    job: Work,
    inputs: list[Shape],
    params: tuple[int, ...],
    profile: HardwareProfile,
    gpu: Gpu,
    itemsize: int,
    reached: float,
    groups_rows: np.ndarray | None,
    resident: Any,
) -> _Matmul:
    """Ragged groups: the weights of touched groups, row blocks of each group. params: (rows a token has in the input,) of the fused kernel."""
    here = int(np.max(job.groups))
    if groups_rows is None:
        m = np.asarray(job.m)[..., None]
        groups_rows = m // here + (np.arange(here) < m % here)
    near, far = groups_rows[..., :here], groups_rows[..., here:]
    rows = near.sum(-1)
    weights_s = traffic.weight_seconds(
        (near > 0).sum(-1) * job.n * job.k * itemsize, resident, profile, gpu
    )
    activations_s = traffic.stream_seconds(
        (elements(inputs[0]) + (rows + far.sum(-1)) * job.n) * itemsize, profile, gpu
    )

    def tiled(tile_m: Any, tile_n: Any, sms: int = 1) -> Any:
        blocks = tiles.row_blocks(near, tile_m)
        arithmetic = tiles.tiled_seconds(
            blocks, job.n, job.k, tile_m, tile_n, gpu, reached, itemsize, sms=sms
        )
        zeros = tiles.row_blocks(far, tile_m) if far.shape[-1] else 0.0
        return soft_maximum(
            arithmetic, weights_s + activations_s, gpu.overlap.value
        ) + tiles.fixed_seconds(blocks + zeros, job.n, tile_n, gpu, sms)

    if params:
        seconds = tiled(
            *tiles.by_rule(
                gpu.grouped_tiles, np.broadcast_to(inputs[0][0] // params[0], rows.shape)
            )
        )
    else:
        seconds = tiles.fastest(gpu.tiles, tiled)
    return _Matmul(2.0 * rows * job.n * job.k, weights_s, activations_s, seconds)


def _moves(
    name: str,
    inputs: list[Shape],
    outputs: list[Shape],
    profile: HardwareProfile,
    gpu: Gpu,
    itemsize: int,
) -> Kernel:
    """Elements read and written; a gather moves whole sectors of what its indices name, not its whole source."""
    serial: Any = 0.0
    if name in GATHERS and len(inputs) > 1 and outputs and inputs[-1 if name.endswith("_") else 0]:
        named = outputs[0] if not name.endswith("_") else inputs[-1]
        length = named[-1] if len(named) > 1 else 1
        rows = elements(named[:-1]) if len(named) > 1 else elements(named)
        moved = 2 * traffic.sector_bytes(rows, length * itemsize, gpu) + 8 * rows
    elif name in BY_COLUMN:
        moved = (
            traffic.sector_bytes(elements(inputs[0]), itemsize, gpu)
            + elements(outputs[0]) * itemsize
        )
    else:
        moved = sum((elements(s) for s in [*inputs, *outputs]), 0) * itemsize
    if name in ONE_BLOCK:
        serial = elements(inputs[0]) * gpu.row_s.value
    seconds = traffic.stream_seconds(moved, profile, gpu) + serial
    kernel_s = gpu.kernel_s.value
    return Kernel(
        seconds + kernel_s, {"gather": seconds, "launch": kernel_s + 0.0 * seconds}, 0 * seconds
    )
