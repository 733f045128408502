"""What a model executes, as operators whose sizes are functions of a step's extents.

A `Program` is the operator stream of one forward pass under one strategy in one regime (batch 1
or more, prefill or decode). A `Scope` is a run of operators behind the same guards. A `Loop`
stands where the guarded scopes of a site run. Sizes are `Dim`s.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.results import Results

VARIABLES = ("batch", "seq", "total", "outer", "rows", "rest", "hits", "capacity")
"""The extents of a rectangular step, and those that a guard or a mixture of experts adds.

batch: units. seq: positions of each unit that this step computes. total: positions that attention
sees. outer: rows that reach a guard. rows: those that run behind it. rest: outer - rows.
hits: experts that any row takes. capacity: rows that an expert has room for.
A step may have any other extent beside them, under any other name.
"""

FIRST, LAST, ONLY, SECOND, SECOND_LAST = 3, 4, 5, 6, 7
"""Rows regimes of choices of a pass that have rows: the first, the last, an only one, the second,
and one that is the second and the last."""

JOINED = ".joined"
"""Ends the name of an operator that became part of another one.

It stays as a view, so that places in the program keep their numbers.
"""

FLOATING = ("float", "float16", "bfloat16", "float32", "float64")
"""The dtypes of activations."""

Bindings = Mapping[str, Any]
"""Extent → int, or int array [n]."""

Term = tuple[int, tuple[str, ...]]
"""(coefficient, extents that are multiplied)."""

Place = tuple[int, int]
"""(number of a scope, node in it): where an operator stands in its program."""

BodyKey = tuple[int, int, int]
"""(choice, or -1 for all; regime of the rows that arrive; regime of the rows that run)."""

Path = tuple[tuple[int, int, int, int], ...]
"""Loops from the root: (node of the loop in its scope, then the key of the body)."""


@dataclass(frozen=True, slots=True)
class Dim:
    """An integer polynomial in extents: plus + Σ coefficient * product of extents."""

    plus: int
    terms: tuple[Term, ...] = ()

    @classmethod
    def product(cls, coefficient: int, *extents: str, plus: int = 0) -> Dim:
        """coefficient * product of extents + plus."""
        terms = ((coefficient, extents),) if coefficient else ()
        return cls(plus, terms)

    def __call__(self, bindings: Bindings) -> Any:
        """Return the value: int, or int array [n] where an extent is an array.

        Raises CondsimError for an extent that the step does not have, and for a size below 0.
        """
        value: Any = self.plus
        falls = self.plus < 0
        try:
            for coefficient, extents in self.terms:
                product: Any = coefficient
                for extent in extents:
                    product = product * bindings[extent]
                value = value + product
                falls = falls or coefficient < 0
        except KeyError as error:
            raise CondsimError(
                f"a size of the program is {self}, and a step has no {error} there"
            ) from None
        if falls and np.any(np.less(value, 0)):
            raise CondsimError(f"a size of the program, {self}, is below 0 in a step")
        return value

    def __mul__(self, factor: int) -> Dim:
        """Return `factor` times as much."""
        terms = tuple((coefficient * factor, extents) for coefficient, extents in self.terms)
        return Dim(self.plus * factor, terms)

    @property
    def constant(self) -> bool:
        """Whether it depends on no extent."""
        return not self.terms

    def ratio(self, other: Dim) -> int:
        """How many times `other` it is, by its first coefficient."""
        if self.constant:
            return self.plus // other.plus
        return self.terms[0][0] // other.terms[0][0]

    def __str__(self) -> str:
        parts = [_term(coefficient, extents) for coefficient, extents in self.terms]
        if self.plus or not parts:
            parts.append(str(self.plus))
        return "+".join(parts).replace("+-", "-")


def _term(coefficient: int, extents: tuple[str, ...]) -> str:
    product = "*".join(extents)
    return product if coefficient == 1 else f"{coefficient}*{product}"


@dataclass(frozen=True, slots=True)
class Product:
    """The product of several sizes: a storage of n * (n + 1) elements."""

    dims: tuple[Dim, ...]

    def __call__(self, bindings: Bindings) -> Any:
        """Return the value: int, or int array [n] where an extent is an array."""
        return elements(tuple(d(bindings) for d in self.dims))


@dataclass(frozen=True, slots=True)
class Tensor:
    """What an operator reads or writes.

    dtype: "float" follows the dtype of the simulation; any other is fixed.
    weight: a parameter's name ("*" stands for the choice), or "".
    """

    dims: tuple[Dim, ...]
    dtype: str
    weight: str = ""

    def shape(self, bindings: Bindings) -> tuple[Any, ...]:
        """Return the sizes of all dimensions; ints or int arrays [n]."""
        return tuple([d(bindings) for d in self.dims])


@dataclass(frozen=True, slots=True)
class Op:
    """One operator.

    params: what shapes do not say: stride and groups of a convolution, which input of a 2:4
        product is sparse, the innermost loops of an elementwise operator
        (`condsim.record.strides`).
    role: "" or "router:SITE".
    site: the site whose experts it computes without a guard, or "".
    module: the path of the module that called it.
    entered: module calls that began since the operator before it.
    instructions: bytecode instructions that Python ran since the operator before it.
    view: it runs no kernel and costs host time only.
    sync: the host waits for it.
    allocs: storages that it creates, (elements, dtype).
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    params: tuple[int, ...] = ()
    role: str = ""
    site: str = ""
    module: str = ""
    entered: int = 0
    instructions: int = 0
    view: bool = False
    sync: bool = False
    allocs: tuple[tuple[Dim | Product, str], ...] = ()

    @property
    def extents(self) -> set[str]:
        """The extents that the shapes of its inputs and outputs follow."""
        found: set[str] = set()
        for tensor in (*self.inputs, *self.outputs):
            for dim in tensor.dims:
                for _, extents in dim.terms:
                    found.update(extents)
        return found


