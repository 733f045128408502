"""The matmul inside an operator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.program.work import OPERATORS, even_rows, out_of_place, work


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
