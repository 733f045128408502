"""The operators that a lowered program runs, each once, whatever their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from condsim.lowered import Lowered
from condsim.played import PlayedSteps
from condsim.program import Dim, Op
from condsim.program.model import Place
from condsim.program.needs import needs_of
from condsim.program.work import GROUPED
from condsim.results import Results


@dataclass(frozen=True, slots=True)
class Entry:
    """An operator at its place.

    scope: index of its `ScopeCalls`. kind: number of operators that cost as much at the same
    sizes. size_set: number of its sizes among all sets.
    """

    scope: int
    node: int
    op: Op
    place: Place
    kind: int
    size_set: int


GroupKey = tuple[int, str, tuple[Dim, ...]]
"""(scope, site, experts) of weights that are always used together; no experts where each call of
the scope uses them."""


class WeightRead(NamedTuple):
    """One operator reads one weight.

    entry: number of the operator. place: which of the weights that it reads. group: the weights
    that are visited together with it. reader: the operator.
    """

    name: str
    entry: int
    place: int
    group: GroupKey
    reader: Entry


@dataclass(frozen=True, slots=True)
class SharedSizes:
    """What operators of one scope that share their sizes have in common.

    site: whose experts they compute, "" for none. alone: each call counts as a size of its own.
    """

    scope: int
    site: str
    alone: bool


@dataclass(frozen=True)
class Layout:
    """All operators that some step runs, in the program's order, and the sets of sizes that they
    share.

    extents: of each set, those that the sizes of its operators follow. loops: of each scope, the
    scope and the node of the loop that it stands in.
    """

    entries: list[Entry]
    sets: list[SharedSizes]
    extents: list[set[str]]
    loops: list[Place]

    @classmethod
    def of(cls, lowered: Lowered, kinds: Mapping[Place, int], each_call: bool) -> Layout:
        """Return the layout of a lowered program.

        kinds: of its operators. each_call: each call counts as a size of its own, as it does
        where an operator multiplies the rows of all experts at once.
        Raises CondsimError for an operator whose sizes follow an extent that the steps do not
        have, or are below 0.
        """
        entries = []
        numbers: dict[SharedSizes, int] = {}
        extents: list[set[str]] = []
        needs = needs_of(lowered.program)
        for scope, calls in enumerate(lowered.scopes):
            if not len(calls):
                continue
            for node, op in calls.operators():
                of_experts = op.name in GROUPED and bool(op.site)
                shared = SharedSizes(scope, op.site, each_call or of_experts)
                number = numbers.setdefault(shared, len(numbers))
                if number == len(extents):
                    extents.append(set())
                place = (calls.placed.number, node)
                needs[place].check(lowered.sizes(scope, op.site))
                extents[number] |= needs[place].shape_extents
                entries.append(Entry(scope, node, op, place, kinds[place], number))
        loops = [(calls.parent, calls.placed.loop) for calls in lowered.scopes]
        return cls(entries, list(numbers), extents, loops)

    @cached_property
    def results(self) -> Results:
        """What was lately worked out from the layout."""
        return Results()

    @cached_property
    def entry_of(self) -> Mapping[tuple[int, int], int]:
        """(scope, node) → number of the entry."""
        return {(entry.scope, entry.node): i for i, entry in enumerate(self.entries)}

    def entries_of(self, played: PlayedSteps) -> np.ndarray:
        """Return the entry of each call of a step, int [calls]."""
        order = played.order

        def make() -> np.ndarray:
            scopes = played.scopes[order.entry].tolist()
            places = zip(scopes, order.node, strict=True)
            return np.array([self.entry_of[place] for place in places], np.int64)

        return self.results.remember(("entries", order.entered), make)

    @cached_property
    def size_set(self) -> np.ndarray:
        """The set of sizes of each entry, int [entries]."""
        return np.array([entry.size_set for entry in self.entries])

    @cached_property
    def kind(self) -> np.ndarray:
        """The kind of each entry, int [entries]."""
        return np.array([entry.kind for entry in self.entries])

    @cached_property
    def router(self) -> np.ndarray:
        """Whether each entry is part of a router, bool [entries]."""
        return np.array([bool(entry.op.role) for entry in self.entries])

    @cached_property
    def weight_reads(self) -> list[WeightRead]:
        """Every read of a weight, in the program's order."""
        found = []
        for number, entry in enumerate(self.entries):
            op = entry.op
            if op.view:
                continue
            weights = [tensor for tensor in op.inputs if tensor.weight]
            for place, tensor in enumerate(weights):
                experts = tensor.dims[:1] if op.name in GROUPED and op.site else ()
                group = (entry.scope, op.site, experts)
                found.append(WeightRead(tensor.weight, number, place, group, entry))
        return found

    @cached_property
    def read_together(self) -> dict[GroupKey, list[WeightRead]]:
        """The weights that are always visited together: those of a scope and site, and those of the
        grouped products of a site in it."""
        groups: dict[GroupKey, list[WeightRead]] = {}
        for read in self.weight_reads:
            groups.setdefault(read.group, []).append(read)
        return groups
