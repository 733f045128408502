"""Products over any dimensions."""

from __future__ import annotations

from condsim.program.work import work


def letters(equation: str) -> tuple[int, ...]:
    return tuple(map(ord, equation))


def test_an_equation_of_two_matrices_is_their_product() -> None:
    job = work("einsum", [(8, 64), (64, 16)], [(8, 16)], letters("ik,kj->ij"))
    assert job.flops == 2 * 8 * 64 * 16


def test_a_chain_is_multiplied_in_the_cheapest_order() -> None:
    job = work("linalg_multi_dot", [(10, 100), (100, 5), (5, 50)], [(10, 50)])
    assert job.flops == 2 * (10 * 100 * 5 + 10 * 5 * 50)


def test_a_contraction_finds_the_dimension_that_both_inputs_share() -> None:
    job = work("tensordot", [(8, 4, 16), (4, 16, 32)], [(8, 32)])
    assert (job.m, job.k, job.n) == (8, 64, 32)
    assert job.flops == 2 * 8 * 64 * 32


def test_two_inputs_meet_at_a_weight_for_each_output() -> None:
    job = work("bilinear", [(8, 16), (8, 32), (4, 16, 32)], [(8, 4)])
    first, second = 2 * 8 * 4 * 16 * 32, 2 * 8 * 4 * 32
    assert job.flops == first + second


def test_vectors_side_by_side_are_summed_up() -> None:
    job = work("linalg_vecdot", [(8, 64), (8, 64)], [(8,)])
    assert job.flops == 2 * 8 * 64
