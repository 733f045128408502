"""Numbers of a profile: their uncertainty, and what no device has."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from condsim.hardware.quantity import UNCERTAINTY, Quantity, rising, within


def test_an_uncertainty_is_what_the_basis_says_unless_one_is_given() -> None:
    assert Quantity(value=1, basis="estimated").relative == UNCERTAINTY["estimated"]
    assert Quantity(value=1, basis="estimated", uncertainty=0.0).relative == 0.0


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1e30])
def test_a_figure_is_positive_and_finite(value: float) -> None:
    with pytest.raises(ValidationError):
        Quantity(value=value, basis="sourced")


def test_what_was_worked_out_of_old_values_is_left_behind() -> None:
    number = Quantity(value=1, basis="sourced")
    vars(number)["worked_out"] = "of 1"
    assert "worked_out" not in vars(number.model_copy(update={"value": 2}))


def test_a_value_outside_of_its_range_is_named() -> None:
    with pytest.raises(ValueError, match="sms must be from 1 to 100, got 1000"):
        within("sms", Quantity(value=1000, basis="sourced"), 1, 100)


def test_a_column_must_rise() -> None:
    rising("distance", [1, 2, 4])
    with pytest.raises(ValueError, match="distance must rise"):
        rising("distance", [1, 2, 2])
