"""What products of grouped rows compute: the rows of each expert times its own weights."""

from __future__ import annotations

import numpy as np

from condsim.program.work import OPERATORS, Params, Shape, Work


@OPERATORS.register("_grouped_mm", "grouped_mm_fallback")
def grouped_mm(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """x [m, k] in ragged groups times w [groups, k, n]; every row is in one group.

    Of two matrices [m, rows] and [rows, n] the rows are in groups: the gradients of weights.
    """
    if len(inputs[1]) == 2:
        return _ragged_depth(inputs, outputs)
    m, k = inputs[0]
    groups, _, n = inputs[1]
    flops = 2 * m * n * k
    return Work("grouped_mm", m, n, k, groups, flops)


def _ragged_depth(inputs: list[Shape], outputs: list[Shape]) -> Work:
    """[m, rows] times [rows, n], a product for the rows of each group."""
    m, rows = inputs[0]
    n = inputs[1][1]
    groups = outputs[0][0]
    flops = 2 * m * rows * n
    return Work("bmm", m, n, np.maximum(rows / groups, 1), groups, flops)


@OPERATORS.register("fused_moe_mm", "trtllm_gen_mm")
def fused_moe_mm(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Rows of x, sorted by expert, times w [groups, n, k] transposed.

    x: [tokens, k], or [tokens * top_k, k]. The result is [tokens * top_k, n].
    """
    m = outputs[0][0]
    groups, n, k = inputs[1]
    flops = 2 * m * n * k
    return Work("grouped_mm", m, n, k, groups, flops)
