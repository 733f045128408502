"""Cases of every operator that is not a product, and the curves made of their times."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from condsim.calibrate import shapes, strided
from condsim.calibrate.operator_builds import Build
from condsim.calibrate.operator_calls import (
    CONSTANT,
    ELEMENTWISE,
    OTHERS,
    ROWWISE,
    VIEWS,
    WHOLE_ROWS,
)
from condsim.hardware import Curve
from condsim.timing.cases import Pool, Rotation, existing
from condsim.timing.yardstick import Call

LENGTH = 64
"""Row length of operators whose time does not depend on it."""
TINY_ELEMENTS = 1024
MOST_SETS = 8
ROTATED_BYTES = 2**20
"""All sets of tensors of a case: more than a private cache holds, less than a shared one."""
TENSORS_OF_A_SET = 3
"""Two inputs and a result."""


def view_name(name: str) -> str:
    """The name under which the times of a view are kept."""
    return f"{name}.view"


def cases(pool: Pool, size: shapes.Size) -> dict[Any, Callable[[], Call]]:
    """All cases, keyed by (operator, row length, elements)."""
    made: dict[Any, Callable[[], Call]] = {}
    for name, build in {**ELEMENTWISE, **OTHERS}.items():
        for elements in size.elements:
            length = min(elements, LENGTH)
            made[name, LENGTH, elements] = partial(rotated, build, pool, elements, length)
    for name, build in ROWWISE.items():
        for length in size.lengths:
            for elements in _elements_timed(length, size):
                used = length if name in WHOLE_ROWS else min(elements, length)
                made[name, length, elements] = partial(rotated, build, pool, elements, used)
    made |= strided.cases(pool)
    for name, build in CONSTANT.items():
        made[name, 1, 1] = partial(build, pool, 1, 1)
    views = {}
    for name, view in VIEWS.items():
        views[view_name(name), 1, 1] = view
    made |= existing(views)
    return made


def _elements_timed(length: int, size: shapes.Size) -> list[int]:
    """Elements at which a row length is timed: the most of them only at the two longest ones."""
    most = shapes.FEW_ELEMENTS[-1]
    long = length in size.lengths[-2:]
    return [elements for elements in size.elements if long or elements <= most]


def rotated(build: Build, pool: Pool, elements: int, length: int) -> Call:
    """The call on several sets of tensors in turn, as many as ROTATED_BYTES take.

    Tiny tensors, and large ones, have one set.
    """
    sets = 1
    if elements > TINY_ELEMENTS:
        set_bytes = TENSORS_OF_A_SET * pool.itemsize * elements
        sets = min(-(-ROTATED_BYTES // set_bytes), MOST_SETS)
    calls = [build(pool, elements, length) for _ in range(sets)]
    return Rotation(calls) if sets > 1 else calls[0]


def curves(seconds: dict[Any, float], size: shapes.Size) -> dict[str, Curve]:
    """Operator → curve; "elementwise" is the median of those that compute element by element.

    seconds: of each case, by its key.
    """
    sizes = [float(elements) for elements in size.elements]
    lengths = [float(length) for length in size.lengths]
    made: dict[str, Curve] = {}
    for name in {**ELEMENTWISE, **OTHERS}:
        row = [seconds[name, LENGTH, elements] for elements in size.elements]
        made[name] = Curve(sizes=sizes, seconds=[row])
    for name in ROWWISE:
        table = [_row(seconds, name, length, size) for length in size.lengths]
        made[name] = Curve(sizes=sizes, lengths=lengths, seconds=table)
    for name in (*CONSTANT, *map(view_name, VIEWS)):
        only_s = seconds[name, 1, 1]
        made[name] = Curve(sizes=[1.0], seconds=[[only_s]])
    rows = [made[name].seconds[0] for name in ELEMENTWISE]
    typical = np.median(rows, axis=0)
    made["elementwise"] = Curve(sizes=sizes, seconds=[typical.tolist()], uncertainty=0.5)
    return made


def _row(seconds: dict[Any, float], name: str, length: int, size: shapes.Size) -> list[float]:
    """Seconds of an operator at one row length, for all numbers of elements.

    The most elements are timed at two lengths; at other lengths times grow from the number of
    elements before as they do at the first of the two.
    """
    timed_length = size.lengths[-2]
    row: list[float] = []
    for i, elements in enumerate(size.elements):
        if (name, length, elements) in seconds:
            row.append(seconds[name, length, elements])
            continue
        fewer_elements = size.elements[i - 1]
        here_s = seconds[name, timed_length, elements]
        before_s = seconds[name, timed_length, fewer_elements]
        row.append(row[-1] * here_s / before_s)
    return row
