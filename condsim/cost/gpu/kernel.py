"""One kernel on a GPU, and what each effect adds to it: where the effects are composed.

    matmul:  kernel_s + softmax(arithmetic in tiles, weights + activations) + fixed seconds of tiles
    others:  kernel_s + bytes / bandwidth (+ row_s * rows where one thread block sorts them)

A matmul's seconds are split over the waterfall by legal counterfactuals: an ideal device, + its
weights, + what tensor cores reach and its activations (no tiles), + tiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.cost.gpu import attention, collectives, matmul, scaled, traffic, two_four
from condsim.cost.gpu.grouped_tiles import TRTLLM_GEN
from condsim.cost.gpu.overlap import soft_maximum
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.hot import SizedOperator
from condsim.parallel.tensor import COLLECTIVES
from condsim.program import elements
from condsim.program.operators import facts
from condsim.program.work import MATMULS, Shape

INDEX_BYTES = 8
"""Of an index that names a row."""
EXPERT_S = 9.5e-8
"""Seconds that an expert costs the one thread block that sorts rows: it adds up their counts.
Source: github.com/sgl-project/sglang, pull request 14133: vLLM's kernel at 16 tokens takes 15.1,
20.5 and 33.4 us for 64, 128 and 256 experts."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The time of a kernel on the device.

    seconds: float or float array. worlds: what each effect adds beyond flops / peak, by world of
    the waterfall, the same shapes. flops: those that this device computes.
    """

    seconds: Any
    worlds: Mapping[str, Any]
    flops: Any


def kernel(
    operator: SizedOperator,
    device: GpuRates,
    groups_rows: np.ndarray | None = None,
    resident: Any = 0.0,
) -> Kernel:
    """The time of an operator that is one kernel.

    groups_rows: rows of each group of a grouped matmul, int [n, groups]; more groups than its
    weights have are elsewhere: their rows are written as zeros. resident: share of the weights that
    L2 has, number or array [n].
    """
    job, inputs, outputs = operator.work, operator.inputs, operator.outputs
    if operator.name in COLLECTIVES:
        return _collective_kernel(operator, device)
    if job.family not in MATMULS:
        return _moving_kernel(operator, device)
    params = operator.params
    if job.family == "grouped_mm":
        product = matmul.grouped(operator, device, groups_rows, resident)
    elif operator.name == two_four.NAME:
        product = matmul.two_four_sparse(job, inputs, outputs, params, device, resident)
    else:
        product = matmul.plain(operator, device, resident)
    if operator.name in attention.KERNELS:
        product = attention.KERNELS[operator.name](product, job, device)
    quantising_s = 0.0
    if operator.name != TRTLLM_GEN or params[0]:
        quantising_s = scaled.quantising_seconds(elements(inputs[0]), device)
    return _matmul_kernel(product, quantising_s, device)


def _matmul_kernel(product: matmul.Matmul, quantising_s: Any, device: GpuRates) -> Kernel:
    """The kernel of a matmul, its seconds split over the waterfall.

    quantising_s: seconds of the kernel before it that scales its activations.
    """
    overlap = device.gpu.overlap.value
    kernel_s = device.gpu.kernel_s.value
    ideal_s = product.flops / device.peak_flops_per_s
    with_weights_s = soft_maximum(ideal_s, product.weights_s, overlap)
    reached_s = product.flops / device.reached_flops_per_s
    traffic_s = product.weights_s + product.activations_s
    without_tiles_s = soft_maximum(reached_s, traffic_s, overlap)
    launch_s = kernel_s + 0.0 * ideal_s  # of the shape of the others
    worlds = {
        "weight_traffic": with_weights_s - ideal_s,
        "efficiency": without_tiles_s - with_weights_s + quantising_s,
        "quantisation": product.tiled_s - without_tiles_s,
        "launch": launch_s,
    }
    return Kernel(product.tiled_s + kernel_s + quantising_s, worlds, product.flops)


def _collective_kernel(operator: SizedOperator, device: GpuRates) -> Kernel:
    """A kernel of each rank that waits for the others; its start is in the links' seconds."""
    seconds = collectives.collective_seconds(operator, device)
    return Kernel(seconds, {"communication": seconds}, 0 * seconds)


def _moving_kernel(operator: SizedOperator, device: GpuRates) -> Kernel:
    """The kernel of an operator that computes nothing of note."""
    name, inputs, outputs = operator.name, operator.inputs, operator.outputs
    sorting_s: Any = 0.0
    if facts(name).one_thread_block:
        sorting_s = elements(inputs[0]) * device.gpu.row_s.value
        sorting_s = sorting_s + sum(operator.params) * EXPERT_S
    moved_bytes = _moved_bytes(name, inputs, outputs, device)
    seconds = traffic.stream_seconds(moved_bytes, device) + sorting_s
    kernel_s = device.gpu.kernel_s.value
    launch_s = kernel_s + 0.0 * seconds  # of the shape of the others
    worlds = {"gather": seconds, "launch": launch_s}
    return Kernel(seconds + kernel_s, worlds, 0 * seconds)


def _moved_bytes(name: str, inputs: list[Shape], outputs: list[Shape], device: GpuRates) -> Any:
    """Bytes read and written; of rows that indices name, whole sectors, not all of the source."""
    rows = _named_rows(name, inputs, outputs)
    if rows is not None:
        count, row_elements = _rows_and_length(rows)
        row_bytes = row_elements * device.itemsize
        rows_bytes = traffic.sector_bytes(count, row_bytes, device)
        return 2 * rows_bytes + INDEX_BYTES * count
    if facts(name).access == "by column":
        read_bytes = traffic.sector_bytes(elements(inputs[0]), device.itemsize, device)
        written_bytes = elements(outputs[0]) * device.itemsize
        return read_bytes + written_bytes
    moved_elements: Any = 0
    for shape in (*inputs, *outputs):
        moved_elements = moved_elements + elements(shape)
    return moved_elements * device.itemsize


def _named_rows(name: str, inputs: list[Shape], outputs: list[Shape]) -> Shape | None:
    """The shape of the rows that indices name; None where an operator goes over all in order."""
    if facts(name).access not in ("takes rows", "puts rows"):
        return None
    if len(inputs) < 2 or not outputs:
        return None
    in_place = name.endswith("_")
    source = inputs[-1] if in_place else inputs[0]
    if not source:
        return None
    return source if in_place else outputs[0]


def _rows_and_length(shape: Shape) -> tuple[Any, Any]:
    """(rows, elements of one); the elements of a vector are rows."""
    if len(shape) > 1:
        return elements(shape[:-1]), shape[-1]
    return elements(shape), 1
