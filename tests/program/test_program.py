"""Sizes and programs as data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gates.models import case
from hypothesis import given
from hypothesis import strategies as st

from condsim.capture.forms import fit_dim
from condsim.errors import CondsimError
from condsim.program import Dim, Product, from_json, to_json

VALUES = st.integers(1, 50)


@given(coef=st.integers(1, 9), plus=st.integers(0, 9), a=VALUES, b=VALUES)
def test_a_size_is_a_function_of_its_variables(coef: int, plus: int, a: int, b: int) -> None:
    size = Dim.product(coef, "batch", "seq", plus=plus)
    assert size({"batch": a, "seq": b}) == coef * a * b + plus
    np.testing.assert_array_equal(
        size({"batch": np.array([a, b]), "seq": 2}), np.array([a, b]) * 2 * coef + plus
    )
    assert Product((size, Dim(3)))({"batch": a, "seq": b}) == 3 * (coef * a * b + plus)


def test_an_unbound_variable_is_an_error() -> None:
    with pytest.raises(CondsimError, match="a size of the program is batch, and a step has no"):
        Dim.product(1, "batch")({"seq": 3})


def test_a_size_below_zero_is_an_error() -> None:
    size = Dim.product(1, "seq", plus=-2)
    assert size({"seq": np.array([2, 3])}).tolist() == [0, 1]
    with pytest.raises(CondsimError, match="below 0"):
        size({"seq": np.array([1, 3])})


@given(coef=st.integers(1, 9), plus=st.integers(0, 9))
def test_a_form_is_found_or_refused(coef: int, plus: int) -> None:
    samples = [{"batch": b, "seq": s} for b, s in ((2, 5), (3, 7), (2, 11), (5, 6))]
    linear = fit_dim(tuple(coef * s["seq"] + plus for s in samples), samples)
    assert linear is not None
    assert linear({"batch": 9, "seq": 100}) == coef * 100 + plus
    assert fit_dim(tuple(s["seq"] ** 2 + s["batch"] for s in samples), samples) is None


@pytest.mark.parametrize("name", ["marked", "gpt-oss"])
def test_programs_survive_json(name: str) -> None:
    programs = case(name).trace.programs
    again = from_json(json.loads(json.dumps(to_json(programs))))
    assert {k: p.root for k, p in again.items()} == {k: p.root for k, p in programs.items()}
    assert {k: dict(p.periods) for k, p in again.items()} == {
        k: dict(p.periods) for k, p in programs.items()
    }
