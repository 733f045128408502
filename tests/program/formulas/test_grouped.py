"""Products of grouped rows."""

from __future__ import annotations

from condsim.program.work import work

ROWS, K, N, EXPERTS = 64, 32, 16, 8


def test_every_row_meets_one_expert() -> None:
    grouped = work("_grouped_mm", [(ROWS, K), (EXPERTS, K, N), (EXPERTS,)], [(ROWS, N)])
    fused = work("fused_moe_mm", [(ROWS, K), (EXPERTS, N, K)], [(ROWS, N)])
    assert grouped.flops == fused.flops == 2 * ROWS * K * N
    assert grouped.groups == EXPERTS


def test_gradients_of_weights_are_a_product_for_the_rows_of_each_expert() -> None:
    job = work("_grouped_mm", [(K, ROWS), (ROWS, N), (EXPERTS,)], [(EXPERTS, K, N)])
    assert job.flops == 2 * ROWS * K * N
    assert job.groups * job.k == ROWS
