"""Nested scopes of several runs → one program whose sizes are functions of the step's variables.

A form either gives every size exactly, or it is not used and the operator is flagged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from condsim.capture.fit_operator import (
    KnownForms,
    Misfit,
    OperatorFit,
    ScopePass,
    different_operators,
)
from condsim.capture.idle_experts import of_all_idle
from condsim.capture.lifetimes import Lifetimes, Location, Path
from condsim.mechanisms.tokens import BUCKETS
from condsim.program import FIRST, LAST, ONLY, SECOND, SECOND_LAST, Loop, Op, Program, Scope
from condsim.record.events import ExpertsCall, RecordedOp
from condsim.record.nest import Instance, RunLoop, RunScope
from condsim.steps.extents import halves

SHARED = -1
"""The choice of a body that serves every choice."""

MANY = 2
"""The regime of two rows and more."""

Bodies = dict[tuple[int, int, int], Scope]
"""(choice, outer regime, rows regime) → what stands behind the guard."""

Column = Sequence[RecordedOp | RunLoop]
"""The node at one place of a scope, of each pass."""

Split = Callable[[Instance], tuple[int, int]]
"""A pass through a guard's body → (outer regime, rows regime) of the body that serves it."""


def _any_rows(instance: Instance) -> tuple[int, int]:
    return MANY, MANY


def _first_with_rows_apart(instance: Instance) -> tuple[int, int]:
    return MANY, FIRST if instance.turn == 1 else MANY


def _last_with_rows_apart(instance: Instance) -> tuple[int, int]:
    return MANY, LAST if instance.last else MANY


def _first_two_apart(instance: Instance) -> tuple[int, int]:
    if instance.turn == 2:
        return MANY, SECOND
    return _first_with_rows_apart(instance)


def _both_ends_apart(instance: Instance) -> tuple[int, int]:
    if instance.turn == 1 and instance.last:
        return MANY, ONLY
    if instance.last:
        return MANY, LAST
    return _first_with_rows_apart(instance)


def _all_ends_apart(instance: Instance) -> tuple[int, int]:
    if instance.turn == 2:
        return MANY, SECOND_LAST if instance.last else SECOND
    return _both_ends_apart(instance)


def _by_rows(instance: Instance) -> tuple[int, int]:
    return MANY, min(instance.rows, MANY)


def _by_outer_and_rows(instance: Instance) -> tuple[int, int]:
    return min(instance.outer, MANY), min(instance.rows, MANY)


WITHOUT_ROWS: tuple[Split, ...] = (_by_rows, _by_outer_and_rows)
WITH_ROWS: tuple[Split, ...] = (_any_rows, _first_with_rows_apart, _by_rows, _by_outer_and_rows)
BACKWARD: tuple[Split, ...] = (
    _any_rows,
    _first_with_rows_apart,
    _first_two_apart,
    _last_with_rows_apart,
    _both_ends_apart,
    _all_ends_apart,
    _by_rows,
    _by_outer_and_rows,
)
"""Ways to split passes among bodies, the coarsest first."""


@dataclass
class Run:
    """One probing run.

    sizes: batch, and seq and total where units have positions. scope: its operators, nested.
    calls: moe site → how its experts were called.
    """

    sizes: dict[str, int]
    scope: RunScope
    calls: dict[str, ExpertsCall]


