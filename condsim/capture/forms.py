"""A size seen in several runs → a form of the variables that gives it exactly.

Nothing is fitted by least squares: a form gives every size exactly, or it is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from condsim.program import Dim

Sizes = Mapping[str, int]
"""Variable of a program → its value in one run."""

SIMPLEST_FIRST = (
    "rows",
    "outer",
    "rest",
    "hits",
    "capacity",
    "batch",
    "seq",
    "total",
    "source",
    "target",
)
MOST_FACTORS = 3


def fit_dim(values: tuple[int, ...], samples: Sequence[Sizes]) -> Dim | None:
    """The simplest form that gives every value exactly; None where there is none.

    values: the size in each run. samples: the variables of each run. A form with an added constant
    has one variable and needs three different values of it (two where the constant is 1: one spare
    row).
    """
    if len(set(values)) == 1:
        return Dim(values[0])
    with_constant = None
    for product in _products(samples[0]):
        arguments = [_value(sample, product) for sample in samples]
        line = _line(arguments, values)
        if line is None:
            continue
        coefficient, constant = line
        if constant == 0:
            return Dim.product(coefficient, *product)
        needed = 2 if constant == 1 else 3
        enough = len(product) == 1 and len(set(arguments)) >= needed
        if with_constant is None and enough:
            with_constant = Dim.product(coefficient, *product, plus=constant)
    return with_constant


def _products(sample: Sizes) -> list[tuple[str, ...]]:
    """Products of the extents that a run has, fewest factors first."""
    names = [name for name in SIMPLEST_FIRST if name in sample]
    names += [name for name in sample if name not in SIMPLEST_FIRST]
    products: list[tuple[str, ...]] = []
    for factors in range(1, MOST_FACTORS + 1):
        products += combinations(names, factors)
    return products


def _line(arguments: Sequence[int], values: Sequence[int]) -> tuple[int, int] | None:
    """Integers (a, b) with a * argument + b = value in every run; None where there are none."""
    low = arguments.index(min(arguments))
    high = arguments.index(max(arguments))
    if arguments[low] == arguments[high]:
        return None
    rise = values[high] - values[low]
    coefficient, remainder = divmod(rise, arguments[high] - arguments[low])
    if remainder:
        return None
    constant = values[low] - coefficient * arguments[low]
    for argument, value in zip(arguments, values, strict=True):
        if coefficient * argument + constant != value:
            return None
    return coefficient, constant


def _value(sample: Sizes, product: tuple[str, ...]) -> int:
    value = 1
    for name in product:
        value *= sample[name]
    return value
