"""What each call of a step touches, for playing its activations back.

Which tensors these are follows from the program and the order of its calls; their sizes are
evaluated for all calls at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from condsim.cost.cpu.step_memory import BlocksOfCall, StepBlocks, StepMemory
from condsim.cost.device import Target
from condsim.errors import CondsimError
from condsim.lowered import Lowered
from condsim.played import PlayedSteps
from condsim.program import Dim, Op, Product, Program
from condsim.program.model import Place
from condsim.program.operators import takes_rows
from condsim.program.order import Order
from condsim.program.polynomials import Polynomials
from condsim.program.work import OPERATORS

READ, WEIGHT, WRITTEN, NEW, IGNORED, TEMPORARY = range(6)
"""What an operator does with a tensor, or with the storage that it makes. Those of views are
ignored until they die. Temporary ones die with the call."""
BLOCKED_CHANNELS, PLAIN_CHANNELS = 16, 3
"""oneDNN convolves copies in which so many channels lie together, the last of them padded; images
of so few channels are read as they are. Source: oneDNN, "Understanding Memory Formats", nChw16c."""


def step_memory(target: Target, lowered: Lowered, played: PlayedSteps) -> StepMemory:
    """Return what the calls of a step touch."""
    program, order = lowered.program, played.order
    key = ("tensors of calls", target.float_bytes, order.entered)
    make = partial(_CallTensors.of, program, order, target)
    tensors = program.results.remember(key, make)
    return tensors.at(_powers(tensors, lowered, played))


def _powers(tensors: _CallTensors, lowered: Lowered, played: PlayedSteps) -> np.ndarray:
    """The monomials of the tensors' sizes at each point, int [monomials, points]."""
    powers = np.zeros((len(tensors.elements.monomials), len(tensors.points)), np.int64)
    alike: dict[tuple[int, str], list[int]] = {}
    scopes, (calls_of,) = played.scopes.tolist(), played.calls
    for point, (entry, site) in enumerate(tensors.points):
        alike.setdefault((scopes[entry], site), []).append(point)
    for (scope, site), points in alike.items():
        calls = calls_of[[tensors.points[point][0] for point in points]]
        sizes = lowered.sizes(scope, site)
        extents = {name: values[calls] for name, values in sizes.items()}
        powers[:, points] = tensors.elements.powers(extents, len(points))
    return powers


# Tensors of operators


@dataclass
class _Tensors:
    """The tensors and new storages of an operator.

    row: of their elements among the program's polynomials. at_most: row of what limits them, as
    the result limits how much of a weight is looked up; the same row where nothing does.
    itemsize: bytes of an element. role: what the operator does with them.
    """

    row: list[int] = field(default_factory=list)
    at_most: list[int] = field(default_factory=list)
    itemsize: list[int] = field(default_factory=list)
    role: list[int] = field(default_factory=list)

    def add(self, row: int, itemsize: int, role: int, at_most: int | None = None) -> None:
        self.row.append(row)
        self.at_most.append(row if at_most is None else at_most)
        self.itemsize.append(itemsize)
        self.role.append(role)


class _ProgramTensors:
    """The tensors of all operators of a program."""

    def __init__(self, program: Program, target: Target) -> None:
        self._target = target
        self._rows: dict[tuple[Dim, ...], int] = {}
        self.of: dict[Place, _Tensors] = {}
        for placed in program.scopes:
            for node, op in enumerate(placed.scope.nodes):
                if isinstance(op, Op):
                    self.of[placed.number, node] = self._tensors(op)
        self.elements = Polynomials.of_products(list(self._rows))

    def _tensors(self, op: Op) -> _Tensors:
        found, itemsize = _Tensors(), self._target.itemsize
        if not op.view:
            for tensor in op.inputs:
                row = self._row(tensor.dims)
                if not tensor.weight:
                    found.add(row, itemsize(tensor.dtype), READ)
                    continue
                looked_up = self._row(op.outputs[0].dims) if takes_rows(op.name) else None
                found.add(row, itemsize(tensor.dtype), WEIGHT, looked_up)
            for tensor in op.outputs:
                found.add(self._row(tensor.dims), itemsize(tensor.dtype), WRITTEN)
        for dims in _blocked_copies(op):
            found.add(self._row(dims), itemsize(op.outputs[0].dtype), TEMPORARY)
        for size, dtype in op.allocs:
            dims = size.dims if isinstance(size, Product) else (size,)
            found.add(self._row(dims), itemsize(dtype), IGNORED if op.view else NEW)
        return found

    def _row(self, dims: tuple[Dim, ...]) -> int:
        return self._rows.setdefault(dims, len(self._rows))


