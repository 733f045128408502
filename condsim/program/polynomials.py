"""Many sizes at once: integer polynomials in extents, as one matrix of coefficients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from condsim.program.model import Dim, Product

Monomial = tuple[str, ...]
"""Extents that are multiplied, in alphabetic order; () for 1."""

Coefficients = dict[Monomial, int]


@dataclass(frozen=True)
class Polynomials:
    """Integer polynomials in extents.

    coefficients: int [polynomials, monomials].
    """

    monomials: tuple[Monomial, ...]
    coefficients: np.ndarray

    @classmethod
    def of(cls, sizes: Sequence[Dim | Product]) -> Polynomials:
        """Return sizes as polynomials."""
        return cls.of_products([_factors(size) for size in sizes])

    @classmethod
    def of_products(cls, products: Sequence[Iterable[Dim]]) -> Polynomials:
        """Return a polynomial a product of sizes: the elements of a shape."""
        expanded = [_expanded(dims) for dims in products]
        monomials = tuple(dict.fromkeys(monomial for each in expanded for monomial in each))
        coefficients = np.zeros((len(expanded), len(monomials)), np.int64)
        column = {monomial: number for number, monomial in enumerate(monomials)}
        for row, each in enumerate(expanded):
            for monomial, coefficient in each.items():
                coefficients[row, column[monomial]] = coefficient
        return cls(monomials, coefficients)

    def powers(self, extents: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        """Return the monomials at so many points, int [monomials, count].

        extents: name → int [count]. A monomial of an extent that is not there is 0.
        """
        values = np.zeros((len(self.monomials), count), np.int64)
        for row, monomial in enumerate(self.monomials):
            if all(extent in extents for extent in monomial):
                values[row] = 1
                for extent in monomial:
                    values[row] *= extents[extent]
        return values


def _factors(size: Dim | Product) -> tuple[Dim, ...]:
    return size.dims if isinstance(size, Product) else (size,)


def _expanded(dims: Iterable[Dim]) -> Coefficients:
    """The coefficients of a product."""
    found: Coefficients = {(): 1}
    for dim in dims:
        found = _times(found, dim)
    return found


def _times(left: Coefficients, dim: Dim) -> Coefficients:
    found: Coefficients = {}
    for coefficient, extents in ((dim.plus, ()), *dim.terms):
        if not coefficient:
            continue
        for monomial, other in left.items():
            together = tuple(sorted((*monomial, *extents)))
            found[together] = found.get(together, 0) + coefficient * other
    return found
