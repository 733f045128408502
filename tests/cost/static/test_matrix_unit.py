"""A padded product is never less than what was asked for, exact at whole blocks, and its own closed form in the limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.static.matrix_unit import padded_flops
from condsim.hardware import Matrix, hardware
from condsim.program.operators import work

V5E = hardware("google-tpu-v5e").matrix
assert V5E is not None
size = st.integers(1, 3000)


def linear(m: int, n: int, k: int):  # type: ignore[no-untyped-def]
    return work("linear", [(m, k), (n, k)], [(m, n)])


@given(size, size, size)
def test_never_less_than_asked_for(m: int, n: int, k: int) -> None:
    job = linear(m, n, k)
    assert padded_flops(job, V5E) >= job.flops


@given(size, size, size, st.integers(0, 500))
def test_monotone_in_rows(m: int, n: int, k: int, more: int) -> None:
    assert padded_flops(linear(m + more, n, k), V5E) >= padded_flops(linear(m, n, k), V5E)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 12))
def test_whole_blocks_waste_nothing(m: int, n: int, k: int) -> None:
    job = linear(8 * 4 * m, 128 * n, 128 * k)  # a multiple of the four units' rounds
    assert padded_flops(job, V5E) == job.flops


@given(size, size, size)
def test_one_element_blocks_on_one_unit_waste_nothing(m: int, n: int, k: int) -> None:
    one = {"value": 1, "basis": "estimated"}
    ideal = Matrix.model_validate({"units": one, "rows": one, "columns": one, "feed": one})
    job = linear(m, n, k)
    assert padded_flops(job, ideal) == job.flops
    assert padded_flops(job, None) == job.flops


def test_small_products_are_padded_to_one_round() -> None:
    assert (
        padded_flops(linear(1, 1, 1), V5E) == 4 * 2 * 8 * 128 * 128
    )  # four units work, three of them on nothing
    assert padded_flops(linear(64, 100, 100), V5E) == 2 * 64 * 128 * 128


def test_nothing_costs_nothing() -> None:
    assert padded_flops(linear(0, 128, 128), V5E) == 0


def test_groups_are_padded_one_by_one() -> None:
    """Eight groups of one row take eight blocks of 128 rows; one group of eight takes one."""
    job = work("_grouped_mm", [(8, 128), (8, 128, 128), (8,)], [(8, 128)])
    spread = padded_flops(job, V5E, np.ones((1, 8)))
    packed = padded_flops(job, V5E, np.array([[8, 0, 0, 0, 0, 0, 0, 0]]))
    assert spread == pytest.approx(8 * packed)


def test_arrays_give_what_numbers_give() -> None:
    m = np.array([1, 100, 4096])
    job = linear(m, 96, 200)  # type: ignore[arg-type]
    assert padded_flops(job, V5E).tolist() == [
        float(padded_flops(linear(int(r), 96, 200), V5E)) for r in m
    ]