@dataclass
class Fitter:
    """Fits one program.

    flagged: operators with a size that no form gives, each with the guards that it stands behind,
    in number. thin: bodies that were seen with one number
    of rows only where others were seen with more; any size of theirs fits a constant.
    with_rows: ways to split passes with rows.
    """

    flagged: list[tuple[str, int]] = field(default_factory=list)
    thin: list[Location] = field(default_factory=list)
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    known: KnownForms = field(default_factory=KnownForms)
    with_rows: tuple[Split, ...] = WITH_ROWS

    def program(self, strategy: str, regime: str, runs: Sequence[Run]) -> Program:
        """The program of a strategy in a regime.

        Raises Misfit where the runs' streams differ in their operators.
        """
        passes = [ScopePass(run.scope, dict(run.sizes), run.calls) for run in runs]
        stages = tuple(runs[0].scope.stages)
        if stages:
            self.with_rows = BACKWARD
        root = self._scope(passes, ())
        root = self.lifetimes.with_frees(root, [run.scope for run in runs])
        flagged = tuple(dict.fromkeys(name for name, _ in self.flagged))
        probed = tuple(dict(run.sizes) for run in runs)
        return Program(strategy, regime, root, flagged, probed, stages=stages)

    def _scope(self, passes: Sequence[ScopePass], path: Path) -> Scope:
        """The scope that gives the operators of every pass."""
        scopes = [one.scope for one in passes]
        _require_same_length(scopes)
        nodes: list[Op | Loop] = []
        for position in range(len(scopes[0].nodes)):
            column = [scope.nodes[position] for scope in scopes]
            location = (path, position)
            if isinstance(column[0], RecordedOp):
                nodes.append(self._operator(column, passes, location))
            else:
                nodes.append(self._loop(column, passes, location))
        return Scope(tuple(nodes))

    def _operator(self, column: Column, passes: Sequence[ScopePass], location: Location) -> Op:
        operators = [node for node in column if isinstance(node, RecordedOp)]
        if len(operators) != len(column):
            names = sorted({op.name for op in operators})
            raise different_operators(operators[0], names)
        fit = OperatorFit(operators, passes, self.known)
        fitted = fit.fitted()
        if not fit.exact:
            path, _ = location
            name = f"{fitted.name} in {operators[0].module or 'the model'}"
            self.flagged.append((name, len(path)))
        for op, one in zip(operators, passes, strict=True):
            self.lifetimes.put(op, location, one.instance)
        return fitted

    def _loop(self, column: Column, passes: Sequence[ScopePass], location: Location) -> Loop:
        loops = [node for node in column if isinstance(node, RunLoop)]
        site = loops[0].site
        if len(loops) != len(column):
            raise Misfit(
                f"a guard of site {site!r} stands where another run has an operator",
                _most_telling(column),
            )
        inner = _passes_through(loops, passes)
        choices = _choices(site, loops, inner, passes)
        bodies = None
        if len(choices) > 1:
            bodies = self._shared_bodies(inner, location)
        call = passes[0].calls.get(site)
        if bodies is None and call is not None and call.idle:
            bodies = self._beside_idle(sorted(call.idle), inner, location)
        if bodies is None:
            bodies = self._bodies_of_each(choices, inner, location)
        return Loop(site, choices, bodies)

    def _shared_bodies(self, inner: list[ScopePass], location: Location) -> Bodies | None:
        """Bodies that serve every choice; None where choices differ in their operators, or in sizes
        that their rows do not give: experts of unlike width."""
        before, thin_before = len(self.flagged), len(self.thin)
        try:
            bodies = self._bodies(inner, SHARED, location)
        except Misfit:
            bodies = None
        if bodies is None or (len(self.flagged) > before and _unlike(inner)):
            del self.flagged[before:]
            del self.thin[thin_before:]
            return None
        return bodies

    def _beside_idle(
        self, idle: Sequence[int], inner: list[ScopePass], location: Location
    ) -> Bodies | None:
        """A body for all experts that compute, and one for those that do not; None where experts
        that compute differ."""
        computing = [one for one in inner if one.choice not in idle]
        resting = [one for one in inner if one.choice in idle]
        shared = self._shared_bodies(computing, location) if computing else None
        if shared is None:
            return None
        of_first = {(idle[0], MANY, MANY): Scope(())}
        if resting:
            of_first = self._bodies(resting, idle[0], location)
        return {**shared, **of_all_idle(of_first, idle, shared)}

    def _bodies_of_each(
        self, choices: Sequence[int], inner: list[ScopePass], location: Location
    ) -> Bodies:
        """Bodies of their own for every choice."""
        bodies: Bodies = {}
        for choice in choices:
            of_choice = [one for one in inner if one.choice == choice]
            bodies |= self._bodies(of_choice, choice, location)
        return bodies

    def _bodies(self, inner: list[ScopePass], choice: int, location: Location) -> Bodies:
        """As few bodies as the operators allow, for passes without rows and for passes with."""
        bodies: Bodies = {}
        empty = [one for one in inner if _rows(one) == 0]
        if empty:
            bodies |= self._coarsest(empty, choice, location, WITHOUT_ROWS)
        filled = [one for one in inner if _rows(one) > 0]
        if filled:
            bodies |= self._coarsest(filled, choice, location, self.with_rows)
        return bodies

    def _coarsest(
        self, inner: list[ScopePass], choice: int, location: Location, splits: Sequence[Split]
    ) -> Bodies:
        """The bodies of the coarsest split that fits exactly; of the last one if none does.

        What does not fit behind a guard inside was split there already: to split here for it, too,
        would multiply the tries with each guard.
        """
        before, thin_before = len(self.flagged), len(self.thin)
        path, _ = location
        behind = len(path) + 1
        for split in splits[:-1]:
            try:
                bodies = self._split(inner, choice, location, split)
            except Misfit:
                bodies = None
            own = [name for name, guards in self.flagged[before:] if guards == behind]
            if bodies is not None and not own:
                return bodies
            del self.flagged[before:]
            del self.thin[thin_before:]
        return self._split(inner, choice, location, splits[-1])

    def _split(
        self, inner: list[ScopePass], choice: int, location: Location, split: Split
    ) -> Bodies:
        """One body for each regime of a split."""
        parts: dict[tuple[int, int], list[ScopePass]] = {}
        for one in inner:
            assert one.instance is not None
            parts.setdefault(split(one.instance), []).append(one)
        path, position = location
        bodies: Bodies = {}
        for (outer, rows), part in parts.items():
            inner_path = (*path, (position, choice, outer, rows))
            bodies[choice, outer, rows] = self._scope(part, inner_path)
            if rows >= MANY and _spread(part) != _spread(inner):
                self.thin.append(location)
        return bodies


