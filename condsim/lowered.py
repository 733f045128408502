"""A program on given steps: which operators run, how often, and at which sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from condsim.played import EnteredScopes, PlayedSteps
from condsim.program import Op, Program, Scope
from condsim.program.model import Place
from condsim.program.order import order_of
from condsim.scope_calls import GuardPath, ScopeCalls
from condsim.steps.extents import SiteRule, Steps, capacity
from condsim.steps.sizes import Sizes, distinct, joined
from condsim.strategies import STRATEGIES, Strategy


@dataclass(frozen=True)
class Visit:
    """An operator of a program, and the guards that it stands behind."""

    op: Op
    guards: GuardPath
    place: Place


@dataclass(frozen=True)
class Call:
    """One call of an operator in one step.

    scope: index of its `ScopeCalls`. call: which of their calls it belongs to.
    dead: storages that are dead after it: the call that creates each, and which of its storages.
    """

    op: Op
    place: Place
    guards: GuardPath
    scope: int
    call: int
    bindings: Mapping[str, int]
    dead: list[tuple[Call, int]] = field(default_factory=list)

    @cached_property
    def born(self) -> list[tuple[int, str]]:
        """(elements, dtype) of the storages that it creates."""
        return [(int(size(self.bindings)), dtype) for size, dtype in self.op.allocs]

    @property
    def freed(self) -> list[tuple[int, str]]:
        """(elements, dtype) of the storages that are dead after it."""
        return [call.born[storage] for call, storage in self.dead]

    def signature(self) -> tuple[object, ...]:
        """Return (operator, input shapes, output shapes, weights, guards, synchronises)."""
        op, bindings = self.op, self.bindings
        choice = str(self.guards[-1][1]) if self.guards else ""
        inputs = tuple(tensor.shape(bindings) for tensor in op.inputs)
        outputs = tuple(tensor.shape(bindings) for tensor in op.outputs)
        weights = tuple(tensor.weight.replace("*", choice) for tensor in op.inputs)
        return op.name, inputs, outputs, weights, self.guards, op.sync


@dataclass(frozen=True)
class Lowered:
    """A program on given steps.

    strategies: mechanism → strategy, or a baseline's name for all. scopes: every scope that some
    step runs, in the program's order. outline: of the blocks that the steps are one of.
    """

    program: Program
    sites: Mapping[str, SiteRule]
    strategies: Mapping[str, str]
    steps: Steps
    scopes: tuple[ScopeCalls, ...]
    outline: Outline

    def strategy_of(self, site: str) -> Strategy:
        """Return the strategy that a site runs under."""
        mechanism = self.sites[site].mechanism
        return STRATEGIES[self.strategies[mechanism.name]].on(mechanism)

    def sizes(self, scope: int, site: str) -> Mapping[str, np.ndarray]:
        """Return the extents of all calls of a scope, with those of an operator's site.

        site: "" for an operator that computes no experts. hits: experts that any row takes;
        capacity: rows that an expert has room for.
        """
        calls = self.scopes[scope]
        if not site:
            return calls.sizes
        return self._sizes_with_site[scope, site]

    def known_sizes(self, scope: int, site: str) -> Sizes | None:
        """Return all sizes that the calls of a scope have in some block, as in `sizes`; None where
        the steps are not one block of several."""
        return self.outline.sizes.get((self.scopes[scope].placed.number, site))

    @cached_property
    def _sizes_with_site(self) -> Mapping[tuple[int, str], Mapping[str, np.ndarray]]:
        found = {}
        for number, calls in enumerate(self.scopes):
            for site in _sites_without_guards(calls.scope):
                rule = self.sites[site]
                rows = rows_that_arrive(rule, self.steps, calls.sizes, calls.step)
                hits = (self.steps.counts[site] > 0).sum(1)[calls.step]
                room = capacity(rows, rule.top_k, rule.branches, self.steps.capacity_factor)
                found[number, site] = {**calls.sizes, "hits": hits, "capacity": room}
        return found

    @cached_property
    def inner(self) -> Mapping[tuple[int, int], tuple[int, ...]]:
        """(scope, node of a loop) → the scopes of its bodies."""
        found: dict[tuple[int, int], list[int]] = {}
        for number, calls in enumerate(self.scopes):
            if calls.parent >= 0:
                found.setdefault((calls.parent, calls.placed.loop), []).append(number)
        return {key: tuple(numbers) for key, numbers in found.items()}

    def visits(self, scope: int = 0) -> Iterator[Visit]:
        """Yield every operator that some step runs, once, in the program's order."""
        calls = self.scopes[scope]
        for node, op in enumerate(calls.scope.nodes):
            if isinstance(op, Op):
                yield Visit(op, calls.guards, (calls.placed.number, node))
            else:
                for inner in self.inner.get((scope, node), ()):
                    yield from self.visits(inner)

    def played(self, step: int = 0) -> PlayedSteps:
        """Return one step in executed order."""
        (played,) = self._played(EnteredScopes.of(self.scopes, step))
        return played

    def played_alike(self) -> Iterator[PlayedSteps]:
        """Yield all steps in executed order, those together that enter the same scopes."""
        yield from self._played(EnteredScopes.of(self.scopes))

    def _played(self, entered: EnteredScopes) -> Iterator[PlayedSteps]:
        placed = np.array([calls.placed.number for calls in self.scopes])
        for numbers, scopes, calls in entered.alike():
            order = order_of(self.program, tuple(placed[scopes].tolist()))
            yield PlayedSteps(numbers, scopes, calls, order)

    def sequence(self, step: int = 0) -> list[Call]:
        """Return the operators of one step in executed order."""
        played = self.played(step)
        order = played.order
        entered = list(zip(played.scopes.tolist(), played.calls[0].tolist(), strict=True))
        guards = [self._guards_of(scope, call) for scope, call in entered]
        bound: dict[tuple[int, str], dict[str, int]] = {}
        calls = []
        for entry, number, node, op in zip(
            order.entry, order.scope, order.node, order.ops, strict=True
        ):
            scope, call = entered[entry]
            if (entry, op.site) not in bound:
                sizes = self.sizes(scope, op.site)
                of_call = {name: int(values[call]) for name, values in sizes.items()}
                bound[entry, op.site] = of_call
            bindings = bound[entry, op.site]
            calls.append(Call(op, (number, node), guards[entry], scope, call, bindings))
        for after, storage in order.deaths:
            calls[after].dead.append((calls[storage.call], storage.alloc))
        return calls

    def _guards_of(self, scope: int, call: int) -> GuardPath:
        """The guards of a call, with the choice that it really is."""
        guards: list[tuple[str, int]] = []
        while self.scopes[scope].parent >= 0:
            calls = self.scopes[scope]
            guards.append((calls.guards[-1][0], int(calls.choice[call])))
            scope, call = calls.parent, int(calls.parent_call[call])
        return tuple(reversed(guards))


