"""What each operator computes: shapes → sizes of the matmul inside, and FLOPs.

One registry, one short function an operator. The functions take shapes whose entries are ints or
int arrays [n] (n: rows of a table), and return `Work` of the same form. FLOPs count a multiply and
an add as two. An operator that is not registered moves its inputs and outputs and computes nothing
of note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.program import elements
from condsim.registry import Registry

Shape = tuple[Any, ...]
Params = tuple[int, ...]

GROUPED = ("_grouped_mm", "fused_moe_mm")
"""Operators that multiply the rows of all experts of a site at once."""
MATMULS = ("linear", "bmm", "grouped_mm", "conv2d", "attention")
"""Families of operators that are matmuls."""


@dataclass(frozen=True)
class Work:
    """The matmul inside an operator: `groups` products of [m, k] and [k, n].

    family: which matmul it is, one of `MATMULS`; of any other operator its own name.
    m, n, k: sizes of the product; 0 where there is none.
    groups: number of products; of a grouped matmul the number of weights, which share the m rows.
    flops: a multiply and an add count two.
    """

    family: str
    m: Any = 0
    n: Any = 0
    k: Any = 0
    groups: Any = 1
    flops: Any = 0

    def at(self, rows: slice) -> Work:
        """Return the work of some rows of the table; a number is the same for all."""
        sizes = [self.m, self.n, self.k, self.groups, self.flops]
        chosen = [size[rows] if np.ndim(size) else size for size in sizes]
        return Work(self.family, *chosen)


Formula = Callable[[list[Shape], list[Shape], Params], Work]
OPERATORS: Registry[Formula] = Registry("operator")


def work(name: str, inputs: list[Shape], outputs: list[Shape], params: Params = ()) -> Work:
    """The work of one operator.

    name: as recorded. inputs, outputs: shapes. params: what else its formula needs, such as a
    stride; see `condsim.program.Op`.
    Raises CondsimError for tensors that the operator could not have.
    """
    if name not in OPERATORS:
        return Work(out_of_place(name))
    try:
        return OPERATORS[name](inputs, outputs, params)
    except (IndexError, ValueError, TypeError, ArithmeticError) as error:
        dims = [len(shape) for shape in (*inputs, *outputs)]
        raise CondsimError(
            f"operator {name} cannot have {len(inputs)} inputs and {len(outputs)} outputs of "
            f"{dims} dimensions and these sizes ({error})"
        ) from error


def out_of_place(name: str) -> str:
    """The name of the operator that does the same without overwriting its input: add_ → add.

    A name that begins with an underscore (`__and__`) is kept.
    """
    return name if name.startswith("_") else name.rstrip("_")


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


@OPERATORS.register("mm")
def mm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[m, k] times [k, n]."""
    return _plain_product(inputs[0], inputs[1])


@OPERATORS.register("addmm")
def addmm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """bias + [m, k] times [k, n]."""
    return _plain_product(inputs[1], inputs[2])


def _plain_product(left: Shape, right: Shape) -> Work:
    m, k = left
    n = right[1]
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)


@OPERATORS.register("bmm")
def bmm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """[groups, m, k] times [groups, k, n]."""
    groups, m, k = inputs[0]
    n = inputs[1][2]
    flops = 2 * groups * m * n * k
    return Work("bmm", m, n, k, groups, flops)


@OPERATORS.register("matmul")
def matmul(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """The general product: a bmm where both have more than two dimensions, else a linear layer."""
    left, right = inputs[:2]
    k = left[-1]
    if len(right) > 2 and len(left) > 2:
        groups = elements(outputs[0][:-2])
        m = left[-2]
        n = right[-1]
        flops = 2 * groups * m * n * k
        return Work("bmm", m, n, k, groups, flops)
    m = elements(left[:-1])
    n = right[-1] if len(right) > 1 else 1
    flops = 2 * m * n * k
    return Work("linear", m, n, k, flops=flops)


@OPERATORS.register("_grouped_mm")
def grouped_mm(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [m, k] in ragged groups times w [groups, k, n]; every row is in one group."""
    m, k = inputs[0]
    groups, _, n = inputs[1]
    flops = 2 * m * n * k
    return Work("grouped_mm", m, n, k, groups, flops)


@OPERATORS.register("fused_moe_mm")
def fused_moe_mm(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Rows of x, sorted by expert, times w [groups, n, k] transposed.

    x: [tokens, k], or [tokens * top_k, k]. The result is [tokens * top_k, n].
    """
    m = outputs[0][0]
    groups, n, k = inputs[1]
    flops = 2 * m * n * k
    return Work("grouped_mm", m, n, k, groups, flops)


@OPERATORS.register("conv2d")
def conv2d(inputs: list[Shape], outputs: list[Shape], params: Params) -> Work:
    """A convolution as an implicit matmul.

    m: output positions of all images. n: output channels. k: inputs of one position in its group.
    params: (stride, groups).
    """
    w = inputs[1]
    out = outputs[0]
    groups = params[1] if len(params) > 1 else 1
    m = out[0] * elements(out[2:])
    n = w[0]
    k = elements(w[1:])
    flops = 2 * m * n * k
    return Work("conv2d", m, n, k, groups, flops)


@OPERATORS.register("scaled_dot_product_attention")
def attention(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """q [b, h, m, d], k [b, h, n, d], v [b, h, n, dv]: two products a head.

    The half of them that a causal kernel may skip is counted.
    """
    query, key, value = inputs[:3]
    heads = elements(query[:-2])
    m, d = query[-2:]
    n = key[-2]
    dv = value[-1]
    flops = 2 * heads * m * n * (d + dv)
    return Work("attention", m, n, d, heads, flops)


@OPERATORS.register("einsum")
def einsum(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Taken as one product over the last dimension of its first input.

    Exact for the contractions that layers use.
    """
    k = inputs[0][-1]
    n = elements(outputs[0])
    flops = 2 * n * k
    return Work("bmm", 1, n, k, flops=flops)


def even_rows(rows: Any, groups: int) -> np.ndarray:
    """Rows of each group where rows are spread as evenly as can be, int [groups] or [n, groups].

    rows: of all groups together, int or int array [n].
    """
    together = np.asarray(rows)[..., None]
    gets_one_more = np.arange(groups) < together % groups
    even: np.ndarray = together // groups + gets_one_more
    return even