def _blocked_copies(op: Op) -> list[tuple[Dim, ...]]:
    """The shapes of the copies that a convolution makes of what it reads and writes."""
    if op.name != "conv2d":
        return []
    copies = []
    for images in (op.inputs[0], op.outputs[0]):
        batch, channels, *sides = images.dims
        if not channels.terms and channels.plus > PLAIN_CHANNELS:
            padded = -(-channels.plus // BLOCKED_CHANNELS) * BLOCKED_CHANNELS
            copies.append((batch, Dim(padded), *sides))
    return copies


# Tensors of calls


@dataclass(frozen=True)
class _CallTensors:
    """The tensors of all calls of a step, one after the other, without their sizes.

    elements: of tensors. points: (entry into a scope, site) that sizes are taken at.
    row, at_most, itemsize, role: as in `_Tensors`. call, point: of each; int [tensors].
    blocks: of the calls. product: whether it is a matmul, bool [calls].
    """

    elements: Polynomials
    points: list[tuple[int, str]]
    row: np.ndarray
    at_most: np.ndarray
    itemsize: np.ndarray
    role: np.ndarray
    call: np.ndarray
    point: np.ndarray
    blocks: StepBlocks
    product: np.ndarray

    @classmethod
    def of(cls, program: Program, order: Order, target: Target) -> _CallTensors:
        """Return the tensors of the calls of a step in this order."""
        key = ("tensors", target.float_bytes)
        in_program = program.results.remember(key, lambda: _ProgramTensors(program, target))
        points: dict[tuple[int, str], int] = {}
        every = _Tensors()
        call, point, begins = [], [], [0]
        for number, place in enumerate(order.places):
            tensors, op = in_program.of[place], order.ops[number]
            every.row += tensors.row
            every.at_most += tensors.at_most
            every.itemsize += tensors.itemsize
            every.role += tensors.role
            of_call = points.setdefault((order.entry[number], op.site), len(points))
            call += [number] * len(tensors.row)
            point += [of_call] * len(tensors.row)
            begins.append(len(every.row))
        return cls(
            elements=in_program.elements,
            points=list(points),
            row=np.array(every.row, np.int64),
            at_most=np.array(every.at_most, np.int64),
            itemsize=np.array(every.itemsize, np.int64),
            role=np.array(every.role, np.int64),
            call=np.array(call, np.int64),
            point=np.array(point, np.int64),
            blocks=_blocks(order, every.role, begins),
            product=np.array([op.name in OPERATORS for op in order.ops], bool),
        )

    def at(self, powers: np.ndarray) -> StepMemory:
        """Return what the calls touch. powers: monomials of the sizes, int [monomials, points].

        Raises CondsimError for a size below 0.
        """
        of_point = self.elements.coefficients @ powers
        elements = of_point[self.row, self.point]
        if (elements < 0).any():
            raise CondsimError("a storage of the program has a size below 0 in a step")
        at_most = of_point[self.at_most, self.point]
        sizes = np.minimum(elements, at_most) * self.itemsize.astype(float)
        written = self._of_calls(WRITTEN, sizes)
        in_new = self._of_calls(NEW, sizes)
        return StepMemory(
            blocks=self.blocks,
            sizes=sizes,
            call=self.call,
            read=self.role == READ,
            new=self.role == NEW,
            temporary=self.role == TEMPORARY,
            weights=self._of_calls(WEIGHT, sizes),
            in_place=np.maximum(written - in_new, 0.0),
            product=self.product,
        )

    def _of_calls(self, role: int, sizes: np.ndarray) -> np.ndarray:
        """The bytes of one role that each call touches, float [calls]."""
        chosen = self.role == role
        return np.bincount(self.call[chosen], sizes[chosen], len(self.product))


def _blocks(order: Order, role: list[int], begins: list[int]) -> StepBlocks:
    """The tensors that calls read, make and leave dead.

    begins: the first tensor of each call, and the end.
    """
    dead: dict[int, list[int]] = {}
    for after, storage in order.deaths:
        storages = len(order.ops[storage.call].allocs)
        of_storage = begins[storage.call + 1] - storages + storage.alloc
        dead.setdefault(after, []).append(of_storage)
    blocks = []
    for call in range(len(order)):
        tensors = range(begins[call], begins[call + 1])
        reads = tuple([tensor for tensor in tensors if role[tensor] == READ])
        new = tuple([tensor for tensor in tensors if role[tensor] == NEW])
        freed = tuple(dead.get(call, ()))
        temporary = tuple([tensor for tensor in tensors if role[tensor] == TEMPORARY])
        if reads or new or freed or temporary:
            blocks.append(BlocksOfCall(call, reads, new, freed, temporary))
    return StepBlocks(blocks)
