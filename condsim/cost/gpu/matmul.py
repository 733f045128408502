"""A matmul on a GPU: its weights, its activations, and its arithmetic in tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from condsim.cost.gpu import grouped_tiles, split, tiles, traffic, two_four
from condsim.cost.gpu.overlap import soft_maximum
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.gpu.tiles import TileSize
from condsim.cost.hot import SizedOperator
from condsim.program import elements
from condsim.program.operators import facts
from condsim.program.work import Params, Shape, Work, even_rows


@dataclass(frozen=True, slots=True)
class Matmul:
    """A matmul in the terms of the waterfall; numbers or arrays [n].

    weights_s, activations_s: seconds of their traffic alone. tiled_s: of the whole in tiles,
    without the kernel's fixed seconds.
    """

    flops: Any
    weights_s: Any
    activations_s: Any
    tiled_s: Any


def plain(operator: SizedOperator, device: GpuRates, resident: Any) -> Matmul:
    """A product of one size, or a batch of them, in the number of parts that is the fastest.

    Each operand is read once: weights, keys and values, and beside the rows what is added to the
    result. resident: share of the weights that L2 has, 0 to 1, number or array [n].
    """
    job = operator.work
    places = facts(operator.name).operands
    weights: Any = 0
    activations: Any = 0
    for place, shape in enumerate(operator.inputs):
        if place in places:
            weights = weights + elements(shape)
        else:
            activations = activations + elements(shape)
    results = sum(map(elements, operator.outputs))
    weight_bytes = weights * device.weight_itemsize
    weights_s = traffic.weight_seconds(weight_bytes, resident, device)
    moved_bytes = activations * device.itemsize + results * device.result_itemsize
    activations_s = traffic.stream_seconds(moved_bytes, device, weight_bytes)
    traffic_s = weights_s + activations_s
    seconds = []
    for tile in tiles.sizes(device.gpu.tiles):
        for parts in split.PARTS:
            seconds.append(_in_parts(parts, job, tile, traffic_s, device))
    return Matmul(job.flops, weights_s, activations_s, tiles.fastest(seconds))


def _in_parts(parts: int, job: Work, tile: TileSize, traffic_s: Any, device: GpuRates) -> Any:
    """Seconds of a product that is cut into so many parts along its depth."""
    m = np.asarray(job.m, dtype=float)
    depth = job.k / parts
    results = job.groups * m * job.n
    blocks = job.groups * np.ceil(m / tile.m) * parts
    arithmetic_s = tiles.tiled_seconds(blocks, job.n, depth, tile, device)
    overlapped_s = _overlapped(arithmetic_s, traffic_s, device)
    fixed_s = tiles.fixed_seconds(blocks, job.n, tile, device)
    reduction_s = split.reduction_seconds(parts, results, device)
    return overlapped_s + fixed_s + reduction_s


def _overlapped(arithmetic_s: Any, traffic_s: Any, device: GpuRates) -> Any:
    """Seconds of arithmetic and traffic that hide each other in part."""
    return soft_maximum(arithmetic_s, traffic_s, device.gpu.overlap.value)


def two_four_sparse(
    job: Work,
    inputs: list[Shape],
    outputs: list[Shape],
    params: Params,
    device: GpuRates,
    resident: Any,
) -> Matmul:
    """A product of one size with one operand 2:4 sparse.

    params: (which input is sparse,): 0 = the activations, 1 = the weights. resident: as in `plain`.
    """
    limits = two_four.two_four_of(device.profile)
    sparse = params[0]
    itemsize = device.itemsize
    dense_depth = inputs[1][1]
    m, n, depth = two_four.padded(job.m, job.n, dense_depth, itemsize, sparse, limits)
    kept_share = two_four.sparse_bytes(1, 1, itemsize) / itemsize
    result_bytes = sum(map(elements, outputs)) * itemsize
    if sparse == 0:
        weight_bytes = n * depth * itemsize
        input_bytes = two_four.sparse_bytes(m, depth, itemsize)
    else:
        weight_bytes = two_four.sparse_bytes(n, depth, itemsize)
        input_bytes = elements(inputs[0]) * itemsize
    weights_s = traffic.weight_seconds(weight_bytes, resident, device)
    activations_s = traffic.stream_seconds(input_bytes + result_bytes, device)
    times = limits.times.value
    seconds = []
    for tile in tiles.sizes(device.gpu.tiles):
        blocks = np.ceil(m / tile.m)
        if sparse == 0:
            operands = tile.m * kept_share + tile.n
        else:
            operands = tile.m + tile.n * kept_share
        operand_bytes = operands * itemsize
        arithmetic_s = tiles.tiled_seconds(blocks, n, depth, tile, device, operand_bytes, times)
        overlapped_s = _overlapped(arithmetic_s, weights_s + activations_s, device)
        fixed_s = tiles.fixed_seconds(blocks, n, tile, device)
        seconds.append(overlapped_s + fixed_s)
    return Matmul(job.flops, weights_s, activations_s, tiles.fastest(seconds))


def grouped(
    operator: SizedOperator,
    device: GpuRates,
    groups_rows: np.ndarray | None,
    resident: Any,
) -> Matmul:
    """Ragged groups: the weights of the groups that have rows, and row blocks of each group.

    groups_rows: int [n, groups], None: as even as can be; groups beyond the number of weights are
    elsewhere. resident: as in `plain`.
    """
    job, inputs = operator.work, operator.inputs
    groups = int(np.max(job.groups))
    if groups_rows is None:
        groups_rows = even_rows(job.m, groups)
    near = groups_rows[..., :groups]
    elsewhere = groups_rows[..., groups:]
    rows = near.sum(-1)
    read_groups = (near > 0).sum(-1)
    weight_bytes = read_groups * job.n * job.k * device.weight_itemsize
    results = (rows + elsewhere.sum(-1)) * job.n
    activation_bytes = elements(inputs[0]) * device.itemsize + results * device.result_itemsize
    weights_s = traffic.weight_seconds(weight_bytes, resident, device)
    activations_s = traffic.stream_seconds(activation_bytes, device, weight_bytes)
    device = replace(device, by_tma=operator.name != grouped_tiles.BY_RULE)
    input_rows = np.broadcast_to(inputs[0][0], rows.shape)
    candidates = grouped_tiles.candidates(operator.name, operator.params, input_rows, device)
    seconds = []
    for tile in candidates:
        blocks = tiles.row_blocks(near, tile.m)
        zero_blocks = 0.0
        if elsewhere.shape[-1]:
            zero_blocks = tiles.row_blocks(elsewhere, tile.m)
        arithmetic_s = tiles.tiled_seconds(blocks, job.n, job.k, tile, device)
        overlapped_s = _overlapped(arithmetic_s, weights_s + activations_s, device)
        fixed_s = tiles.fixed_seconds(blocks + zero_blocks, job.n, tile, device)
        seconds.append(overlapped_s + fixed_s)
    flops = 2.0 * rows * job.n * job.k
    return Matmul(flops, weights_s, activations_s, tiles.fastest(seconds))
