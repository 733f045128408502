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
    written = {name: writer.program(program) for name, program in programs.items()}
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
    return {name: reader.program(written) for name, written in data["programs"].items()}


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
            if isinstance(node, Op):
                nodes.append(self._operator(node))
            else:
                bodies = [[*key, self._scope(body)] for key, body in node.bodies.items()]
                nodes.append([node.site, node.choices, bodies])
        frees = [[f.position, f.path, f.op, f.alloc, int(f.previous)] for f in scope.frees]
        return [nodes, frees]

    def _operator(self, op: Op) -> int:
        row = (
            op.name,
            tuple(self._tensor(t) for t in op.inputs),
            tuple(self._tensor(t) for t in op.outputs),
            op.params,
            op.role,
            op.site,
            op.module,
            op.entered,
            op.instructions,
            op.view,
            op.sync,
            tuple((self._elements(count), dtype) for count, dtype in op.allocs),
        )
        return self.operators.number(row)

    def _tensor(self, tensor: Tensor) -> int:
        dims = tuple(self._size(d) for d in tensor.dims)
        return self.tensors.number((dims, tensor.dtype, tensor.weight))

    def _elements(self, count: Dim | Product) -> tuple[int, ...]:
        """The factors of an allocation's size."""
        factors = count.dims if isinstance(count, Product) else (count,)
        return tuple(self._size(d) for d in factors)

    def _size(self, dim: Dim) -> int:
        return self.sizes.number((dim.plus, dim.terms))


class _Reader:
    def __init__(self, data: Mapping[str, Any]) -> None:
        self.first_format = data.get("format", 1) == 1
        sizes = data.get("sizes", ())
        self.sizes = [Dim(plus, _terms(terms)) for plus, terms in sizes]
        self.tensors = [self._tensor(row) for row in data["tensors"]]
        self.operators = [self._operator(row) for row in data["operators"]]

    def program(self, written: Mapping[str, Any]) -> Program:
        periods = {site: tuple(period) for site, period in written["periods"].items()}
        return Program(
            strategy=written["strategy"],
            regime=written["regime"],
            root=self._scope(written["root"]),
            flagged=tuple(written["flagged"]),
            probed=tuple(written["probed"]),
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
        scopes = {(c, outer, rows): self._scope(body) for c, outer, rows, body in bodies}
        return Loop(site, tuple(choices), scopes)

    def _operator(self, row: Any) -> Op:
        name, inputs, outputs, params, *labels, allocs = row
        role, site, module, entered, instructions, view, sync = labels
        return Op(
            name=name,
            inputs=tuple(self.tensors[i] for i in inputs),
            outputs=tuple(self.tensors[i] for i in outputs),
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

    def _tensor(self, row: Any) -> Tensor:
        dims, dtype, weight = row
        return Tensor(tuple(self._size(d) for d in dims), dtype, weight)

    def _alloc(self, written: Any) -> tuple[Dim | Product, str]:
        if self.first_format and len(written) == 4:
            return self._size(written[:3]), written[3]
        factors = tuple(self._size(d) for d in written[0])
        single = len(factors) == 1 and not self.first_format
        return (factors[0] if single else Product(factors)), written[1]

    def _size(self, written: Any) -> Dim:
        if not self.first_format:
            size: Dim = self.sizes[written]
            return size
        plus, coefficient, mask = written
        extents = [name for bit, name in enumerate(VARIABLES) if mask >> bit & 1]
        return Dim.product(coefficient, *extents, plus=plus) if extents else Dim(plus)


def _terms(written: Any) -> tuple[tuple[int, tuple[str, ...]], ...]:
    return tuple((coefficient, tuple(extents)) for coefficient, extents in written)


def _free(row: Any) -> Free:
    position, path, op, alloc, previous = row
    loops = tuple((node, choice, outer, rows) for node, choice, outer, rows in path)
    return Free(position, loops, op, alloc, bool(previous))
