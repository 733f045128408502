"""All ways through a forward on one tape, with what decides between them.

The calls of the reference stand in order. Before each place where another way parts stands a call
that decides, and before the call that both go on with the other way's own calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_map

from condsim.live.lift.deciders import decider
from condsim.live.lift.meanings import (
    Context,
    Decision,
    Mask,
    Meaning,
    Plain,
    Select,
)
from condsim.live.lift.nodes import Fork, Node, Ref
from condsim.live.lift.reading import Reading
from condsim.live.lift.tape import Tape, tensor_of
from condsim.live.lift.ways import Parting, Ways

STAYS, PARTS = 1, 0
"""Branches of a decision between the reference and the other way."""


@dataclass(frozen=True)
class Places:
    """Where the calls of all ways stand on one tape.

    of_reference: number of a call of the reference → there. deciding: place of a parting → the call
    that decides. of_sections: place → numbers of the other way's own calls.
    """

    of_reference: dict[int, int]
    deciding: dict[int, int]
    of_sections: dict[int, list[int]]

    @classmethod
    def of(cls, ways: Ways) -> Places:
        """Those of some ways."""
        places = cls({}, {}, {})
        number = 0
        for here in range(len(ways.reference.nodes) + 1):
            for parting in ways.partings:
                if parting.join == here and parting.at < here:
                    number = places._put_section(parting, number)
            for parting in ways.partings:
                if parting.at == here:
                    places.deciding[parting.at] = number
                    number += 1
                if parting.at == parting.join == here:
                    number = places._put_section(parting, number)
            places.of_reference[here] = number
            number += 1
        return places

    def _put_section(self, parting: Parting, number: int) -> int:
        end = number + len(parting.section)
        self.of_sections[parting.at] = list(range(number, end))
        return end

    def moved(self, ref: Ref, parting: Parting | None = None) -> Ref:
        """A tensor of the reference on the one tape; of another way, where it parted."""
        if parting is not None and ref.node >= parting.at:
            return Ref(self.of_sections[parting.at][ref.node - parting.at], ref.item)
        return Ref(self.of_reference[ref.node], ref.item)


class JoinedWays:
    """Builds the reading of the one tape.

    ways, other: those of two sizes, rows and other_rows: of these.
    """

    def __init__(self, ways: Ways, other: Ways, rows: int, other_rows: int) -> None:
        self.ways, self.other = ways, other
        self.rows, self.other_rows = rows, other_rows
        self.places = Places.of(ways)
        self.tape = self._tape(ways, rows)
        self.other_tape = self._tape(other, other_rows)
        self.reading = Reading(self.tape, rows)
        self._selects: dict[tuple[int, Ref, Ref], Select] = {}
        self._read()

    # The one tape

    def _tape(self, ways: Ways, rows: int) -> Tape:
        """The calls of all ways, in order. rows: of the runs."""
        tape = Tape(ways.reference.host, lone=False)
        numbered: dict[int, Node] = {}
        for node in ways.reference.nodes:
            numbered[self.places.of_reference[node.number]] = self._moved(node, None)
        for parting in ways.partings:
            for node in parting.section:
                moved = self._moved(node, parting)
                numbered[moved.number] = moved
        for place, number in self.places.deciding.items():
            numbered[number] = self._deciding(place, number, rows)
        tape.nodes = [numbered[number] for number in sorted(numbered)]
        tape.output = self._moved_tree(ways.reference.output, None)
        return tape

    def _moved(self, node: Node, parting: Parting | None) -> Node:
        number = self.places.moved(Ref(node.number), parting).node
        args, kwargs = self._moved_tree((node.args, node.kwargs), parting)
        return Node(number, node.name, node.fn, node.module, args, kwargs, node.out)

    def _moved_tree(self, tree: Any, parting: Parting | None) -> Any:
        def move(leaf: Any) -> Any:
            return self.places.moved(leaf, parting) if isinstance(leaf, Ref) else leaf

        return tree_map(move, tree)

    def _deciding(self, place: int, number: int, rows: int) -> Node:
        """The call that decides at a place."""
        decides = decider(self.ways, self.other, place, (self.rows, self.other_rows))
        args = tuple(self.places.moved(ref) for ref in decides.reads)
        out = torch.ones(rows, dtype=torch.bool)
        return Node(number, "decide", decides, None, args, {}, out, Fork(2))

    # Meanings

    def _read(self) -> None:
        for place, number in self.places.deciding.items():
            context = self._outside(place)
            self.reading.decisions[number] = Decision(
                number, 2, True, context, masks=True, waits=True, leaves=self._leaves(place)
            )
            self.reading.values[Ref(number)] = Mask(Ref(number), number, STAYS)
            args = tuple(self._plain(ref, context) for ref in self.tape.nodes[number].args)
            self.reading.arguments[number] = (args, {})
        for node in self.ways.reference.nodes:
            self._read_node(node, None, node.number, self._context(node.number))
        for parting in self.ways.partings:
            context = (*self._outside(parting.at), self._condition(parting, PARTS))
            for node in parting.section:
                self._read_node(node, parting, parting.at, context)
        end = len(self.ways.reference.nodes)
        self.reading.output = self._read_tree(self.ways.reference.output, None, end)

    def _read_node(
        self, node: Node, parting: Parting | None, reader: int, context: Context
    ) -> None:
        """Note what a call reads and gives. reader: its place along the reference."""
        moved = self.places.moved(Ref(node.number), parting)
        arguments = self._read_tree((node.args, node.kwargs), parting, reader)
        self.reading.arguments[moved.node] = arguments
        for result in (Ref(node.number), *node.results):
            ref = self.places.moved(result, parting)
            self.reading.values[ref] = self._plain(ref, context)

    def _read_tree(self, tree: Any, parting: Parting | None, reader: int) -> Any:
        def meaning(leaf: Any) -> Any:
            if not isinstance(leaf, Ref):
                return leaf
            if parting is not None and leaf.node >= parting.at:
                ref = self.places.moved(leaf, parting)
                return self._plain(ref, (*self._outside(parting.at), self._condition(parting, 0)))
            return self._meaning(leaf, reader)

        return tree_map(meaning, tree)

    def _meaning(self, ref: Ref, reader: int) -> Meaning:
        """What a tensor of the reference is for a call of it: put together from all ways."""
        swapping = []
        for parting in self.ways.partings:
            if ref in parting.swaps and parting.join <= reader and parting.at < reader:
                swapping.append(parting)
        value: Meaning = self._plain(self.places.moved(ref), self._context(ref.node))
        for parting in reversed(swapping):
            value = self._select(parting, ref, value)
        return value

    def _select(self, parting: Parting, ref: Ref, stays: Meaning) -> Select:
        other = parting.swaps[ref]
        key = (parting.at, ref, other)
        if key not in self._selects:
            decision = self.places.deciding[parting.at]
            if other.node >= parting.at:
                moved = self.places.moved(other, parting)
                context = (*self._outside(parting.at), self._condition(parting, PARTS))
                parts: Meaning = self._plain(moved, context)
            else:
                parts = self._meaning(other, parting.at)
            self._selects[key] = Select(
                ref=self.places.moved(ref),
                context=self._outside(parting.at),
                decision=decision,
                options={STAYS: stays, PARTS: parts},
                base=None,
                number=self._completed(parting),
            )
        return self._selects[key]

    def _completed(self, parting: Parting) -> int:
        """The call after which all that a parting leads to is known."""
        return self.places.of_reference[parting.join] - 1

    def _plain(self, ref: Ref, context: Context) -> Plain:
        sizes = []
        for tape in (self.tape, self.other_tape):
            out = tape.nodes[ref.node].out
            if ref.item is None and not isinstance(out, torch.Tensor):
                return Plain(ref, context)
            sizes.append(tensor_of(tape, ref).shape[:1])
        return Plain(ref, context, sizes == [(self.rows,), (self.other_rows,)])

    def _condition(self, parting: Parting, choice: int) -> tuple[int, int]:
        return (self.places.deciding[parting.at], choice)

    def _context(self, node: int) -> Context:
        """The conditions of a call of the reference."""
        inside = [parting for parting in self.ways.partings if parting.takes(node)]
        return tuple(self._condition(parting, STAYS) for parting in inside)

    def _outside(self, place: int) -> Context:
        """The conditions of what decides at a place, and of what is put together there."""
        outer = [one for one in self.ways.partings if one.at < place < one.join]
        return tuple(self._condition(parting, STAYS) for parting in outer)

    def _leaves(self, place: int) -> bool:
        """Whether a parting leaves others behind it or before it: one of a chain of exits."""
        (own,) = [parting for parting in self.ways.partings if parting.at == place]
        for other in self.ways.partings:
            nested = other.at != own.at and other.join == own.join
            if nested and not own.section:
                return True
        return False
