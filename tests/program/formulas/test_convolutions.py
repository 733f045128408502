"""Convolutions as products."""

from __future__ import annotations

from condsim.program.work import work


def test_a_convolution_is_a_product_over_positions() -> None:
    job = work("conv2d", [(2, 16, 8, 8), (32, 16, 3, 3)], [(2, 32, 8, 8)], (1, 1))
    assert (job.m, job.n, job.k) == (2 * 64, 32, 16 * 9)
    assert job.flops == 2 * job.m * job.n * job.k


def test_groups_divide_the_depth() -> None:
    whole = work("conv2d", [(1, 16, 8, 8), (32, 16, 3, 3)], [(1, 32, 8, 8)], (1, 1))
    grouped = work("conv2d", [(1, 16, 8, 8), (32, 4, 3, 3)], [(1, 32, 8, 8)], (1, 4))
    assert 4 * grouped.flops == whole.flops


def test_a_transposed_convolution_costs_what_the_one_that_it_undoes_costs() -> None:
    forth = work("conv2d", [(2, 16, 9, 9), (32, 16, 3, 3)], [(2, 32, 4, 4)], (2, 1))
    back = work("conv_transpose2d", [(2, 32, 4, 4), (32, 16, 3, 3)], [(2, 16, 9, 9)])
    assert back.flops == forth.flops


def test_a_convolution_over_time_is_one_of_one_dimension() -> None:
    over_time = work("conv_tbc", [(10, 2, 16), (3, 16, 32)], [(8, 2, 32)])
    plain = work("conv1d", [(2, 16, 10), (32, 16, 3)], [(2, 32, 8)])
    assert over_time.flops == plain.flops
