"""Many sizes at once are what each of them is alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from condsim.program import Dim
from condsim.program.polynomials import Polynomials

EXTENTS = ("batch", "rows", "seq")

terms = st.tuples(st.integers(-3, 9), st.lists(st.sampled_from(EXTENTS), max_size=2).map(tuple))
dims = st.builds(Dim, st.integers(-2, 9), st.lists(terms, max_size=3).map(tuple))
shapes = st.lists(dims, max_size=3).map(tuple)
extents = st.lists(st.tuples(*[st.integers(0, 50)] * 3), min_size=1, max_size=4)


def value(dim: Dim, bindings: Mapping[str, int]) -> int:
    """A size at one point; it may be below 0."""
    products = [
        coefficient * math.prod(bindings[extent] for extent in of_term)
        for coefficient, of_term in dim.terms
    ]
    return dim.plus + sum(products)


@given(st.lists(shapes, min_size=1, max_size=4), extents)
def test_products_of_sizes_are_those_of_each(
    of_tensors: list[tuple[Dim, ...]], points: list[tuple[int, int, int]]
) -> None:
    polynomials = Polynomials.of_products(of_tensors)
    columns = dict(zip(EXTENTS, np.array(points).T, strict=True))
    found = polynomials.coefficients @ polynomials.powers(columns, len(points))
    for row, shape in enumerate(of_tensors):
        for number, point in enumerate(points):
            bindings = dict(zip(EXTENTS, point, strict=True))
            assert found[row, number] == math.prod(value(dim, bindings) for dim in shape)


def test_what_an_extent_that_is_not_there_multiplies_is_nothing() -> None:
    polynomials = Polynomials.of([Dim.product(2, "rows", plus=3)])
    found = polynomials.coefficients @ polynomials.powers({"batch": np.array([7])}, 1)
    assert found.tolist() == [[3]]
