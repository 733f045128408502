"""Which operators cost as much at the same sizes, and which differ in their sizes only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from condsim.program import Dim, Op, Program, Tensor
from condsim.program.model import Place
from condsim.program.needs import Needs
from condsim.program.polynomials import Polynomials


class OperatorKinds:
    """Numbers for operators, alike where their sizes and tensors are.

    Layers of one stack run the same kinds, so that each is priced once.
    ops: one of each kind. needs: what its sizes need. forms: number of each kind's form; kinds of
    one form differ in their
    sizes only.
    """

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._of_program: dict[str, Mapping[Place, int]] = {}
        self.ops: list[Op] = []
        self.needs: list[Needs] = []
        self.forms: list[int] = []
        self._forms: dict[Any, int] = {}

    def of_program(self, program: Program) -> Mapping[Place, int]:
        """Return place of an operator → number of its kind."""
        if program.digest not in self._of_program:
            self._of_program[program.digest] = self._numbered(program)
            self.__dict__.pop("_dims", None)
        return self._of_program[program.digest]

    def _numbered(self, program: Program) -> dict[Place, int]:
        found = {}
        for placed in program.scopes:
            for node, op in enumerate(placed.scope.nodes):
                if isinstance(op, Op):
                    found[placed.number, node] = self._number(op)
        return found

    def _number(self, op: Op) -> int:
        kind = _kind(op)
        if kind not in self._numbers:
            self._numbers[kind] = len(self._numbers)
            self.ops.append(op)
            self.needs.append(Needs.of(op))
            form = self._forms.setdefault(_form(op), len(self._forms))
            self.forms.append(form)
        return self._numbers[kind]

    @cached_property
    def _dims(self) -> tuple[Polynomials, list[int]]:
        """All dimensions of all kinds, and where those of each kind begin and end."""
        dims: list[Dim] = []
        bounds = [0]
        for op in self.ops:
            for tensor in (*op.inputs, *op.outputs):
                dims += tensor.dims
            bounds.append(len(dims))
        return Polynomials.of(dims), bounds

    def dims(
        self, kinds: Sequence[int], sizes: Mapping[str, np.ndarray], count: int
    ) -> tuple[np.ndarray, list[slice]]:
        """Return (dimensions of all inputs and outputs, int [dims, sizes], which are each kind's).

        sizes: extent → int [count].
        """
        polynomials, bounds = self._dims
        coefficients, of_kinds = [], []
        begin = 0
        for kind in kinds:
            of_kind = polynomials.coefficients[bounds[kind] : bounds[kind + 1]]
            coefficients.append(of_kind)
            of_kinds.append(slice(begin, begin + len(of_kind)))
            begin += len(of_kind)
        return np.concatenate(coefficients) @ polynomials.powers(sizes, count), of_kinds


def shapes(tensors: Sequence[Tensor], dims: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """Return a shape a tensor. dims: of all tensors, int [dims, sizes]."""
    found, begin = [], 0
    for tensor in tensors:
        end = begin + len(tensor.dims)
        found.append(tuple(dims[begin:end]))
        begin = end
    return found


def _kind(op: Op) -> tuple[Any, ...]:
    """All of an operator that its cost at given sizes depends on."""
    inputs = tuple([_tensor_kind(tensor) for tensor in op.inputs])
    outputs = tuple([_tensor_kind(tensor) for tensor in op.outputs])
    return op.name, op.view, op.params, inputs, outputs


def _tensor_kind(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.dims, tensor.dtype, bool(tensor.weight)


def _form(op: Op) -> tuple[Any, ...]:
    """What operators that differ in their sizes only have in common."""
    inputs = tuple([_tensor_form(tensor) for tensor in op.inputs])
    outputs = tuple([_tensor_form(tensor) for tensor in op.outputs])
    return op.name, op.view, op.params, inputs, outputs


def _tensor_form(tensor: Tensor) -> tuple[Any, ...]:
    return len(tensor.dims), tensor.dtype, bool(tensor.weight)
