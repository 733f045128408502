"""Programs as plain JSON: tensors and operators are written once and referred to by number.

Extents are written by name. Format 1 wrote a size as (plus, coefficient, bit mask over
`VARIABLES`); it is still read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from condsim.errors import shown
from condsim.program.model import (
    SECOND_LAST,
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
from condsim.program.regime import Regime
from condsim.untrusted import check_text

FORMAT = 2
STAGES = (0, 2, 4)
"""Stages after the first forward: of no training step, of one micro-batch, of two."""
MOST_NUMBER = 1 << 40
MOST_ELEMENTS = 1 << 40
"""Of a tensor, but for what the extents multiply it by."""
MOST_FACTORS = 16
"""Dimensions of a tensor, and extents that a size is a product of."""
MOST_LEVELS = 48
"""Loops in each other."""

T = TypeVar("T")


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


def from_json(data: Any, branches: Mapping[str, int] | None = None) -> dict[str, Program]:
    """Return the programs that `to_json` wrote.

    branches: guards of each site that programs may name; None for any.
    Raises ValueError where the data is not of that form, and where a number, a name or a reference
    is outside of what there is.
    """
    try:
        reader = _Reader(data, branches)
        return {name: reader.program(name, row) for name, row in data["programs"].items()}
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ValueError(f"these are no programs ({problem})") from None


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
            "stages": program.stages,
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
        allocs = tuple((self._elements(count), dtype) for count, dtype in op.allocs)
        row = (op.name, inputs, outputs, op.params, *labels, allocs)
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
    written = [free.position, free.path, free.op, free.alloc, int(free.previous)]
    return [*written, 1] if free.outlived else written


class _Reader:
    def __init__(self, data: Any, branches: Mapping[str, int] | None) -> None:
        self.branches = branches
        if _whole(data.get("format", 1), least=1) > FORMAT:
            raise ValueError(f"format {data['format']} is newer than {FORMAT}; upgrade condsim")
        self.first_format = data.get("format", 1) == 1
        self.sizes = [_dim(row) for row in data.get("sizes", ())]
        self.tensors = [self._tensor(row) for row in data["tensors"]]
        self.operators = [self._operator(row) for row in data["operators"]]

    def program(self, name: str, written: Any) -> Program:
        strategy = _text(written["strategy"])
        regime = Regime.parse(_text(written["regime"]))
        own_name = f"{strategy}/{regime}"
        if name != own_name:
            raise ValueError(f"program {shown(name)} is that of {shown(own_name)}")
        flagged = [_text(op) for op in written["flagged"]]
        probed = [_extents(sizes) for sizes in written["probed"]]
        return Program(
            strategy=strategy,
            regime=str(regime),
            root=self._scope(written["root"], 0),
            flagged=tuple(flagged),
            probed=tuple(probed),
            periods=self._periods(written["periods"]),
            stages=self._stages(written),
        )

    def _periods(self, written: Any) -> dict[str, tuple[int, ...]]:
        periods = {}
        for site, period in written.items():
            if len(period) not in (2, 3):
                raise ValueError(f"a period has 2 or 3 numbers, got {len(period)}")
            periods[self._site(site)] = tuple(_whole(number) for number in period)
        return periods

    def _stages(self, written: Any) -> tuple[int, ...]:
        """Where backward and optimizer begin; traces of before have none."""
        nodes = len(written["root"][0])
        stages = tuple(_whole(stage, 0, nodes) for stage in written.get("stages", ()))
        if len(stages) not in STAGES or list(stages) != sorted(stages):
            raise ValueError(
                "a training step has two stages after its forward, or four of two micro-batches, "
                f"got {stages}"
            )
        return stages

    def _scope(self, written: Any, level: int) -> Scope:
        if level > MOST_LEVELS:
            raise ValueError(f"there are more than {MOST_LEVELS} loops in each other")
        written_nodes, written_frees = written
        nodes = [self._node(node, level) for node in written_nodes]
        frees = [_free(row) for row in written_frees]
        return Scope(tuple(nodes), tuple(frees))

    def _node(self, written: Any, level: int) -> Op | Loop:
        if type(written) is int:
            return _at(self.operators, written)
        site, written_choices, bodies = written
        choices = self._choices(self._site(site), written_choices)
        scopes = {}
        for choice, outer, rows, body in bodies:
            key = (_whole(choice, -1), _whole(outer, 0, 2), _whole(rows, 0, SECOND_LAST))
            is_run = choice == -1 or choice in choices
            if key in scopes or not is_run:
                raise ValueError(f"a loop over site {shown(site)} has a body {key} too many")
            scopes[key] = self._scope(body, level + 1)
        return Loop(site, choices, scopes)

    def _choices(self, site: str, written: Any) -> tuple[int, ...]:
        """The branches that a loop runs: in order, forth or back, or -1 alone."""
        most = MOST_NUMBER if self.branches is None else self.branches[site] - 1
        choices = tuple(_whole(choice, -1, most) for choice in written)
        forth = sorted(set(choices))
        in_order = list(choices) in (forth, forth[::-1])
        only_all = len(choices) <= 1 or -1 not in choices
        if not choices or not in_order or not only_all:
            raise ValueError(f"a loop over site {shown(site)} has the choices {shown(choices)}")
        return choices

    def _site(self, name: Any) -> str:
        if self.branches is not None and name not in self.branches:
            raise ValueError(f"there is no site {shown(name)}")
        return _text(name)

    def _operator(self, row: Any) -> Op:
        name, inputs, outputs, params, *labels, allocs = row
        role, site, module, entered, instructions, view, sync = labels
        numbers = [_whole(param, -MOST_NUMBER) for param in params]
        site_name = self._site(site) if site else ""
        return Op(
            name=_text(name),
            inputs=self._tensors(inputs),
            outputs=self._tensors(outputs),
            params=tuple(numbers),
            role=self._role(role),
            site=site_name,
            module=_text(module),
            entered=_whole(entered),
            instructions=_whole(instructions),
            view=_flag(view),
            sync=_flag(sync),
            allocs=tuple(self._alloc(a) for a in allocs),
        )

    def _role(self, written: Any) -> str:
        """What an operator is for: nothing said, or the router of a site."""
        role = _text(written)
        if role:
            kind, _, site = role.partition(":")
            if kind != "router" or self._site(site) != site:
                raise ValueError(f"there is no role {shown(role)}")
        return role

    def _tensors(self, numbers: Any) -> tuple[Tensor, ...]:
        return tuple(_at(self.tensors, number) for number in numbers)

    def _tensor(self, row: Any) -> Tensor:
        sizes, dtype, weight = row
        dims = tuple(self._size(size) for size in sizes)
        return Tensor(_bounded(dims), _text(dtype), _text(weight))

    def _alloc(self, written: Any) -> tuple[Dim | Product, str]:
        if self.first_format and len(written) == 4:
            *size, dtype = written
            return self._size(size), _text(dtype)
        sizes, dtype = written
        factors = _bounded(tuple(self._size(size) for size in sizes))
        if len(factors) == 1 and not self.first_format:
            return factors[0], _text(dtype)
        return Product(factors), _text(dtype)

    def _size(self, written: Any) -> Dim:
        if not self.first_format:
            return _at(self.sizes, written)
        plus, coefficient, mask = (_whole(number, -MOST_NUMBER) for number in written)
        extents = []
        for bit, name in enumerate(VARIABLES):
            if mask >> bit & 1:
                extents.append(name)
        if not extents:
            return Dim(plus)
        return Dim.product(coefficient, *extents, plus=plus)


def _at(table: list[T], number: Any) -> T:
    """The value of a number. Raises ValueError where there is none."""
    if type(number) is not int or not 0 <= number < len(table):
        raise ValueError(f"there is no number {shown(number)} among {len(table)}")
    return table[number]


def _whole(value: Any, least: int = 0, most: int = MOST_NUMBER) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"must be a whole number from {least} to {most}, got {shown(value)}")
    return value


def _flag(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError(f"must be true or false, got {shown(value)}")
    return bool(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"must be a text, got {shown(value)}")
    return check_text(value)


def _extents(written: Any) -> dict[str, int]:
    return {_text(name): _whole(value) for name, value in written.items()}


def _dim(row: Any) -> Dim:
    plus, written = row
    terms = []
    for coefficient, extents in written:
        if len(extents) > MOST_FACTORS:
            raise ValueError(f"a size is a product of more than {MOST_FACTORS} extents")
        names = tuple(_text(extent) for extent in extents)
        terms.append((_whole(coefficient, -MOST_NUMBER), names))
    return Dim(_whole(plus, -MOST_NUMBER), tuple(terms))


def _bounded(dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The sizes of a tensor. Raises ValueError where it is larger than any memory."""
    elements = 1
    for dim in dims:
        coefficients = sum(abs(coefficient) for coefficient, _ in dim.terms)
        elements *= max(1, abs(dim.plus) + coefficients)
    if elements > MOST_ELEMENTS or len(dims) > MOST_FACTORS:
        raise ValueError(f"a tensor has {elements:.3g} elements in {len(dims)} dimensions")
    return dims


def _free(row: Any) -> Free:
    position, written, op, alloc, *flags = row
    path = []
    for node, choice, outer, rows in written:
        path.append((_whole(node), _whole(choice, -1), _whole(outer), _whole(rows)))
    previous, outlived = flags if len(flags) > 1 else (*flags, 0)
    place = (_whole(position, -1), tuple(path), _whole(op), _whole(alloc))
    return Free(*place, _flag(previous), _flag(outlived))
