"""FLOPs of the backwards of products."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from condsim.program.operators import extent, work

SIZE = st.integers(1, 50)


@given(rows=SIZE, n=SIZE, k=SIZE, groups=SIZE)
def test_a_grouped_product_costs_three_times_itself_in_training(
    rows: int, n: int, k: int, groups: int
) -> None:
    ends = (groups,)
    once = work("_grouped_mm", [(rows, k), (groups, k, n), ends], [(rows, n)]).flops
    of_rows = work("_grouped_mm", [(rows, n), (groups, n, k), ends], [(rows, k)]).flops
    of_weight = work("_grouped_mm", [(n, rows), (rows, k), ends], [(groups, n, k)]).flops
    assert once == of_rows == of_weight == 2 * rows * n * k


def test_a_convolution_costs_two_products_more() -> None:
    image, weight, result = (2, 3, 8, 8), (4, 3, 3, 3), (2, 4, 8, 8)
    once = work("convolution", [image, weight], [result], (1, 1))
    assert once == work("conv2d", [image, weight], [result], (1, 1))
    both = work("convolution_backward", [result, image, weight], [image, weight, (4,)])
    first_layer = work("convolution_backward", [result, image, weight], [weight, (4,)])
    assert both.flops == 2 * first_layer.flops == 2 * once.flops


def test_a_convolution_of_many_batches_costs_what_each_does() -> None:
    batches = np.array([2, 5])
    image, weight, result = (batches, 3, 8, 8), (4, 3, 3, 3), (batches, 4, 8, 8)
    both = work("convolution_backward", [result, image, weight], [image, weight, (4,)])
    once = work("convolution", [image, weight], [result], (1, 1))
    np.testing.assert_array_equal(both.flops, 2 * once.flops)


def test_the_backward_of_attention_is_five_products() -> None:
    query, key = (2, 4, 8, 16), (2, 4, 32, 16)
    once = work("_scaled_dot_product_flash_attention_for_cpu", [query, key, key], [query])
    name = "_scaled_dot_product_flash_attention_for_cpu_backward"
    back = work(name, [query, query, key, key], [query, key, key])
    assert back.flops == 2.5 * once.flops


def test_a_part_of_a_stack_costs_what_the_stack_does() -> None:
    assert extent("select_backward", [(4, 5)], [(8, 4, 5)])[0] == 160
