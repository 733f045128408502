"""What plain and batched products of matrices compute."""

from __future__ import annotations

from typing import Any

from condsim.program import elements
from condsim.program.work import OPERATORS, Params, Shape, Work


@OPERATORS.register("linear")
def linear(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [..., k] times w [n, k] transposed."""
    x, w = inputs[:2]
    m = elements(x[:-1])
    n, k = w[:2]
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)


@OPERATORS.register("two_four_linear")
def two_four_linear(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [..., k] times w [n, k] transposed, one of them 2:4 sparse: half the depth is multiplied.

    params: (which input is sparse,): 0 = x, 1 = w. Of each four of its k in a row two are zero.
    """
    x, w = inputs[:2]
    m = elements(x[:-1])
    n, k = w[:2]
    flops = m * n * k
    return Work("linear", m, n, k / 2, flops=flops)


@OPERATORS.register("linear_dynamic", "linear_relu_dynamic", "linear_dynamic_fp16")
def quantised_linear(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """x [..., k] times weights that are packed into an object, to [..., n]."""
    return _rows_times(inputs[0], outputs[0][-1])


def _rows_times(x: Shape, n: Any) -> Work:
    """x [..., k] times [k, n]."""
    m = elements(x[:-1])
    k = x[-1]
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)


@OPERATORS.register("mm", "_int_mm", "_scaled_mm")
def mm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[m, k] times [k, n]."""
    return _plain_product(inputs[0], inputs[1])


@OPERATORS.register("addmm", "_addmm_activation")
def addmm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """bias + [m, k] times [k, n]."""
    return _plain_product(inputs[1], inputs[2])


def _plain_product(left: Shape, right: Shape) -> Work:
    m, k = left
    n = right[1]
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)


@OPERATORS.register("mv")
def mv(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[m, k] times [k]."""
    return _rows_times(inputs[0], 1)


@OPERATORS.register("addmv")
def addmv(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """bias + [m, k] times [k]."""
    return _rows_times(inputs[1], 1)


@OPERATORS.register("dot", "vdot")
def dot(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[k] times [k]."""
    return _rows_times(inputs[0], 1)


@OPERATORS.register("bmm")
def bmm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[groups, m, k] times [groups, k, n]."""
    return _stacked_product(inputs[0], inputs[1])


@OPERATORS.register("baddbmm", "addbmm")
def baddbmm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """bias + [groups, m, k] times [groups, k, n]."""
    return _stacked_product(inputs[1], inputs[2])


def _stacked_product(left: Shape, right: Shape) -> Work:
    groups, m, k = left
    n = right[2]
    flops = 2 * groups * m * n * k
    return Work("bmm", m, n, k, groups, flops)


@OPERATORS.register("cdist", "_cdist_forward")
def cdist(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Distances of [..., m, k] and [..., n, k], which are products of them."""
    left, right = inputs[:2]
    groups = elements(outputs[0][:-2])
    m, k = left[-2:]
    n = right[-2]
    flops = 2 * groups * m * n * k
    return Work("bmm", m, n, k, groups, flops)


@OPERATORS.register("matmul")
def matmul(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """The general product: a linear layer of a matrix or vector on the right, else a bmm."""
    left, right = inputs[:2]
    k = left[-1]
    if len(right) > 2:
        in_front = -2 if len(left) > 1 else -1
        groups = elements(outputs[0][:in_front])
        m = left[-2] if len(left) > 1 else 1
        n = right[-1]
        flops = 2 * groups * m * n * k
        return Work("bmm", m, n, k, groups, flops)
    m = elements(left[:-1])
    n = right[-1] if len(right) > 1 else 1
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)
