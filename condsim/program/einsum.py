"""The equation of an einsum → the products that it consists of."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

OTHERS = "..."
"""Stands for all dimensions of an operand that have no letter."""

Letters = tuple[str, ...]
"""The letter of each dimension of an operand."""


@dataclass(frozen=True)
class Contraction:
    """`groups` products of [m, k] and [k, n]; ints or int arrays."""

    groups: Any
    m: Any
    n: Any
    k: Any


def contractions(equation: str, shapes: list[tuple[Any, ...]]) -> list[Contraction]:
    """The products of an einsum, two operands after another, from the left.

    Where nothing is summed over, or only dimensions of one, operands are multiplied element by
    element, which is no product (aten/src/ATen/native/Linear.cpp, einsum).
    Raises ValueError for an equation that these shapes do not fit.
    """
    operands, result = _letters(equation, [len(shape) for shape in shapes])
    sizes = _sizes(operands, shapes)
    products = []
    joined = set(operands[0])
    for place, letters in enumerate(operands[1:], start=1):
        needed = set(result).union(*operands[place + 1 :])
        left = {letter for letter in joined if letter in needed or letter in letters}
        right = {letter for letter in letters if letter in needed or letter in joined}
        summed = (left & right) - needed
        if any(not _is_one(sizes[letter]) for letter in summed):
            products.append(
                Contraction(
                    groups=_product(left & right & needed, sizes),
                    m=_product(left - right, sizes),
                    n=_product(right - left, sizes),
                    k=_product(summed, sizes),
                )
            )
        joined = (left | right) - summed
    return products


def _letters(equation: str, dimensions: list[int]) -> tuple[list[Letters], Letters]:
    """The letters of each operand, and those of the result.

    dimensions: of each operand. What "..." stands for gets numbers, counted from the last.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    operands = []
    for text, count in zip(texts, dimensions, strict=True):
        operands.append(_spelt(text, count - len(text.replace(OTHERS, ""))))
    others = max((_others(letters) for letters in operands), key=len)
    if arrow:
        return operands, _spelt(right, len(others))
    times = Counter(letter for letter in left if letter.isalpha())
    once = sorted(letter for letter in times if times[letter] == 1)
    return operands, (*others, *once)


def _spelt(text: str, others: int) -> Letters:
    """The letters of one operand. others: dimensions that "..." stands for."""
    before, dots, after = text.partition(OTHERS)
    numbers = [str(number) for number in reversed(range(others))] if dots else []
    return (*before, *numbers, *after)


def _others(letters: Letters) -> Letters:
    return tuple(letter for letter in letters if letter.isdecimal())


def _sizes(operands: list[Letters], shapes: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Letter → size; a dimension of one follows those of the same letter that are longer."""
    sizes: dict[str, Any] = {}
    for letters, shape in zip(operands, shapes, strict=True):
        for letter, size in zip(letters, shape, strict=True):
            if isinstance(sizes.get(letter, 1), int) and sizes.get(letter, 1) == 1:
                sizes[letter] = size
    return sizes


def _is_one(size: Any) -> bool:
    """Whether a size is 1 whatever the step."""
    return bool(np.all(np.equal(size, 1)))


def _product(letters: set[str], sizes: dict[str, Any]) -> Any:
    return math.prod(sizes[letter] for letter in letters)
