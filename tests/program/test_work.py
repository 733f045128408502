"""The matmul inside an operator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.program.work import OPERATORS, even_rows, out_of_place, work

SIZE = st.integers(1, 100)


@given(m=SIZE, n=SIZE, k=SIZE)
def test_products_of_one_size_have_the_same_flops(m: int, n: int, k: int) -> None:
    flops = 2 * m * n * k
    result = [(m, n)]
    assert work("linear", [(m, k), (n, k)], result).flops == flops
    assert work("mm", [(m, k), (k, n)], result).flops == flops
    assert work("addmm", [(n,), (m, k), (k, n)], result).flops == flops
    assert work("matmul", [(m, k), (k, n)], result).flops == flops
    assert work("bmm", [(1, m, k), (1, k, n)], [(1, m, n)]).flops == flops
    assert work("_grouped_mm", [(m, k), (3, k, n), (3,)], result).flops == flops
    assert work("two_four_linear", [(m, k), (n, k)], result, (1,)).flops == flops / 2


def test_a_convolution_is_a_product_over_positions() -> None:
    job = work("conv2d", [(2, 16, 8, 8), (32, 16, 3, 3)], [(2, 32, 8, 8)], (1, 1))
    assert (job.m, job.n, job.k) == (2 * 64, 32, 16 * 9)
    assert job.flops == 2 * job.m * job.n * job.k


def test_attention_is_two_products_a_head() -> None:
    query, key, value = (2, 4, 8, 64), (2, 4, 16, 64), (2, 4, 16, 32)
    job = work("scaled_dot_product_attention", [query, key, value], [(2, 4, 8, 32)])
    assert job.groups == 8
    assert job.flops == 2 * 8 * 8 * 16 * (64 + 32)


def test_a_stacked_matmul_is_a_bmm() -> None:
    job = work("matmul", [(2, 3, 8, 64), (2, 3, 64, 16)], [(2, 3, 8, 16)])
    assert (job.family, job.groups) == ("bmm", 6)


def test_other_operators_compute_nothing_of_note() -> None:
    job = work("add_", [(8, 64)], [(8, 64)])
    assert (job.family, job.flops) == ("add", 0)


def test_formulas_take_arrays() -> None:
    rows = np.array([1, 8])
    assert work("linear", [(rows, 64), (32, 64)], [(rows, 32)]).flops.tolist() == [4096, 32768]


@given(rows=st.integers(0, 500), groups=st.integers(1, 40))
def test_even_groups_hold_all_rows_and_differ_by_one_at_most(rows: int, groups: int) -> None:
    even = even_rows(rows, groups)
    assert even.shape == (groups,)
    assert even.sum() == rows
    assert even.max() - even.min() <= 1


def test_an_operator_has_one_formula() -> None:
    with pytest.raises(ValueError, match="operator 'linear' is registered twice"):
        OPERATORS.register("linear")(OPERATORS["mm"])


def test_names_in_place() -> None:
    names = ["add_", "add", "__and__", "_to_copy"]
    assert [out_of_place(name) for name in names] == ["add", "add", "__and__", "_to_copy"]
