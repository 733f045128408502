"""Products of sparse matrices."""

from __future__ import annotations

import pytest

from condsim.program.work import work

N, K, M = 32, 64, 16


@pytest.mark.parametrize("name", ["csr_mm", "csc_mm"])
def test_only_values_are_multiplied(name: str) -> None:
    dense = work("mm", [(N, K), (K, M)], [(N, M)]).flops
    for values in (N * K, N * K // 4):
        job = work(name, [(N + 1,), (values,), (values,), (K, M)], [(N, M)])
        assert job.flops == dense * values / (N * K)


def test_a_sampled_product_is_taken_where_there_are_values() -> None:
    name, values = "csr_sparse_sampled_addmm", 100
    job = work(name, [(N + 1,), (values,), (values,), (N, M), (M, K)], [(values,)])
    assert job.flops == 2 * values * M
