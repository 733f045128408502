"""Products of matrices."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from condsim.program.work import work

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


def test_a_stacked_matmul_is_a_bmm() -> None:
    job = work("matmul", [(2, 3, 8, 64), (2, 3, 64, 16)], [(2, 3, 8, 16)])
    assert (job.family, job.groups) == ("bmm", 6)


@given(m=SIZE, k=SIZE)
def test_vectors_are_matrices_of_one_column(m: int, k: int) -> None:
    assert work("mv", [(m, k), (k,)], [(m,)]).flops == 2 * m * k
    assert work("addmv", [(m,), (m, k), (k,)], [(m,)]).flops == 2 * m * k
    assert work("dot", [(k,), (k,)], [()]).flops == 2 * k


def test_distances_are_products_of_both_sets_of_points() -> None:
    job = work("cdist", [(3, 8, 64), (3, 16, 64)], [(3, 8, 16)])
    assert job.flops == work("bmm", [(3, 8, 64), (3, 64, 16)], [(3, 8, 16)]).flops
