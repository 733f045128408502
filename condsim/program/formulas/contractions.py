"""What products over any dimensions of their inputs compute."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from condsim.program import elements
from condsim.program.einsum import contractions
from condsim.program.work import OPERATORS, Params, Shape, Work


@OPERATORS.register("bilinear")
def bilinear(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [..., i], y [..., j], w [n, i, j]: a product with x, and another of the result with y."""
    x, _, w = inputs[:3]
    m = elements(x[:-1])
    n, i, j = w
    flops = 2 * m * n * j * (i + 1)
    return Work("linear", m, n * j, i + 1, flops=flops)


@OPERATORS.register("linalg_vecdot")
def vecdot(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """[..., k] times [..., k], element by element, and summed up."""
    longer = np.maximum(elements(inputs[0]), elements(inputs[1]))
    m = elements(outputs[0])
    return Work("linear", m, 1, longer / np.maximum(m, 1), flops=2 * longer)


@OPERATORS.register("inner", "tensordot")
def tensordot(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Products over dimensions that both inputs have and the result has not."""
    left, right = (elements(shape) for shape in inputs[:2])
    results = elements(outputs[0])
    shared = np.maximum(left, 1.0) * np.maximum(right, 1.0) / np.maximum(results, 1)
    k = _whole(np.sqrt(shared))
    m = left // np.maximum(k, 1)
    n = right // np.maximum(k, 1)
    flops = 2 * results * k
    return Work("linear", m, n, k, flops=flops)


def _whole(value: Any) -> Any:
    """The nearest whole number, int or int array."""
    whole = np.rint(value).astype(np.int64)
    return whole if np.ndim(value) else int(whole)


@OPERATORS.register("linalg_multi_dot", "chain_matmul")
def chain(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """Matrices one after the other, in the order of the fewest FLOPs."""
    first, last = inputs[0], inputs[-1]
    sizes = [first[0] if len(first) > 1 else 1]
    sizes += [shape[0] for shape in inputs[1:]]
    size = last[1] if len(last) > 1 else 1
    sizes.append(size)
    fewest: dict[tuple[int, int], Any] = {(i, i): 0 for i in range(len(inputs))}
    for length in range(1, len(inputs)):
        for i in range(len(inputs) - length):
            j = i + length
            ways = []
            for cut in range(i, j):
                last_product = 2 * sizes[i] * sizes[cut + 1] * sizes[j + 1]
                ways.append(fewest[i, cut] + fewest[cut + 1, j] + last_product)
            fewest[i, j] = functools.reduce(np.minimum, ways)
    flops = fewest[0, len(inputs) - 1]
    m, k = sizes[:2]
    return Work("linear", m, flops / np.maximum(2 * m * k, 1), k, flops=flops)


@OPERATORS.register("einsum")
def einsum(inputs: list[Shape], outputs: list[Shape], params: Params) -> Work:
    """Products of two inputs after another, from the left.

    params: the characters of the equation as numbers; none in traces of before, whose product is
    taken to be over the last dimension of the first input.
    """
    if not params:
        k = inputs[0][-1]
        n = elements(outputs[0])
        flops = 2 * n * k
        return Work("bmm", 1, n, k, flops=flops)
    products = contractions("".join(map(chr, params)), inputs)
    flops = sum(2 * p.groups * p.m * p.n * p.k for p in products)
    if not products:
        return Work("einsum")
    first = products[0]
    of_first = 2 * first.groups * first.m * first.k
    return Work("bmm", first.m, flops / np.maximum(of_first, 1), first.k, first.groups, flops)
