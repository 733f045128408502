"""What attention computes, alone and with the layers around it."""

from __future__ import annotations

from typing import Any

from condsim.program import elements
from condsim.program.work import OPERATORS, Params, Shape, Work


@OPERATORS.register(
    "scaled_dot_product_attention",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_fused_attention_overrideable",
)
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


@OPERATORS.register("paged_attention", "unpacked_attention")
def paged_attention(inputs: list[Shape], _outputs: list[Shape], params: Params) -> Work:
    """q [b, h, m, d], keys and values together [b, heads that share them, n, width].

    params: (depth of both products together,). The queries of heads that share keys are the rows of
    one product. Unpacked it is the same work, in a kernel where they are not.
    """
    query, cache = inputs[:2]
    batch, heads, m = query[:3]
    shared, n = cache[1], cache[2]
    depth = params[0]
    rows = heads * m // shared
    groups = batch * shared
    return Work("attention", rows, n, depth, groups, 2 * groups * rows * n * depth)


@OPERATORS.register("causal_attention")
def causal_attention(inputs: list[Shape], outputs: list[Shape], params: Params) -> Work:
    """As `paged_attention`, where a query sees the positions before it only: half of them."""
    whole = paged_attention(inputs, outputs, params)
    return Work("attention", whole.m, whole.n / 2, whole.k, whole.groups, whole.flops // 2)


@OPERATORS.register("_native_multi_head_attention")
def attention_layer(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """q, k, v [b, t, d], and weights of both projections, each before its bias."""
    query, key = inputs[:2]
    return _with_attention(query, key[1], [inputs[3], inputs[5]])


@OPERATORS.register("_transformer_encoder_layer_fwd")
def encoder_layer(inputs: list[Shape], _outputs: list[Shape], _params: Params) -> Work:
    """x [b, t, d], weights of two projections, two norms, weights of two layers, with biases."""
    x = inputs[0]
    return _with_attention(x, x[1], [inputs[place] for place in (1, 3, 9, 11)])


def _with_attention(x: Shape, keys: Any, weights: list[Shape]) -> Work:
    """Rows of x [b, t, d] times each of the weights, and attention to so many keys.

    It is taken as one product of the same FLOPs.
    """
    m = elements(x[:-1])
    k = x[-1]
    products = sum(elements(weight) for weight in weights)
    flops = 2 * m * products + 4 * m * keys * k
    return Work("linear", m, products / k + 2 * keys, k, flops=flops)
