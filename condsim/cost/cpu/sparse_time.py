"""The time of operators on compressed sparse matrices, from measured points.

A profile that was calibrated before these were measured has none of them, and says so; nothing is
estimated: the same product is up to ten times slower in one of PyTorch's forms than in another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from condsim.cost.cpu.scattered import (
    CORE_CACHE_ELEMENTS,
    FEATURES,
    Columns,
    scatter_seconds,
)
from condsim.cost.hot import OperatorTime, SizedOperator, basis_of, number_or_array
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, Scatter
from condsim.program import elements

VECTOR = 8
"""Units that fill the narrowest vector register, of 32 bits each."""
MULTIPLIED, TURNED, SAMPLED, PICKED = (
    "csr_mm",
    "csc_mm",
    "csr_sparse_sampled_addmm",
    "csr_sparse_mask",
)
"""Sparse rows times a matrix; sparse columns times one; a product where a matrix has values; a
dense matrix where another one has values."""
CHOSEN, FILLED, DRAWN = "topk.whole", "index_fill_", "rand"
"""What moves a mask: the largest or smallest of a whole vector; one number in some places of it;
random numbers."""


def _of_multiplied(operator: SizedOperator) -> Columns:
    depth, units = operator.inputs[3]
    apart = 1.0 - operator.params[0] if operator.params else 0.0
    rows = operator.outputs[0][0]
    return {"n": rows, "k": depth, "m": units, "values": operator.inputs[2][0], "apart": apart}


def _of_turned(operator: SizedOperator) -> Columns:
    depth, units = operator.inputs[3]
    rows = operator.outputs[0][0]
    return {"n": rows, "k": depth, "m": units, "values": operator.inputs[2][0]}


def _of_sampled(operator: SizedOperator) -> Columns:
    left_apart, right_apart = 0.0, 0.0
    if operator.params:
        left_apart = 1.0 - operator.params[0]
        right_apart = float(operator.params[1])
    rows, units = operator.inputs[3]
    return {
        "n": rows,
        "k": operator.inputs[4][1],
        "m": units,
        "values": operator.inputs[2][0],
        "left": left_apart,
        "right": right_apart,
    }


def _of_picked(operator: SizedOperator) -> Columns:
    rows, columns = operator.inputs[0]
    return {"n": rows, "k": columns, "values": operator.inputs[3][0]}


def _of_moved(operator: SizedOperator) -> Columns:
    places = operator.inputs[1] if operator.name == FILLED else operator.outputs[0]
    return {"elements": operator.inputs[0][0], "values": places[0]}


def _of_drawn(operator: SizedOperator) -> Columns:
    return {"elements": elements(operator.outputs[0])}


SPARSE: dict[str, Callable[[SizedOperator], Columns]] = {
    MULTIPLIED: _of_multiplied,
    TURNED: _of_turned,
    SAMPLED: _of_sampled,
    PICKED: _of_picked,
}
"""Operator on a sparse matrix → the coordinates of its table."""

MOVING: dict[str, Callable[[SizedOperator], Columns]] = {
    CHOSEN: _of_moved,
    FILLED: _of_moved,
    DRAWN: _of_drawn,
}
"""Table of what moves a mask → its coordinates."""


def table_of(operator: SizedOperator, profile: HardwareProfile) -> str:
    """Return the name of the table here that answers for an operator, "" where none does.

    Operators that move a mask have others that answer where a profile has none of these.
    """
    if operator.name in SPARSE:
        return operator.name
    name = CHOSEN if operator.name == "topk" else operator.name
    known = name in MOVING and isinstance(profile.matmuls.get(name), Scatter)
    is_vector = name == DRAWN or (known and len(operator.inputs[0]) == 1)
    return name if known and is_vector else ""


def sparse_time(name: str, operator: SizedOperator, profile: HardwareProfile) -> OperatorTime:
    """Time of an operator by a table that `table_of` gave.

    Raises CondsimError where the profile has no such table.
    """
    table = profile.matmuls.get(name)
    if not isinstance(table, Scatter):
        raise CondsimError(
            f"profile {profile.name!r} does not know what sparse products take ({name} is not "
            "calibrated): run condsim calibrate, or choose the strategies masked or rows"
        )
    seconds, outside = scatter_seconds(name, table, (SPARSE | MOVING)[name](operator))
    basis = basis_of(outside)
    return OperatorTime(number_or_array(seconds), table.dispatch_s, basis, name)


def _beyond(count: Any) -> Any:
    """The share of so many elements that the core's cache has no room for."""
    return np.maximum(1 - CORE_CACHE_ELEMENTS / np.maximum(count, 1), 0)


@FEATURES.register(MULTIPLIED)
def sparse_rows(c: Columns) -> list[Any]:
    """Each value takes m multiply-adds, and a row of the matrix that may be far away."""
    n, k, m, values = c["n"], c["k"], c["m"], c["values"]
    set_up = 1 + 0 * values
    far = values * m * _beyond(k * m)
    copied = c["apart"] * (k + n) * m
    registers = np.ceil(m / VECTOR)
    return [set_up, n, values, values * registers, values * m, n * m, k * m, far, copied]


@FEATURES.register(TURNED)
def sparse_columns(c: Columns) -> list[Any]:
    """As rows, but each value adds to a row of the result, or is sorted into rows before."""
    n, k, m, values = c["n"], c["k"], c["m"], c["values"]
    set_up = 1 + 0 * values
    far = values * m * _beyond(n * m)
    sorted_values = values * np.log2(values + 1)
    return [set_up, n, k, values, sorted_values, values * m, n * m, k * m, far]


@FEATURES.register(SAMPLED)
def sampled(c: Columns) -> list[Any]:
    """Each value is a product of two vectors of m; operands that lie otherwise are copied, and
    vectors that fill no register are multiplied number by number."""
    n, k, m, values = c["n"], c["k"], c["m"], c["values"]
    set_up = 1 + 0 * values
    far = values * m * _beyond(k * m)
    left = c["left"] * n * m
    right = c["right"] * k * m
    short = values * m * (m < VECTOR)
    return [set_up, n, values, values * m, n * m, k * m, far, left, right, short, short / m]


@FEATURES.register(CHOSEN, FILLED)
def in_some_places(c: Columns) -> list[Any]:
    """All elements are looked at, or only the places."""
    every, some = c["elements"], c["values"]
    set_up = 1 + 0 * some
    return [set_up, every, some, every * _beyond(every)]


@FEATURES.register(DRAWN)
def random_numbers(c: Columns) -> list[Any]:
    """One element after the other."""
    every = c["elements"]
    return [1 + 0 * every, every]


@FEATURES.register(PICKED)
def picked(c: Columns) -> list[Any]:
    """The whole matrix is looked through for the values."""
    n, k, values = c["n"], c["k"], c["values"]
    set_up = 1 + 0 * values
    far = n * k * _beyond(n * k)
    return [set_up, n, values, n * k, far]