@dataclass(frozen=True, slots=True)
class Free:
    """After a node of its scope, a storage dies.

    position: the node; -1 for the start of the scope. path, op, alloc: the operator that created
    the storage, by its scope, its node there, and which of its storages it is.
    previous: the storage is that of an earlier iteration.
    outlived: some run saw it alive there, so that it lives on where the step still comes to another
        place at which it dies.
    """

    position: int
    path: Path
    op: int
    alloc: int
    previous: bool = False
    outlived: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """Operators and loops in executed order, behind the same guards."""

    nodes: tuple[Op | Loop, ...] = ()
    frees: tuple[Free, ...] = ()


@dataclass(frozen=True)
class Loop:
    """Where the guarded scopes of a site run, one a choice.

    choices: those that run here, in executed order: ascending, or in a backward descending;
        (-1,) where weight blocks run together.
    bodies: key → scope. Choice -1 of a key serves all choices. A regime is 0, 1 or 2 (2 and
    more). Rows regime FIRST serves the first choice of a pass that has rows, where that one
    differs (it may allocate what the others fill). In a backward the last may differ too, and
    the second, which begins to add up what the others add to.
    """

    site: str
    choices: tuple[int, ...]
    bodies: Mapping[BodyKey, Scope]

    def body(
        self, choice: int, outer: int, rows: int, turn: int = 0, last: bool = False
    ) -> tuple[BodyKey, Scope] | None:
        """Return the body for `rows` of `outer` rows and its key; None where nothing runs.

        Where a regime was not probed, the nearest one serves.
        """
        for key in self._candidates(choice, outer, rows, _end_regimes(turn, last)):
            if key in self.bodies:
                return key, self.bodies[key]
        return None

    @cached_property
    def ends_differ(self) -> bool:
        """Whether choices are told apart by more than being the first that has rows."""
        return any(rows > FIRST for _, _, rows in self.bodies)

    def _candidates(
        self, choice: int, outer: int, rows: int, ends: tuple[int, ...]
    ) -> Iterator[BodyKey]:
        regimes = [min(rows, 2)]
        if rows:
            regimes = [*ends, min(rows, 2), 2, 1, FIRST, SECOND, LAST, SECOND_LAST, ONLY]
        for outer_regime in (min(outer, 2), 2, 1):
            for rows_regime in regimes:
                yield choice, outer_regime, rows_regime
                yield -1, outer_regime, rows_regime


def _end_regimes(turn: int, last: bool) -> tuple[int, ...]:
    """The regimes of a choice by its turn in a pass, the most special first.

    turn: 1 or 2 for the first or the second that has rows, 0 for any other.
    """
    if not last:
        return ((), (FIRST,), (SECOND,))[turn]
    return ((LAST,), (ONLY, FIRST, LAST), (SECOND_LAST, SECOND, LAST))[turn]


@dataclass(frozen=True)
class PlacedScope:
    """A scope and where it stands.

    number: its place among all scopes of the program. parent: number of the scope that it stands
    in, -1 for the root. loop: node of its loop in the parent. key: of its body.
    """

    number: int
    path: Path
    scope: Scope
    parent: int = -1
    loop: int = -1
    key: BodyKey = (-1, 2, 2)


@dataclass(frozen=True)
class Program:
    """One regime under one strategy.

    strategy: a strategy's or a baseline's name.
    regime: a phase and "1" or "n" units, as "prefill-1", "decode-n", "train-n".
    flagged: operators whose sizes fit no form and keep the captured size.
    probed: extents of the runs that it was fitted to.
    periods: site → (operators before, operators an iteration) of a loop over experts that carries
        no marks.
    stages: of a training step: the nodes of the root with which its backward and its optimizer
        begin, and between them forward and backward of each later micro-batch; () for any other.
    """

    strategy: str
    regime: str
    root: Scope
    flagged: tuple[str, ...] = ()
    probed: tuple[Mapping[str, int], ...] = ()
    periods: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    stages: tuple[int, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Text that stands for all that the program says."""
        return hashlib.sha256(pickle.dumps(self.root)).hexdigest()

    @cached_property
    def results(self) -> Results:
        """What was lately worked out from the program alone."""
        return Results()

    @cached_property
    def scopes(self) -> tuple[PlacedScope, ...]:
        """All scopes, each before those that stand in it."""
        found = [PlacedScope(0, (), self.root)]
        for outer in found:  # grows as scopes are found, until all of them were looked into
            for position, key, body in _bodies_in(outer.scope):
                path = (*outer.path, (position, *key))
                placed = PlacedScope(len(found), path, body, outer.number, position, key)
                found.append(placed)
        return tuple(found)


def _bodies_in(scope: Scope) -> Iterator[tuple[int, BodyKey, Scope]]:
    """Yield (node of a loop, key of a body of it, that body) of all loops of a scope."""
    for position, node in enumerate(scope.nodes):
        if isinstance(node, Loop):
            for key, body in node.bodies.items():
                yield position, key, body


def loops(scope: Scope) -> list[Loop]:
    """Return all loops below a scope, outermost first."""
    found = []
    for node in scope.nodes:
        if isinstance(node, Loop):
            found.append(node)
            for body in node.bodies.values():
                found += loops(body)
    return found


def elements(dims: tuple[Any, ...]) -> Any:
    """Return the elements of a shape; int, or int array where a dimension is an array."""
    n: Any = 1
    for d in dims:
        n = n * d
    return n if isinstance(n, np.ndarray) else int(n)
