"""What the calls of one operator cost: a device model says it, the table of kernels holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from condsim.program.work import Work

PARTS = ("dispatch", "matmul", "traffic", "weights", "quantisation")
"""What a kernel's seconds are made of.

dispatch: of the host, or of starting it. matmul: arithmetic of products. traffic: reading and
writing activations, and operators that multiply nothing. weights: what reading weights takes
longer than the arithmetic beside it. quantisation: padding to whole tiles.
"""


@dataclass(frozen=True, slots=True)
class SizedRead:
    """A weight that an operator reads, at its sizes.

    bytes, rows, pieces: bytes of one visit, rows of the product, and of how many matrices the
    weight is made that a batched product takes one after the other; float [sizes].
    row_bytes: of one row of the weight, which lies in one piece; float [sizes].
    experts: of a grouped product that reads the weights of each expert that has rows: rows of
    each, int [calls, experts].
    """

    bytes: np.ndarray
    rows: np.ndarray
    pieces: np.ndarray
    row_bytes: np.ndarray
    experts: np.ndarray | None = None

    @property
    def bytes_a_call(self) -> np.ndarray:
        """Bytes that a call reads, all experts that have rows together; float [sizes]."""
        if self.experts is None:
            return self.bytes
        experts_read = (self.experts > 0).sum(1)
        read: np.ndarray = self.bytes * experts_read
        return read

    def at(self, sizes: slice | np.ndarray) -> SizedRead:
        """Return the read at some of its sizes."""
        experts = None if self.experts is None else self.experts[sizes]
        of_sizes = [self.bytes[sizes], self.rows[sizes], self.pieces[sizes], self.row_bytes[sizes]]
        return SizedRead(*of_sizes, experts)


@dataclass(frozen=True)
class KernelCost:
    """What the calls of one operator cost.

    parts: part → seconds, number or float [sizes]. flops: of products. moved_bytes: activations
    that are read and written. family: the table that the time was read from. basis: what the time
    rests on ("calibrated", "estimated", ...). code: whose machine code runs, "" where that costs
    nothing. worlds: world of the waterfall → seconds beyond flops / peak, where the device model
    says them. on_host: the host runs it, not the device. view: it runs no kernel.
    memory_bytes: memory level → bytes, where the device model says them. reads: its weights.
    job: the product inside it, where it is one.
    """

    parts: Mapping[str, Any]
    family: str
    basis: str
    flops: Any = 0.0
    moved_bytes: Any = 0.0
    code: str = ""
    worlds: Mapping[str, Any] = field(default_factory=dict)
    on_host: bool = False
    view: bool = False
    memory_bytes: Mapping[str, Any] = field(default_factory=dict)
    reads: Sequence[SizedRead] = ()
    job: Work | None = None

    def numbers(self) -> Iterator[tuple[str, Any]]:
        """Yield (column, number or float [sizes])."""
        yield from self.parts.items()
        yield "flops", self.flops
        yield "moved_bytes", self.moved_bytes
        for world, seconds in self.worlds.items():
            yield f"world {world}", seconds
        for level, moved in self.memory_bytes.items():
            yield f"memory {level}", moved
        for read in self.reads:
            yield "weight_bytes", read.bytes_a_call

    def rows(self, count: int, bases: Any = None) -> CostRows:
        """Return the cost as rows of the table.

        count: of its sizes. bases: what they rest on, str [sizes]; None for all the same.
        """
        columns: dict[str, Any] = {}
        for name, values in self.numbers():
            columns[name] = columns[name] + values if name in columns else values
        table = np.empty((len(columns), count))
        for row, values in enumerate(columns.values()):
            table[row] = values
        bases = self.basis if bases is None else bases
        return CostRows(self, tuple(columns), table, bases, slice(0, count))


@dataclass(slots=True)
class CostRows:
    """What the calls of one operator cost, as rows of the table.

    cost: as it was found, at all sizes. sizes: which of these the rows are of.
    names: of columns. table: their values, float [columns, sizes].
    bases: what the rows rest on, str or str [sizes].
    """

    cost: KernelCost
    names: tuple[str, ...]
    table: np.ndarray
    bases: Any
    sizes: slice | np.ndarray

    def at(self, chosen: slice | np.ndarray) -> CostRows:
        """Return some of the rows, which are a range themselves."""
        assert isinstance(self.sizes, slice)
        first = self.sizes.start
        bases = self.bases if isinstance(self.bases, str) else self.bases[chosen]
        if isinstance(chosen, slice):
            sizes: slice | np.ndarray = slice(first + chosen.start, first + chosen.stop)
        else:
            sizes = first + chosen
        return CostRows(self.cost, self.names, self.table[:, chosen], bases, sizes)

    @property
    def basis(self) -> str:
        """What all rows together rest on."""
        return self.bases if isinstance(self.bases, str) else least_sure(self.bases)

    @property
    def reads(self) -> list[SizedRead]:
        """The weights that are read."""
        return [read.at(self.sizes) for read in self.cost.reads]

    @property
    def job(self) -> Work | None:
        """The product inside, where there is one."""
        job = self.cost.job
        return None if job is None else job.at(self.sizes)


def least_sure(basis: Any) -> str:
    """Return the basis of a sum of times. basis: of each, str or several."""
    words = {basis} if isinstance(basis, str) else set(np.asarray(basis).ravel().tolist())
    for word in ("estimated", "extrapolated"):
        if word in words:
            return word
    return "calibrated"


@dataclass(frozen=True)
class Priced:
    """What the operators of a layout cost.

    costs: of operators at their sizes, alike ones once. cost_of: which of them each entry has,
    int [entries]. dispatch_s: what the host takes for each entry beyond them.
    far_s_per_byte: what each byte that an entry moves takes longer since it lies far away.
    Float [entries], or one number for all.
    """

    costs: Sequence[CostRows]
    cost_of: np.ndarray
    dispatch_s: np.ndarray | float = 0.0
    far_s_per_byte: np.ndarray | float = 0.0
