"""Program + steps → which operators run, how often, and at which sizes.

`lower` walks a program once. Each scope of the program is met with all of its calls in arrays:
the steps (and the experts of a loop) that run it. `Lowered.sequence` gives one step in executed
order, from the same walk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from condsim.lowered import Lowered, Outline, rows_that_arrive
from condsim.mechanisms import Guards
from condsim.program import Loop, Program
from condsim.program.model import BodyKey
from condsim.program.shares import with_shares
from condsim.scope_calls import ScopeCalls
from condsim.steps.buckets import in_buckets
from condsim.steps.extents import SiteRule, Steps, halves
from condsim.strategies import STRATEGIES, Strategy, rows_that_run

REGIMES = 3 * 3 * 3 * 2
"""Regimes of the rows that arrive, of those that run, whether a call is the first that has rows or
the second, and whether it is the last."""


def lower(
    program: Program,
    sites: Mapping[str, SiteRule],
    strategies: Mapping[str, str],
    steps: Steps,
    outline: Outline | None = None,
) -> Lowered:
    """Walk a program with the sizes and decisions of all steps.

    outline: of the blocks that the steps are one of; it learns what these steps run.
    """
    outline = Outline() if outline is None else outline
    extents = with_shares(program, steps.extents)
    if extents is not steps.extents:
        steps = replace(steps, extents=extents)
    walk = _Walk(program, sites, strategies, steps, outline)
    walk.enter_root()
    return Lowered(program, sites, strategies, steps, tuple(walk.found), outline)


class _Walk:
    """Enters every scope of a program that some step runs."""

    def __init__(
        self,
        program: Program,
        sites: Mapping[str, SiteRule],
        strategies: Mapping[str, str],
        steps: Steps,
        outline: Outline,
    ) -> None:
        self.program, self.sites, self.strategies, self.steps = program, sites, strategies, steps
        self.outline = outline
        self.found: list[ScopeCalls] = []
        self.placed = {(s.parent, s.loop, s.key): s for s in program.scopes}

    def enter_root(self) -> None:
        n = len(self.steps)
        step, outside = np.arange(n), np.full(n, -1)
        root = self.program.scopes[0]
        self._enter(ScopeCalls(root, (), step, outside, self.steps.extents, -1, outside))

    def _enter(self, calls: ScopeCalls) -> None:
        number = len(self.found)
        self.found.append(calls)
        for node, loop in enumerate(calls.scope.nodes):
            place = (calls.placed.number, node)
            if isinstance(loop, Loop) and (len(calls) or place in self.outline):
                self._enter_bodies(number, node, loop)

    def _enter_bodies(self, number: int, node: int, loop: Loop) -> None:
        calls = self.found[number]
        guarded = self._guarded(loop, calls)
        met = self.outline.add((calls.placed.number, node), guarded.met())
        for key, served in guarded.by_body(met).items():
            call, guard = served.calls()
            members = self._members(guarded, calls, call, guard)
            sizes = self._sizes(guarded, calls, call, guard)
            if guarded.buckets is not None and members is not None:
                sizes["units"] = members.sum(1)
            inner = ScopeCalls(
                placed=self.placed[calls.placed.number, node, key],
                guards=(*calls.guards, (loop.site, served.label(key, guarded.choices))),
                step=calls.step[call],
                choice=guarded.choices[guard],
                sizes=sizes,
                parent=number,
                parent_call=call,
                members=members,
            )
            self._enter(inner)

    def _sizes(
        self, guarded: _Guarded, calls: ScopeCalls, call: np.ndarray, guard: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The sizes inside of a loop: those around it, and the rows that its guards let in.

        calls: of the scope around. call, guard: of each call inside, int [n].
        """
        mechanism = self.sites[guarded.loop.site].mechanism
        outer, rows = guarded.outer[call, guard], guarded.rows[call, guard]
        sizes = {extent: values[call] for extent, values in calls.sizes.items()}
        sizes |= {"outer": outer, "rows": rows, "rest": outer - rows}
        if mechanism.selects_blocks:
            sizes["block"] = rows
        if mechanism.keeps_tokens:
            sizes |= halves(rows)
        if guarded.owed is not None:
            one_each = np.ones(len(calls), np.int64)
            around = calls.sizes.get("tokens", one_each)[call]
            owed = guarded.owed[call, guard]
            sizes["tokens"] = np.where(owed > 0, owed, around)
        return sizes

    def _members(
        self, guarded: _Guarded, calls: ScopeCalls, call: np.ndarray, guard: np.ndarray
    ) -> np.ndarray | None:
        """Which units of its step each call inside of a loop runs; None where it runs all."""
        if guarded.buckets is not None:
            members: np.ndarray = guarded.buckets[call, guard]
            return members
        return None if calls.members is None else calls.members[call]

    def _guarded(self, loop: Loop, calls: ScopeCalls) -> _Guarded:
        rule = self.sites[loop.site]
        choices = np.array(loop.choices)
        if not len(calls):
            no_rows = np.zeros((0, len(choices)), int)
            return _Guarded(loop, choices, no_rows, no_rows)
        kept_by_step = self.steps.kept.get(rule.name)
        lengths, buckets = self._lengths(rule, calls, len(choices))
        kept = None if kept_by_step is None else kept_by_step[calls.step]
        guards = Guards(
            mechanism=rule.mechanism,
            choices=choices,
            counts=self.steps.counts[rule.name][calls.step],
            arriving=rows_that_arrive(rule, self.steps, calls.sizes, calls.step),
            kept=kept,
            costliest=self.steps.costliest.get(rule.name),
            lengths=lengths,
        )
        strategy = self._strategy(rule)
        outer, rows = rows_that_run(strategy.name, guards)
        owed = None if strategy.owed is None else strategy.owed(guards)
        return _Guarded(loop, choices, outer, rows, buckets, owed)

    def _strategy(self, rule: SiteRule) -> Strategy:
        """What a site runs under."""
        return STRATEGIES[self.strategies[rule.mechanism.name]].on(rule.mechanism)

    def _lengths(
        self, rule: SiteRule, calls: ScopeCalls, guards: int
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Tokens that stay in each unit that a guard runs, int [m, guards, units]; and which units
        these are where each guard runs a bucket of them, bool [m, guards, units].

        None where the site decides about no tokens, and where the step's units run together. Of
        exits at which tokens owe, those that each sequence runs.
        """
        if rule.name in self.steps.owed:
            owed = self.steps.owed[rule.name][calls.step]
            return np.repeat(owed[:, None], guards, axis=1), None
        if rule.name not in self.steps.lengths:
            return None, None
        lengths = self.steps.lengths[rule.name][calls.step]
        if calls.members is None and self._strategy(rule).buckets > 1:
            buckets = in_buckets(lengths, guards)
            return np.where(buckets, lengths[:, None], 0), buckets
        if calls.members is not None:
            lengths = np.where(calls.members, lengths, 0)
        return np.repeat(lengths[:, None], guards, axis=1), None


@dataclass(frozen=True)
class _Guarded:
    """The guards of a loop in m calls. outer, rows: int [m, guards]. buckets: the units that each
    guard runs, bool [m, guards, units]; None where guards run all. owed: see `Strategy`."""

    loop: Loop
    choices: np.ndarray
    outer: np.ndarray
    rows: np.ndarray
    buckets: np.ndarray | None = None
    owed: np.ndarray | None = None

    def met(self) -> np.ndarray:
        """Return the regimes in which some call meets each guard, bool [guards, regimes]."""
        guards = np.arange(len(self.choices))
        met = np.zeros((len(guards), REGIMES), bool)
        met[guards, self.regimes] = True
        return met

    def by_body(self, met: np.ndarray) -> dict[BodyKey, _Served]:
        """Return key of a body → what it serves.

        met: regimes in which the guards are met, bool [guards, regimes].
        """
        served: dict[BodyKey, _Served] = {}
        for guard, regime in np.argwhere(met).tolist():
            body = self.loop.body(int(self.choices[guard]), *_split_regime(regime))
            if body is not None:
                calls = np.flatnonzero(self.regimes[:, guard] == regime)
                served.setdefault(body[0], _Served()).add(guard, calls)
        return served

    @cached_property
    def regimes(self) -> np.ndarray:
        """Number of the regime of each call and guard, int [m, guards]."""
        runs = self.rows > 0
        turn = np.where(runs, np.cumsum(runs, axis=1), 0)
        of_outer, of_rows = np.minimum(self.outer, 2), np.minimum(self.rows, 2)
        regimes: np.ndarray = of_outer * 18 + of_rows * 6 + (turn == 1) * 2
        if self.loop.ends_differ:
            to_come = np.cumsum(runs[:, ::-1], axis=1)[:, ::-1]
            regimes += (turn == 2) * 4 + (runs & (to_come == 1))
        return regimes


def _split_regime(regime: int) -> tuple[int, int, int, bool]:
    """Return (regime of the rows that arrive, of those that run, turn as in `Loop.body`, last)."""
    arriving, within = divmod(regime, 18)
    running, within = divmod(within, 6)
    turn, last = divmod(within, 2)
    return arriving, running, turn, bool(last)


class _Served:
    """The guards and calls that one body serves, by ascending guard."""

    def __init__(self) -> None:
        self._guards: list[int] = []
        self._calls: list[np.ndarray] = []

    def add(self, guard: int, calls: np.ndarray) -> None:
        """Note calls that meet a guard; there may be none."""
        self._guards.append(guard)
        self._calls.append(calls)

    def calls(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (calls, guard of each), int [m] each."""
        lengths = [len(calls) for calls in self._calls]
        return np.concatenate(self._calls), np.repeat(self._guards, lengths)

    def label(self, key: BodyKey, choices: np.ndarray) -> int:
        """Return the choice that the body stands for, -1 where it serves several."""
        served = choices[self._guards]
        several = key[0] == -1 and (served != served[0]).any()
        return -1 if several else int(served[0])
