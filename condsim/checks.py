"""Check what a caller gives. Each function returns it, or raises one line that names the argument,
the value and the rule."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from numbers import Integral, Real
from typing import Any

from condsim.errors import CondsimError, shown, unknown

MOST_SECONDS = 1e9
"""Later times would be too coarse for steps of microseconds."""


def whole(what: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return a whole number from `least` to `most`. what: the argument.

    Raises CondsimError for anything else; a truth value is no number.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        rule = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise CondsimError(f"{what} must be a whole number {rule}, got {shown(value)}")
    return int(value)


def number(what: str, value: Any) -> float:
    """Return a finite number. Raises CondsimError for anything else."""
    if not _is_finite(value):
        raise CondsimError(f"{what} must be a number, got {shown(value)}")
    return float(value)


def above_zero(what: str, value: Any) -> float:
    """Return a finite number above 0. Raises CondsimError for anything else."""
    if not _is_finite(value) or value <= 0:
        raise CondsimError(f"{what} must be a number above 0, got {shown(value)}")
    return float(value)


def seconds(what: str, value: Any) -> float:
    """Return a number from 0 to MOST_SECONDS. Raises CondsimError for anything else."""
    if not _is_finite(value) or value < 0:
        raise CondsimError(f"{what} must be 0 or more seconds, got {shown(value)}")
    if value > MOST_SECONDS:
        raise CondsimError(f"{what} must be at most {MOST_SECONDS:g} seconds, got {value:g}")
    return float(value)


def name(what: str, value: Any) -> str | None:
    """Return a name, or None. Raises CondsimError for anything else."""
    if value is not None and not isinstance(value, str):
        raise CondsimError(f"{what} must be a name, got {shown(value)}")
    return value


def one_of(what: str, value: Any, known: Collection[str]) -> str:
    """Return a known name. Raises CondsimError for anything else, with the nearest known one."""
    if not isinstance(value, str) or value not in known:
        raise unknown(what, value, known)
    return value


def free(what: str, given: Iterable[str], own: Collection[str]) -> None:
    """Raises CondsimError for an argument that a function says itself. own: names of those."""
    for each in given:
        if each in own:
            raise CondsimError(f"{what} chooses {each} itself; leave it out")


def _is_finite(value: Any) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False
