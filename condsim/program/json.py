"""Programs as plain JSON: tensors and operators are written once and referred to by number.

Extents are written by name. Format 1 wrote a size as (plus, coefficient, bit mask over
`VARIABLES`); it is still read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from condsim.program.model import (
    VARIABLES,
    Dim,
    Free,
    Loop,
    Op,
    Product,
    Program,
    Scope,
    Tensor,
)

FORMAT = 2


def to_json(programs: Mapping[str, Program]) -> dict[str, Any]:
    """Return programs as lists and numbers."""
    writer = _Writer()
    written = {}
    for name, program in programs.items():
        written[name] = writer.program(program)
    return {
        "format": FORMAT,
        "sizes": writer.sizes.rows,
        "tensors": writer.tensors.rows,
        "operators": writer.operators.rows,
        "programs": written,
    }


def from_json(data: Mapping[str, Any]) -> dict[str, Program]:
    """Return the programs that `to_json` wrote.

    Raises KeyError, IndexError, TypeError or ValueError where the data is not of that form.
    """
    reader = _Reader(data)
    programs = {}
    for name, written in data["programs"].items():
        programs[name] = reader.program(written)
    return programs


class _Table:
    """Values by number, so that a value that stands a thousand times is written once."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        if value not in self._numbers:
            self._numbers[value] = len(self.rows)
            self.rows.append(value)
        return self._numbers[value]


class _Writer:
    def __init__(self) -> None:
        self.sizes = _Table()
        self.tensors = _Table()
        self.operators = _Table()

    def program(self, program: Program) -> dict[str, Any]:
        return {
            "strategy": program.strategy,
            "regime": program.regime,
            "root": self._scope(program.root),
            "flagged": program.flagged,
            "probed": program.probed,
            "periods": program.periods,
        }

    def _scope(self, scope: Scope) -> list[Any]:
        nodes: list[Any] = []
        for node in scope.nodes:
            written = self._operator(node) if isinstance(node, Op) else self._loop(node)
            nodes.append(written)
        frees = [_written_free(free) for free in scope.frees]
        return [nodes, frees]

    def _loop(self, loop: Loop) -> list[Any]:
        bodies = []
        for key, body in loop.bodies.items():
            scope = self._scope(body)
            bodies.append([*key, scope])
        return [loop.site, loop.choices, bodies]

    def _operator(self, op: Op) -> int:
        inputs = self._tensors(op.inputs)
        outputs = self._tensors(op.outputs)
        labels = (op.role, op.site, op.module, op.entered, op.instructions, op.view, op.sync)
        allocs = []
        for count, dtype in op.allocs:
            factors = self._elements(count)
            allocs.append((factors, dtype))
        row = (op.name, inputs, outputs, op.params, *labels, tuple(allocs))
        return self.operators.number(row)

    def _tensors(self, tensors: tuple[Tensor, ...]) -> tuple[int, ...]:
        return tuple(self._tensor(tensor) for tensor in tensors)

    def _tensor(self, tensor: Tensor) -> int:
        dims = tuple(self._size(d) for d in tensor.dims)
        return self.tensors.number((dims, tensor.dtype, tensor.weight))

    def _elements(self, count: Dim | Product) -> tuple[int, ...]:
        """The factors of an allocation's size."""
        factors = count.dims if isinstance(count, Product) else (count,)
        return tuple(self._size(d) for d in factors)

    def _size(self, dim: Dim) -> int:
        row = (dim.plus, dim.terms)
        return self.sizes.number(row)


def _written_free(free: Free) -> list[Any]:
    return [free.position, free.path, free.op, free.alloc, int(free.previous)]


class _Reader:
    def __init__(self, data: Mapping[str, Any]) -> None:
        self.first_format = data.get("format", 1) == 1
        self.sizes = [_dim(row) for row in data.get("sizes", ())]
        self.tensors = [self._tensor(row) for row in data["tensors"]]
        self.operators = [self._operator(row) for row in data["operators"]]

    def program(self, written: Mapping[str, Any]) -> Program:
        root = self._scope(written["root"])
        flagged = tuple(written["flagged"])
        probed = tuple(written["probed"])
        periods = {}
        for site, period in written["periods"].items():
            periods[site] = tuple(period)
        return Program(
            strategy=written["strategy"],
            regime=written["regime"],
            root=root,
            flagged=flagged,
            probed=probed,
            periods=periods,
        )

    def _scope(self, written: Any) -> Scope:
        nodes = tuple(self._node(node) for node in written[0])
        frees = tuple(_free(row) for row in written[1])
        return Scope(nodes, frees)

    def _node(self, written: Any) -> Op | Loop:
        if isinstance(written, int):
            return self.operators[written]
        site, choices, bodies = written
        scopes = {}
        for choice, outer, rows, body in bodies:
            scopes[choice, outer, rows] = self._scope(body)
        return Loop(site, tuple(choices), scopes)

    def _operator(self, row: Any) -> Op:
        name, inputs, outputs, params, *labels, allocs = row
        role, site, module, entered, instructions, view, sync = labels
        return Op(
            name=name,
            inputs=self._tensors(inputs),
            outputs=self._tensors(outputs),
            params=tuple(params),
            role=role,
            site=site,
            module=module,
            entered=entered,
            instructions=instructions,
            view=view,
            sync=sync,
            allocs=tuple(self._alloc(a) for a in allocs),
        )

    def _tensors(self, numbers: Any) -> tuple[Tensor, ...]:
        return tuple(self.tensors[number] for number in numbers)

    def _tensor(self, row: Any) -> Tensor:
        sizes, dtype, weight = row
        dims = tuple(self._size(size) for size in sizes)
        return Tensor(dims, dtype, weight)

    def _alloc(self, written: Any) -> tuple[Dim | Product, str]:
        if self.first_format and len(written) == 4:
            *size, dtype = written
            return self._size(size), dtype
        sizes, dtype = written
        factors = tuple(self._size(size) for size in sizes)
        if len(factors) == 1 and not self.first_format:
            return factors[0], dtype
        return Product(factors), dtype

    def _size(self, written: Any) -> Dim:
        if not self.first_format:
            size: Dim = self.sizes[written]
            return size
        plus, coefficient, mask = written
        extents = []
        for bit, name in enumerate(VARIABLES):
            if mask >> bit & 1:
                extents.append(name)
        if not extents:
            return Dim(plus)
        return Dim.product(coefficient, *extents, plus=plus)


def _dim(row: Any) -> Dim:
    plus, written = row
    terms = []
    for coefficient, extents in written:
        terms.append((coefficient, tuple(extents)))
    return Dim(plus, tuple(terms))


def _free(row: Any) -> Free:
    position, written, op, alloc, previous = row
    path = []
    for node, choice, outer, rows in written:
        path.append((node, choice, outer, rows))
    return Free(position, tuple(path), op, alloc, bool(previous))
