"""Arithmetic and traffic of one kernel hide each other, but not wholly."""

from __future__ import annotations

from typing import Any

import numpy as np


def soft_maximum(a: Any, b: Any, exponent: float) -> Any:
    """(a^p + b^p)^(1/p): the sum at p = 1, the larger one as p grows.

    a, b: seconds >= 0, numbers or arrays. exponent: p. Thread blocks wait for their first operands
    and write their last results with no arithmetic beside it, so that arithmetic and traffic
    overlap in the middle only.
    """
    larger = np.maximum(a, b)
    smaller = np.minimum(a, b)
    not_zero = np.where(larger > 0, larger, 1.0)
    share = smaller / not_zero
    return larger * (1.0 + share**exponent) ** (1.0 / exponent)
