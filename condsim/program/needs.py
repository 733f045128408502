"""What the sizes of an operator need of a step: extents that it has, and values that are not below
0. It follows from the program alone, so it is worked out once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from condsim.program.model import Bindings, Dim, Op, Place, Product, Program


@dataclass(frozen=True, slots=True)
class Needs:
    """What the sizes of an operator need.

    extents: that all of them follow. shape_extents: that inputs and outputs follow.
    may_fall: those that may be below 0.
    """

    op: Op
    extents: frozenset[str]
    shape_extents: frozenset[str]
    may_fall: tuple[Dim, ...]

    @classmethod
    def of(cls, op: Op) -> Needs:
        """Return what an operator needs."""
        every = list(_sizes(op))
        extents = frozenset().union(*[_extents(dim) for dim in every])
        may_fall = tuple([dim for dim in every if _may_fall(dim)])
        return cls(op, extents, frozenset(op.extents), may_fall)

    def check(self, sizes: Bindings) -> None:
        """Raise CondsimError for an extent that is not among sizes, and for a size below 0."""
        if not self.extents <= sizes.keys():
            for dim in _sizes(self.op):
                dim(sizes)
        for dim in self.may_fall:
            dim(sizes)


def needs_of(program: Program) -> Mapping[Place, Needs]:
    """Return what each operator of a program needs."""
    return program.results.remember("needs", lambda: _needs_of(program))


def _needs_of(program: Program) -> dict[Place, Needs]:
    found = {}
    for placed in program.scopes:
        for node, op in enumerate(placed.scope.nodes):
            if isinstance(op, Op):
                found[placed.number, node] = Needs.of(op)
    return found


def _sizes(op: Op) -> Iterator[Dim]:
    """All sizes of an operator: of what it reads, writes and creates."""
    for tensor in (*op.inputs, *op.outputs):
        yield from tensor.dims
    for size, _ in op.allocs:
        if isinstance(size, Product):
            yield from size.dims
        else:
            yield size


def _extents(dim: Dim) -> set[str]:
    found: set[str] = set()
    for _, extents in dim.terms:
        found.update(extents)
    return found


def _may_fall(dim: Dim) -> bool:
    coefficients = [coefficient for coefficient, _ in dim.terms]
    return min([dim.plus, *coefficients]) < 0
