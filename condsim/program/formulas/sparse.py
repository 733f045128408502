"""What products of sparse matrices compute: their values only."""

from __future__ import annotations

from typing import Any

from condsim.program.work import OPERATORS, Params, Shape, Work


@OPERATORS.register("csr_mm")
def sparse_rows_mm(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Compressed sparse rows [n, k], in their three parts, times [k, m]."""
    return _of_values("csr_mm", inputs, inputs[3][1], outputs[0][0])


@OPERATORS.register("csc_mm")
def sparse_columns_mm(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Compressed sparse columns [n, k], in their three parts, times [k, m]."""
    return _of_values("csc_mm", inputs, inputs[3][1], outputs[0][0])


@OPERATORS.register("csr_sparse_sampled_addmm")
def sampled_product(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[n, m] times [m, k] where compressed sparse rows [n, k], in three parts, have values."""
    return _of_values("csr_sparse_sampled_addmm", inputs, inputs[3][1], inputs[3][0])


def _of_values(family: str, inputs: list[Shape], m: Any, n: Any) -> Work:
    """A product that multiplies each value of a sparse matrix m times. n: rows of the result."""
    values = inputs[2][0]
    return Work(family, m, n, values / n, flops=2 * values * m)