class Outline:
    """What the steps of several blocks run, so that each block is lowered and priced alike.

    Every block has the scopes of all of them: those that it does not run itself have no calls.
    sizes: (scope of the program, site) → all sizes of its calls, once. first_step: what the device
    model keeps of the first step of all, None until the first block is priced.
    """

    def __init__(self) -> None:
        self._met: dict[Place, np.ndarray] = {}
        self.sizes: dict[tuple[int, str], Sizes] = {}
        self.first_step: Any = None

    def __contains__(self, loop: Place) -> bool:
        return loop in self._met

    def add(self, loop: Place, met: np.ndarray) -> np.ndarray:
        """Note the regimes in which a loop's guards are met, bool [guards, regimes].

        Returns those that were ever noted.
        """
        if loop in self._met:
            met = met | self._met[loop]
        self._met[loop] = met
        return met

    def add_sizes(self, lowered: Lowered) -> None:
        """Note the sizes of a block's calls."""
        for number, calls in enumerate(lowered.scopes):
            if not len(calls):
                continue
            for site in dict.fromkeys(op.site for _, op in calls.operators()):
                sizes = distinct(lowered.sizes(number, site))
                key = (calls.placed.number, site)
                if key in self.sizes:
                    sizes = distinct(joined(self.sizes[key], sizes))
                self.sizes[key] = sizes


def rows_that_arrive(
    rule: SiteRule, steps: Steps, sizes: Mapping[str, np.ndarray], step: np.ndarray
) -> np.ndarray:
    """Return the rows that reach a site from the scope that it stands in, int [m].

    sizes, step: of the calls of that scope. Behind a guard these are the rows that run there;
    behind weight blocks all rows run.
    """
    inside = sizes.get("rows")
    if inside is not None and "block" not in sizes:
        return inside
    arriving: np.ndarray = steps.arriving(rule)[step]
    return arriving


def _sites_without_guards(scope: Scope) -> dict[str, None]:
    """Sites whose experts a scope computes without a guard."""
    operators = [node for node in scope.nodes if isinstance(node, Op)]
    return dict.fromkeys(op.site for op in operators if op.site)
