"""What the backwards of products compute."""

from __future__ import annotations

import numpy as np

from condsim.program import elements
from condsim.program.work import OPERATORS, Params, Shape, Work

ATTENTION_PRODUCTS = 2.5
"""Products of attention's backward for one of its forward: scores anew, and two for each of both.

Source: Dao, FlashAttention-2, section 3.1: five products in the backward, two in the forward.
"""


@OPERATORS.register("convolution")
def convolution(inputs: list[Shape], outputs: list[Shape], params: Params) -> Work:
    """A convolution as autograd calls it: as an implicit matmul, as `conv2d`."""
    return OPERATORS["conv2d"](inputs, outputs, params)


@OPERATORS.register("convolution_backward")
def convolution_backward(inputs: list[Shape], outputs: list[Shape], _params: Params) -> Work:
    """Gradient [b, n, ...], input and weight: a product for each gradient that is wanted.

    Both cost what the forward costs, and are taken as one product of as many rows.
    """
    gradient, image, weight = inputs[:3]
    n = weight[0]
    m = elements(gradient) // n
    k = elements(weight[1:])
    wanted = [output for output in outputs if _same(output, image) or _same(output, weight)]
    products = max(1, len(wanted))
    flops = 2 * m * n * k * products
    return Work("linear", m * products, n, k, flops=flops)


def _same(one: Shape, other: Shape) -> bool:
    """Whether two shapes are the same; sizes may be arrays, one number a call."""
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@OPERATORS.register(
    "_scaled_dot_product_flash_attention_for_cpu_backward",
    "_scaled_dot_product_flash_attention_backward",
    "_scaled_dot_product_efficient_attention_backward",
    "_scaled_dot_product_cudnn_attention_backward",
)
def attention_backward(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """Gradient, q [b, h, m, d], k [b, h, n, d], v [b, h, n, dv]: taken as one product a head."""
    query, key, value = inputs[1:4]
    groups = elements(query[:-2])
    m, d = query[-2:]
    n = key[-2]
    k = (d + value[-1]) * ATTENTION_PRODUCTS
    flops = 2 * groups * m * n * k
    return Work("bmm", m, n, k, groups, flops)
