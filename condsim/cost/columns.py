"""Operators that differ in their sizes only, priced as one operator at all of their sizes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from condsim.cost.device import SizedKind
from condsim.cost.kinds import OperatorKinds, shapes
from condsim.program import Op
from condsim.program.work import Shape
from condsim.steps.size_set import SizeSet

MOST_SIZES = 2**13
"""Operators are priced at once up to so many sizes, to save memory."""

Numbered = tuple[int, SizedKind]
"""(number of an operator, the operator)."""

Member = tuple[int, np.ndarray]
"""(number of an operator, its dimensions at its sizes)."""


@dataclass(slots=True)
class Columns:
    """Operators of one form, one after the other.

    op: any of them. dims: of all inputs and outputs, int [dims, sizes].
    members: (number of an operator, its sizes).
    """

    op: Op
    dims: np.ndarray
    members: list[tuple[int, slice]]

    @property
    def inputs(self) -> list[Shape]:
        """A shape an input, entries int [sizes]."""
        return shapes(self.op.inputs, self.dims)

    @property
    def outputs(self) -> list[Shape]:
        """A shape an output, entries int [sizes]."""
        of_inputs = sum(len(tensor.dims) for tensor in self.op.inputs)
        return shapes(self.op.outputs, self.dims[of_inputs:])


def in_columns(
    operators: Sequence[Numbered],
    kinds: OperatorKinds,
    variants: Callable[[Columns], Sequence[Hashable]],
) -> Iterator[Columns]:
    """Yield operators by their form.

    operators: with their numbers. variants: what operators of one form are told apart by.
    Raises CondsimError for a size below 0.
    """
    ops: dict[Hashable, Op] = {}
    groups: dict[Hashable, list[Member]] = {}
    for sizes, of_sizes in _by_sizes(operators).items():
        these = [sized.kind for _, sized in of_sizes]
        all_dims, of_kinds = kinds.dims(these, sizes.sizes, len(sizes))
        if (all_dims < 0).any():
            _refuse_sizes(of_sizes)
        for (number, sized), of_kind in zip(of_sizes, of_kinds, strict=True):
            form = kinds.forms[sized.kind]
            ops.setdefault(form, sized.op)
            groups.setdefault(form, []).append((number, all_dims[of_kind]))
    for alike, members in groups.items():
        for some in _in_portions(members):
            yield from _told_apart(_joined(ops[alike], some), some, variants)


def _told_apart(
    columns: Columns,
    members: list[Member],
    variants: Callable[[Columns], Sequence[Hashable]],
) -> Iterator[Columns]:
    """Yield operators of one form by what they are told apart by."""
    apart: dict[Hashable, list[Member]] = {}
    for member, variant in zip(members, variants(columns), strict=True):
        apart.setdefault(variant, []).append(member)
    if len(apart) == 1:
        yield columns
        return
    for some in apart.values():
        yield _joined(columns.op, some)


def _by_sizes(operators: Sequence[Numbered]) -> Mapping[SizeSet, list[Numbered]]:
    """Sizes → the operators that have them."""
    found: dict[SizeSet, list[Numbered]] = {}
    for number, sized in operators:
        found.setdefault(sized.sizes, []).append((number, sized))
    return found


def _refuse_sizes(operators: Iterable[Numbered]) -> None:
    """Raises CondsimError for a size that is below 0."""
    for _, sized in operators:
        for tensor in (*sized.op.inputs, *sized.op.outputs):
            tensor.shape(sized.sizes.sizes)


def _in_portions(members: list[Member]) -> Iterator[list[Member]]:
    """Yield operators of few enough sizes."""
    some: list[Member] = []
    sizes = 0
    for number, dims in members:
        if some and sizes + dims.shape[1] > MOST_SIZES:
            yield some
            some, sizes = [], 0
        some.append((number, dims))
        sizes += dims.shape[1]
    yield some


def _joined(op: Op, members: list[Member]) -> Columns:
    """Operators of one form. members: number and dimensions of each."""
    places, begin = [], 0
    for number, dims in members:
        end = begin + dims.shape[1]
        places.append((number, slice(begin, end)))
        begin = end
    return Columns(op, np.concatenate([dims for _, dims in members], axis=1), places)
