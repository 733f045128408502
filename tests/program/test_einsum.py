"""The products that an einsum consists of."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.program.einsum import Contraction, contractions


@pytest.mark.parametrize(
    ("equation", "shapes", "expected"),
    [
        ("ij,jk->ik", [(2, 3), (3, 5)], [Contraction(1, 2, 5, 3)]),
        ("bij,bjk->bik", [(7, 2, 3), (7, 3, 5)], [Contraction(7, 2, 5, 3)]),
        ("...i,ij->...j", [(4, 6, 3), (3, 5)], [Contraction(1, 24, 5, 3)]),
        ("ij,ij->ij", [(2, 3), (2, 3)], []),
        ("ij,jk->ik", [(2, 1), (1, 5)], []),  # no product: aten multiplies element by element
        ("ij,jk", [(2, 3), (3, 5)], [Contraction(1, 2, 5, 3)]),
    ],
)
def test_what_is_summed_over_makes_a_product(
    equation: str, shapes: list[tuple[int, ...]], expected: list[Contraction]
) -> None:
    assert contractions(equation, shapes) == expected


@pytest.mark.parametrize(
    "equation", ["ij,jk,kl->il", "nec,nd->ecd", "bhqd,bhkd->bhqk", "...nd,nd->...n"]
)
def test_multiply_adds_are_those_of_the_path_from_the_left(equation: str) -> None:
    """NumPy counts the FLOPs of the same path: two operands after another."""
    size = {letter: 2 + place for place, letter in enumerate("ijklnecdbhqk")}
    operands = []
    for letters in equation.partition("->")[0].split(","):
        spelt = letters.replace("...", "b")
        operands.append(np.zeros([size[letter] for letter in spelt]))
    _, report = np.einsum_path(equation, *operands, optimize=["einsum_path", *_path(operands)])
    shapes = [operand.shape for operand in operands]
    products = contractions(equation, shapes)
    flops = sum(2 * c.groups * c.m * c.n * c.k for c in products)
    counted = float(report.partition("Optimized FLOP count:")[2].split()[0])
    assert flops == pytest.approx(counted, abs=1, rel=2e-3)


def _path(operands: list[np.ndarray]) -> list[tuple[int, int]]:
    """The first two operands, then the result and the next one."""
    count = len(operands)
    return [(0, 1)] + [(0, left - 1) for left in range(count - 1, 1, -1)]


def test_an_equation_that_the_shapes_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        contractions("ij,jk->ik", [(2, 3)])
