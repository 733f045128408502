"""The sweep of sparse products: sizes, calls that run, tables of their times."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from condsim.calibrate import shapes, sparse
from condsim.calibrate.sparse_calls import Sparse, chosen, compressed, multiplied, sampled, turned
from condsim.cost.cpu.scattered import scatter_seconds
from condsim.timing.cases import Pool

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")


def test_a_compressed_matrix_has_as_many_values_as_asked_for() -> None:
    matrix = compressed(Pool(), 6, 50, 42)
    rows = matrix.to_dense() != 0
    assert int(rows.sum()) == 42
    assert matrix.col_indices().tolist() == [column for row in rows for column in row.nonzero()]
    assert matrix.crow_indices().tolist() == [0, *rows.sum(1).cumsum(0).tolist()]


@pytest.mark.parametrize("flags", [(0, 0), (1, 1)])
def test_calls_multiply(flags: tuple[int, int]) -> None:
    size = Sparse(12, 20, 9, 12 * 5, *flags)
    assert multiplied(Pool(), size)().shape == (12, 9)
    assert turned(Pool(), size)().shape == (12, 9)
    result = sampled(Pool(), size)()
    assert result.layout == torch.sparse_csr
    assert len(result.values()) == 60


def test_as_many_are_chosen_as_a_mask_moves() -> None:
    size = Sparse(30, 40, 1, 300, 0, 0)
    values, places = chosen(Pool(), size)()
    assert len(values) == len(places) == size.moved == 90
    assert bool(torch.isfinite(values).all())


def test_cases_have_names_of_their_own_and_run() -> None:
    cases = sparse.cases(Pool(), shapes.TINY)
    families = {key[0] for key in cases}
    assert families == {*sparse.FAMILIES, "sparse view"}
    for name in sparse.FAMILIES:
        key = next(key for key in cases if key[0] == name)
        cases[key]()()


def test_nothing_is_timed_in_bf16() -> None:
    assert sparse.cases(Pool(torch.bfloat16), shapes.TINY) == {}
    assert sparse.tables({}, shapes.TINY) == {}


def test_tables_find_the_law_that_times_follow() -> None:
    """Times that follow a law are found again at sizes that nobody timed."""
    seconds = {}
    for point in sparse.points("csr_mm", shapes.NORMAL):
        seconds["csr_mm", *point] = 1e-6 + 1e-9 * point.values + 2e-11 * point.values * point.m
    table = sparse.tables(seconds, shapes.NORMAL)["csr_mm"]
    n, k, m, values = np.array([[300, 784, 64, 23520], [512, 512, 128, 26214]], float).T
    columns = {"n": n, "k": k, "m": m, "values": values, "apart": 0.0}
    found, outside = scatter_seconds("csr_mm", table, columns)
    assert not outside.any()
    np.testing.assert_allclose(found, 1e-6 + 1e-9 * values + 2e-11 * values * m, rtol=0.02)


def test_views_have_curves() -> None:
    curves = sparse.view_curves({("sparse view", "csr_t"): 2e-6, ("csr_mm", 1): 1.0})
    assert list(curves) == ["csr_t.view"]
    assert curves["csr_t.view"].seconds == [[2e-6]]
