"""An operator's call, and the time that it takes while all that it reads is near."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from condsim.program import elements
from condsim.program.work import Params, Shape, Work, work

VIEW = "view"
"""The family of operators that make no new storage."""


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """The time of an operator whose operands are where its last visit left them.

    seconds: float, or float array [n]; includes the dispatch of the operator.
    dispatch: seconds that remain at zero size.
    basis: "calibrated", "estimated" (no table of this operator) or "extrapolated" (outside of what
        was measured); str, or str array [n].
    family: the table that the time is from.
    worlds: seconds on the device by world of the waterfall, beyond flops / peak; empty where all of
        them are efficiency or traffic.
    """

    seconds: Any
    dispatch: float
    basis: Any
    family: str
    worlds: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SizedOperator:
    """An operator with the sizes of its tensors.

    name: as the recorder gives it. inputs, outputs: shapes, entries int or int array [n].
    params: as in `condsim.program.Op`. job: the matmul inside it, where it is known.
    """

    name: str
    inputs: list[Shape]
    outputs: list[Shape]
    params: Params = ()
    job: Work | None = None

    @cached_property
    def work(self) -> Work:
        """The matmul inside it."""
        return self.job or work(self.name, self.inputs, self.outputs, self.params)

    def at(self, sizes: slice) -> SizedOperator:
        """Return the operator at some of its sizes. All dimensions are arrays."""
        inputs = [_some_of(shape, sizes) for shape in self.inputs]
        outputs = [_some_of(shape, sizes) for shape in self.outputs]
        return SizedOperator(self.name, inputs, outputs, self.params)

    @property
    def moved_elements(self) -> Any:
        """Elements that it reads and writes, int or int array [n]."""
        total: Any = 0
        for shape in (*self.inputs, *self.outputs):
            total = total + elements(shape)
        return total


def _some_of(shape: Shape, sizes: slice) -> Shape:
    return tuple(dim[sizes] for dim in shape)


def basis_of(outside: Any) -> Any:
    """What a time from a table is based on, a str, or a str array [n] where it differs.

    outside: whether a size was not measured, bool or bool array [n].
    """
    if not np.any(outside):
        return "calibrated"
    if np.all(outside):
        return "extrapolated"
    return np.where(outside, "extrapolated", "calibrated")


def number_or_array(value: Any) -> Any:
    """A float where there is one value only, else the array."""
    return float(value) if np.ndim(value) == 0 else value
