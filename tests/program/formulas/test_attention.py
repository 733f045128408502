"""Attention, alone and with the layers around it."""

from __future__ import annotations

from condsim.program.work import work

BATCH, HEADS, QUERIES, KEYS, DEPTH = 2, 4, 8, 16, 64


def test_attention_is_two_products_a_head() -> None:
    query, key, value = (2, 4, 8, 64), (2, 4, 16, 64), (2, 4, 16, 32)
    job = work("scaled_dot_product_attention", [query, key, value], [(2, 4, 8, 32)])
    assert job.groups == 8
    assert job.flops == 2 * 8 * 8 * 16 * (64 + 32)


def test_heads_that_share_keys_multiply_as_much_as_others() -> None:
    query = (BATCH, HEADS, QUERIES, DEPTH)
    key = (BATCH, HEADS, KEYS, DEPTH)
    apart = work("scaled_dot_product_attention", [query, key, key], [query])
    for shared in (1, 2, HEADS):
        cache = (BATCH, shared, KEYS, 2 * DEPTH)
        paged = work("paged_attention", [query, cache], [query], (2 * DEPTH,))
        assert paged.flops == apart.flops
        causal = work("causal_attention", [query, cache], [query], (2 * DEPTH,))
        assert causal.flops == apart.flops // 2


def test_a_layer_is_its_projections_and_attention() -> None:
    hidden = HEADS * DEPTH
    x, wide, square = (BATCH, KEYS, hidden), (3 * hidden, hidden), (hidden, hidden)
    inputs = [x, x, x, wide, (3 * hidden,), square, (hidden,)]
    layer = work("_native_multi_head_attention", inputs, [x])
    heads = (BATCH, HEADS, KEYS, DEPTH)
    parts = [
        work("linear", [x, wide], [(BATCH, KEYS, 3 * hidden)]),
        work("linear", [x, square], [x]),
        work("scaled_dot_product_attention", [heads, heads, heads], [heads]),
    ]
    assert layer.flops == sum(part.flops for part in parts)
