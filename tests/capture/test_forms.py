"""Sizes as forms of the variables of a run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from condsim.capture.forms import fit_dim
from condsim.program import Dim

SAMPLES = [{"batch": batch, "seq": seq} for batch, seq in ((2, 5), (3, 7), (2, 11), (5, 6))]


@given(coefficient=st.integers(1, 9), constant=st.integers(0, 9))
def test_a_line_holds_at_sizes_that_were_not_seen(coefficient: int, constant: int) -> None:
    values = tuple(coefficient * sample["seq"] + constant for sample in SAMPLES)
    form = fit_dim(values, SAMPLES)
    assert form is not None
    assert form({"batch": 9, "seq": 100}) == coefficient * 100 + constant


@given(coefficient=st.integers(1, 9))
def test_a_product_of_variables_is_found(coefficient: int) -> None:
    values = tuple(coefficient * sample["batch"] * sample["seq"] for sample in SAMPLES)
    form = fit_dim(values, SAMPLES)
    assert form is not None
    assert form({"batch": 4, "seq": 10}) == coefficient * 40


def test_an_equal_size_is_a_constant() -> None:
    assert fit_dim((7, 7, 7, 7), SAMPLES) == Dim(7)


def test_what_fits_no_form_is_refused() -> None:
    values = tuple(sample["seq"] ** 2 + sample["batch"] for sample in SAMPLES)
    assert fit_dim(values, SAMPLES) is None


def test_two_sizes_do_not_tell_a_constant() -> None:
    two = [{"batch": 2}, {"batch": 3}]
    assert fit_dim((12, 13), two) is None
    spare_row = fit_dim((3, 4), two)
    assert spare_row is not None
    assert spare_row({"batch": 10}) == 11
