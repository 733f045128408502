"""What each operator computes: shapes → matmul sizes, FLOPs and elements moved. One registry, one short function an operator.

Functions take shapes whose entries are ints or int arrays [n] (n: rows of a table), and give `Work` of the same form.
FLOPs count a multiply and an add as two. Operators that are not registered move their inputs and outputs and compute nothing of note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from condsim.program import elements
from condsim.registry import Registry

Shape = tuple[Any, ...]


@dataclass(frozen=True)
class Work:
    """m, n, k, groups: sizes of the matmul inside ([groups] of m x k times k x n); 0 where there is none.
    flops: multiply-adds count two. read, written: elements of activations and results. family: which calibrated curve its time follows.
    """

    family: str
    m: Any = 0
    n: Any = 0
    k: Any = 0
    groups: Any = 1
    flops: Any = 0


Formula = Callable[[list[Shape], list[Shape], tuple[int, ...]], Work]
OPERATORS: Registry[Formula] = Registry("operator")


@OPERATORS.register("linear")
def linear(inputs: list[Shape], _outputs: list[Shape], _params: tuple[int, ...]) -> Work:
    """x [..., k] times w [n, k] transposed."""
    x, w = inputs[0], inputs[1]
    m = elements(x[:-1])
    return Work("linear", m, w[0], w[1], 1, 2 * m * w[0] * w[1])


@OPERATORS.register("two_four_linear")
def two_four_linear(inputs: list[Shape], _outputs: list[Shape], _params: tuple[int, ...]) -> Work:
    """x [..., k] times w [n, k] transposed, where of each four of k in a row only two of one operand are not zero: half the depth is multiplied.

    params: (which input is sparse,): 0 = x, 1 = w.
    """
    x, w = inputs[0], inputs[1]
    m = elements(x[:-1])
    return Work("linear", m, w[0], w[1] / 2, 1, m * w[0] * w[1])


@OPERATORS.register("mm")
def mm(inputs: list[Shape], _outputs: list[Shape], _params: tuple[int, ...]) -> Work:
    """[m, k] times [k, n]."""
    (m, k), (_, n) = inputs[0], inputs[1]
    return Work("linear", m, n, k, 1, 2 * m * n * k)


@OPERATORS.register("addmm")
def addmm(inputs: list[Shape], _outputs: list[Shape], _params: tuple[int, ...]) -> Work:
    """bias + [m, k] times [k, n]."""
    (m, k), (_, n) = inputs[1], inputs[2]
    return Work("linear", m, n, k, 1, 2 * m * n * k)


@OPERATORS.register("bmm")
def bmm(inputs: list[Shape], _outputs: list[Shape], _params: tuple[int, ...]) -> Work:
    """[g, m, k] times [g, k, n]."""
    (g, m, k), (_, _, n) = inputs[0], inputs[1]
    return Work("bmm", m, n, k, g, 2 * g * m * n * k)


@OPERATORS.register("matmul")
def matmul(inputs: list[Shape], outputs: list[Shape], _params: tuple[int, ...]) -> Work:
    """The general product: a bmm where both have more than two dimensions, else a linear layer."""
    a, b = inputs[0], inputs[1]
    if len(b) > 2 and len(a) > 2:
        g = elements(outputs[0][:-2])
        return Work("bmm", a[-2], b[-1], a[-1], g, 2 * g * a[-2] * b[-1] * a[-1])
    m, n = elements(a[:-1]), b[-1] if len(b) > 1 else 1
    return Work("linear", m, n, a[-1], 1, 2 * m * n * a[-1])


@OPERATORS.register("_grouped_mm")
def grouped_mm(inputs: list[Shape], _outputs: list[Shape], _params: tuple[int, ...]) -> Work:
    """x [m, k] in ragged groups times w [groups, k, n]; every row is in one group."""
    (m, k), (g, _, n) = inputs[0], inputs[1]
    return Work("grouped_mm", m, n, k, g, 2 * m * n * k)


@OPERATORS.register("fused_moe_mm")
def fused_moe_mm(inputs: list[Shape], outputs: list[Shape], _params: tuple[int, ...]) -> Work:
    """Rows taken from x [t, k] (or [t * top_k, k]) by expert, times w [groups, n, k] transposed, into [t * top_k, n]."""
    m, (g, n, k) = outputs[0][0], inputs[1]
    return Work("grouped_mm", m, n, k, g, 2 * m * n * k)


@OPERATORS.register("conv2d")
def conv2d(inputs: list[Shape], outputs: list[Shape], params: tuple[int, ...]) -> Work:
    """As an implicit matmul: m output positions, n output channels a group, k inputs a position."""
    w, out = inputs[1], outputs[0]
    groups = params[1] if len(params) > 1 else 1
    m = out[0] * elements(out[2:])
    n, k = w[0], elements(w[1:])
    return Work("conv2d", m, n, k, groups, 2 * m * n * k)


@OPERATORS.register("scaled_dot_product_attention")
def attention(inputs: list[Shape], _outputs: list[Shape], _params: tuple[int, ...]) -> Work:
    """q [b, h, m, d], k [b, h, n, d], v [b, h, n, dv]: two products a head (the causal half that a kernel may skip is counted)."""
    q, key, v = inputs[0], inputs[1], inputs[2]
    heads = elements(q[:-2])
    return Work(
        "attention", q[-2], key[-2], q[-1], heads, 2 * heads * q[-2] * key[-2] * (q[-1] + v[-1])
    )


@OPERATORS.register("einsum")
def einsum(inputs: list[Shape], outputs: list[Shape], _params: tuple[int, ...]) -> Work:
    """Taken as one product over the last dimension of its first input (exact for the contractions that layers use)."""
    k = inputs[0][-1]
    n = elements(outputs[0])
    return Work("bmm", 1, n, k, 1, 2 * n * k)


ELEMENTWISE = frozenset(
    (
        "add",
        "sub",
        "rsub",
        "mul",
        "div",
        "floor_divide",
        "remainder",
        "pow",
        "maximum",
        "minimum",
        "eq",
        "ne",
        "gt",
        "lt",
        "ge",
        "le",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "bitwise_not",
        "logical_and",
        "logical_or",
        "logical_not",
        "__and__",
        "__or__",
        "relu",
        "silu",
        "gelu",
        "sigmoid",
        "tanh",
        "softplus",
        "leaky_relu",
        "elu",
        "hardtanh",
        "clamp",
        "clamp_min",
        "clamp_max",
        "exp",
        "log",
        "rsqrt",
        "sqrt",
        "neg",
        "abs",
        "cos",
        "sin",
        "square",
        "reciprocal",
        "floor",
        "ceil",
    )
)
"""Operators that go over their operands element by element, so that it matters how these lie in memory; in place, too."""


def elementwise(name: str) -> bool:
    """Whether an operator is one of `ELEMENTWISE`."""
    return (name if name.startswith("_") else name.rstrip("_")) in ELEMENTWISE


GROUPED = ("_grouped_mm", "fused_moe_mm")  # one operator for all experts of a site
MATMULS = ("linear", "bmm", "grouped_mm", "conv2d", "attention")


def work(
    name: str, inputs: list[Shape], outputs: list[Shape], params: tuple[int, ...] = ()
) -> Work:
    """The work of one operator; family is the operator's own name (a trailing underscore removed) where it is not a matmul."""
    if name in OPERATORS:
        return OPERATORS[name](inputs, outputs, params)
    return Work(name.rstrip("_") if not name.startswith("_") else name)
