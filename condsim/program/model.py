"""What a model executes, as operators whose sizes are functions of rows.

A `Program` is the operator stream of one forward pass under one strategy in one regime (batch 1 or more, prefill or decode). A `Scope` is a run of
operators with the same guards; a `Loop` stands where a site's guarded scopes run. Sizes are `Dim`s, stored as integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

VARIABLES = (
    "batch",
    "seq",
    "total",
    "outer",
    "rows",
    "rest",
    "hits",
    "capacity",
)  # rest: outer - rows
FIRST = 3
JOINED = ".joined"  # ends the name of an operator that is part of another one: it stands as a view, which only compiled graphs of a CPU price
FLOATING = ("float", "float16", "bfloat16", "float32", "float64")  # dtypes of activations
Bindings = Mapping[str, Any]  # variable → int or int array [n]


@dataclass(frozen=True, slots=True)
class Dim:
    """coef * (product of the variables in `power`, a bit mask over VARIABLES) + plus; a constant has power 0 and coef 0."""

    plus: int
    coef: int = 0
    power: int = 0

    def __call__(self, bindings: Bindings) -> Any:
        """The value: int, or int array where a variable is bound to an array. Raises KeyError for an unbound variable."""
        if not self.power:
            return self.plus
        value: Any = self.coef
        for bit, name in enumerate(VARIABLES):
            if self.power >> bit & 1:
                value = value * bindings[name]
        return value + self.plus

    def __str__(self) -> str:
        if not self.power:
            return str(self.plus)
        names = "*".join(n for b, n in enumerate(VARIABLES) if self.power >> b & 1)
        return (
            (f"{self.coef}*" if self.coef != 1 else "")
            + names
            + (f"{self.plus:+d}" if self.plus else "")
        )


@dataclass(frozen=True, slots=True)
class Product:
    """The product of several sizes: a storage of n * (n + 1) elements."""

    dims: tuple[Dim, ...]

    def __call__(self, bindings: Bindings) -> Any:
        """The value: int, or int array where a variable is bound to an array."""
        return elements(tuple(d(bindings) for d in self.dims))


@dataclass(frozen=True, slots=True)
class Tensor:
    """What an operator reads or writes. dtype: "float" follows the dtype of the simulation; any other is fixed.
    weight: a parameter's name ("*" stands for the choice), or "". family: the parameter holds every choice along its first dimension."""

    dims: tuple[Dim, ...]
    dtype: str
    weight: str = ""

    def shape(self, bindings: Bindings) -> tuple[Any, ...]:
        return tuple(d(bindings) for d in self.dims)


@dataclass(frozen=True, slots=True)
class Op:
    """One operator.

    params: what shapes do not say: stride and groups of a convolution, which input of a 2:4 product is sparse, the innermost loops of an elementwise operator
    (`condsim.record.strides`). role: "" or "router:SITE". site: the moe site whose call it belongs to, or "". module: the module path it was called in.
    entered: module calls that began since the operator before it, instructions: bytecode instructions that Python ran since (host time). view: no kernel,
    host time only. sync: the host waits. allocs: storages that it creates, (elements, dtype).
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


@dataclass(frozen=True, slots=True)
class Free:
    """After node `position` of its scope (-1: at its start) the storage of allocation `alloc` of operator `op` in the scope `path` dies.

    path: loops from the root, each (node index, choice key, outer regime, rows regime). previous: it is the one of an earlier iteration.
    """

    position: int
    path: tuple[tuple[int, int, int, int], ...]
    op: int
    alloc: int
    previous: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """Operators and loops in executed order, under the same guards."""

    nodes: tuple[Op | Loop, ...] = ()
    frees: tuple[Free, ...] = ()


@dataclass(frozen=True, slots=True)
class Loop:
    """Where the guarded scopes of a site run, one a choice, in ascending order.

    bodies: (choice, outer regime, rows regime) → scope; choice -1 is shared by all; regimes are 0, 1 or 2 (= 2 and more).
    Rows regime FIRST serves the first choice of a pass that has rows, where that one differs (it may allocate what the others fill).
    choices: those that run here.
    """

    site: str
    choices: tuple[int, ...]
    bodies: Mapping[tuple[int, int, int], Scope]

    def body(
        self, choice: int, outer: int, rows: int, first: bool = False
    ) -> tuple[tuple[int, int, int], Scope] | None:
        """The scope for so many rows of so many: its key and itself; the nearest regime where that one was not probed; None for none."""
        for o in (min(outer, 2), 2, 1):
            for r in (
                *((FIRST,) if first and rows else ()),
                min(rows, 2),
                *((2, 1, FIRST) if rows else ()),
            ):
                for c in (choice, -1):
                    if (c, o, r) in self.bodies:
                        return (c, o, r), self.bodies[c, o, r]
        return None


@dataclass(frozen=True)
class Program:
    """One regime under one strategy.

    strategy: a strategy's or a baseline's name. regime: "prefill-1", "prefill-n", "decode-1", "decode-n" (1: batch 1; n: more).
    flagged: operators whose sizes fit no form and keep the captured size. probed: bindings of the runs it was fitted to.
    periods: moe site → (operators before, operators an iteration) of a loop over experts that carries no marks.
    """

    strategy: str
    regime: str
    root: Scope
    flagged: tuple[str, ...] = ()
    probed: tuple[Mapping[str, int], ...] = ()
    periods: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def loops(scope: Scope) -> list[Loop]:
    """All loops below a scope, outermost first."""
    found = []
    for node in scope.nodes:
        if isinstance(node, Loop):
            found.append(node)
            for body in node.bodies.values():
                found += loops(body)
    return found


def elements(dims: tuple[Any, ...]) -> Any:
    """Elements of a shape; int, or int array where a dimension is an array."""
    n: Any = 1
    for d in dims:
        n = n * d
    return n if isinstance(n, np.ndarray) else int(n)
