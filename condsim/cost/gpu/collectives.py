"""What ranks of tensor parallelism do together: a kernel of each, which waits for links."""

from __future__ import annotations

from typing import Any

from condsim.cost.gpu.rates import GpuRates
from condsim.cost.hot import SizedOperator
from condsim.parallel.exchange import all_gather_seconds, reduced_seconds
from condsim.parallel.fabric import fabric_of
from condsim.parallel.tensor import ALL_REDUCE
from condsim.program import elements

SUMMED_BYTES = 2
"""Bytes of an element at least: products of narrower operands give 16 bits, which are added up
(`torch._scaled_mm` as vLLM and TensorRT-LLM call it)."""


def collective_seconds(operator: SizedOperator, device: GpuRates) -> Any:
    """Return the seconds of an all-reduce or an all-gather, number or array.

    operator: its input is the whole buffer, its params (ranks,). Raises CondsimError for a device
    that no fabric links.
    """
    (ranks,) = operator.params
    links = fabric_of(device.profile, device.fabric)
    links.nodes(ranks)
    size = elements(operator.inputs[0]) * max(device.itemsize, SUMMED_BYTES)
    if operator.name == ALL_REDUCE:
        return reduced_seconds(size, ranks, links)
    return all_gather_seconds(size, ranks, links.slowest(ranks))