def _rows(one: ScopePass) -> int:
    assert one.instance is not None
    return one.instance.rows


def _spread(passes: Sequence[ScopePass]) -> set[str]:
    """What passes through guards have more than one value of, where there are several rows."""
    rows, outer, rest = set(), set(), set()
    for one in passes:
        assert one.instance is not None
        if one.instance.rows < MANY:
            continue
        rows.add(one.instance.rows)
        outer.add(one.instance.outer)
        rest.add(one.instance.outer - one.instance.rows)
    values = {"rows": rows, "outer": outer, "rest": rest}
    return {name for name, seen in values.items() if len(seen) > 1}


def _unlike(inner: list[ScopePass]) -> bool:
    """Whether choices read weights of unlike shapes."""
    shapes: dict[int, list[tuple[int, ...]]] = {}
    for one in inner:
        if _rows(one) and one.choice not in shapes:
            shapes[one.choice] = _shapes_of_weights(one.scope)
    first = next(iter(shapes.values()), [])
    return any(of_choice != first for of_choice in shapes.values())


def _shapes_of_weights(scope: RunScope) -> list[tuple[int, ...]]:
    """Shapes of the weights that the operators of a scope read, in order."""
    shapes = []
    for node in scope.nodes:
        if isinstance(node, RecordedOp):
            shapes += [operand.shape for operand in node.inputs if operand.weight]
    return shapes


def _passes_through(loops: list[RunLoop], passes: Sequence[ScopePass]) -> list[ScopePass]:
    """Every pass of every run through a loop's guards."""
    inner = []
    for loop, one in zip(loops, passes, strict=True):
        for instance in loop.instances:
            outer, rows = instance.outer, instance.rows
            sizes = {**one.sizes, "outer": outer, "rows": rows, "rest": outer - rows}
            if instance.units is not None:
                sizes["units"] = instance.units
            if instance.tokens is not None:
                sizes["tokens"] = instance.tokens
            if instance.of_tokens:
                sizes |= halves(rows)
            inner.append(ScopePass(instance.scope, sizes, one.calls, instance))
    return inner


def _choices(
    site: str, loops: list[RunLoop], inner: list[ScopePass], passes: Sequence[ScopePass]
) -> tuple[int, ...]:
    """The choices of a loop in executed order: those that were seen.

    All experts where a loop runs those that are hit, since which are is up to the data. All buckets
    where units run in some, since how many there are is up to the batch.
    """
    if any(one.instance is not None and one.instance.units is not None for one in inner):
        return tuple(range(BUCKETS))
    backwards = any(_runs_backwards(loop) for loop in loops)
    call = passes[0].calls.get(site)
    if call is not None and call.unmarked_loop:
        everyone = range(len(call.tokens_per_expert))
        return tuple(reversed(everyone)) if backwards else tuple(everyone)
    return tuple(sorted({one.choice for one in inner}, reverse=backwards))


def _runs_backwards(loop: RunLoop) -> bool:
    """Whether a loop runs its last branch first, as a backward does."""
    choices = [instance.choice for instance in loop.instances]
    return any(earlier > later for earlier, later in itertools.pairwise(choices))


def _require_same_length(scopes: Sequence[RunScope]) -> None:
    """Raises Misfit where scopes have different numbers of operators."""
    lengths = sorted({len(scope.nodes) for scope in scopes})
    if len(lengths) > 1:
        where, op = _difference(scopes)
        raise Misfit(
            f"the operator streams of {len(scopes)} runs have {lengths} operators; {where}", op
        )


def _difference(scopes: Sequence[RunScope]) -> tuple[str, RecordedOp | None]:
    """Where streams part, for the message, and an operator there."""
    for position, column in enumerate(zip(*(scope.nodes for scope in scopes), strict=False)):
        different = sorted({_node_name(node) for node in column})
        if len(different) > 1:
            return f"they part at operator {position}: {', '.join(different)}", _most_telling(
                column
            )
    longest = max(scopes, key=lambda scope: len(scope.nodes)).nodes
    rest = longest[min(len(scope.nodes) for scope in scopes) :]
    return "one goes on where another ends", _most_telling(rest)


def _most_telling(nodes: Sequence[RecordedOp | RunLoop]) -> RecordedOp | None:
    """The first operator, one of a site's experts if there is any; None for none."""
    operators = [node for node in nodes if isinstance(node, RecordedOp)]
    return min(operators, key=lambda op: not op.site, default=None)


def _node_name(node: RecordedOp | RunLoop) -> str:
    return node.name if isinstance(node, RecordedOp) else f"[{node.site}]"
