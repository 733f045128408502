"""What the time of an operator is asked for and rests on."""

from __future__ import annotations

import numpy as np

from condsim.cost.hot import SizedOperator, basis_of, number_or_array


def test_some_of_its_sizes() -> None:
    rows = np.array([1, 2, 3])
    width = np.full(3, 8)
    operator = SizedOperator("linear", [(rows, width), (width, width)], [(rows, width)])
    some = operator.at(slice(1, 3))
    assert some.work.m.tolist() == [2, 3]
    assert some.moved_elements.tolist() == [16 + 64 + 16, 24 + 64 + 24]


def test_what_a_time_rests_on_is_one_word_where_it_is_the_same() -> None:
    assert basis_of(np.array([False, False])) == "calibrated"
    assert basis_of(True) == "extrapolated"
    assert basis_of(np.array([True, False])).tolist() == ["extrapolated", "calibrated"]


def test_one_value_is_a_float() -> None:
    assert isinstance(number_or_array(np.array(2.0)), float)
    assert number_or_array(np.array([2.0])).tolist() == [2.0]
