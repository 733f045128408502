"""Events of one run → nested scopes: which operators stand behind which guards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from condsim.program.stages import in_forward
from condsim.record.events import Died, Enter, Event, Leave, RecordedOp, Stage
from condsim.record.loops import Periods
from condsim.record.recorder import Recorder
from condsim.record.routers import mark_routers
from condsim.record.step_events import Learned, step_events

Guards = tuple[tuple[str, int], ...]
"""(site, choice) of every guard that an operator stands behind, from the outside in."""


@dataclass(eq=False)
class RunScope:
    """Operators and loops of one run, in order.

    frees: deaths of storages, each with the node after which it was; -1 for the scope's start.
    stages: of a training step: the nodes with which the stages after its first forward begin.
    """

    nodes: list[RecordedOp | RunLoop] = field(default_factory=list)
    frees: list[tuple[int, Died]] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)

    @property
    def last(self) -> RecordedOp | RunLoop | None:
        """The last node; None for an empty scope."""
        return self.nodes[-1] if self.nodes else None


@dataclass(eq=False)
class Instance:
    """One pass through a guard's body.

    outer: rows that stood before the guard. rows: rows that ran. turn: of its loop's instances with
    rows it is the first, the second, ...; 0 without rows. last: whether it is the last of them.
    units, tokens: see `Leave`. of_tokens: see `Enter`.
    """

    choice: int
    scope: RunScope = field(default_factory=RunScope)
    outer: int = 0
    rows: int = 0
    turn: int = 0
    last: bool = False
    units: int | None = None
    tokens: int | None = None
    of_tokens: bool = False


@dataclass(eq=False)
class RunLoop:
    """Consecutive bodies of one site."""

    site: str
    instances: list[Instance] = field(default_factory=list)


def tree(recorder: Recorder, periods: Periods, learned: Learned | None = None) -> RunScope:
    """Nest a recording.

    periods: filled where an unmarked loop over experts shows itself, used where it does not.
    learned: from all runs of a training step, None to learn from this one alone.
    """
    mark_routers(recorder)
    if learned is None:
        learned = Learned(periods)
        learned.learn(recorder)
    nest = _Nest(recorder)
    for event in step_events(recorder, learned):
        nest.add(event)
    root = nest.root
    if root.stages:
        _Outliving(root, recorder).move()
    return root


class _Nest:
    """A recording as it is nested, event by event.

    scopes: those that are open, the root first.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.root = RunScope()
        self.scopes = [self.root]

    def add(self, event: Event) -> None:
        """Put the next event where it belongs."""
        if isinstance(event, RecordedOp):
            self.scopes[-1].nodes.append(event)
        elif isinstance(event, Died):
            scope = _scope_of_death(self.scopes[-1], self.recorder)
            scope.frees.append((len(scope.nodes) - 1, event))
        elif isinstance(event, Enter):
            self._enter(event)
        elif isinstance(event, Leave):
            self._leave(event)
        elif isinstance(event, Stage):
            self.root.stages.append(len(self.root.nodes))

    def _enter(self, event: Enter) -> None:
        scope = self.scopes[-1]
        loop = RunLoop(event.site) if event.new_loop else _loop_at_end(scope, event.site)
        if loop is not scope.last:
            scope.nodes.append(loop)
        instance = Instance(event.choice, of_tokens=event.of_tokens)
        loop.instances.append(instance)
        self.scopes.append(instance.scope)

    def _leave(self, event: Leave) -> None:
        self.scopes.pop()
        left = self.scopes[-1].last
        assert isinstance(left, RunLoop)
        _leave(left, event)


def _loop_at_end(scope: RunScope, site: str) -> RunLoop:
    """The loop of a site with which a scope ends; a new one where it ends otherwise."""
    if isinstance(scope.last, RunLoop) and scope.last.site == site:
        return scope.last
    return RunLoop(site)


def _leave(loop: RunLoop, event: Leave) -> None:
    """Note the rows of the body that ends."""
    instance = loop.instances[-1]
    instance.outer = event.outer
    instance.rows = event.count
    instance.units = event.units
    instance.tokens = event.tokens
    if event.count > 0:
        instance.turn = 1 + max(earlier.turn for earlier in loop.instances)
        for earlier in loop.instances:
            earlier.last = earlier is instance


def _scope_of_death(scope: RunScope, recorder: Recorder) -> RunScope:
    """Where a death belongs.

    What dies as a lone guard's body ends (the value that the body replaced) dies only if that body
    ran, so the death belongs into the body.
    """
    loop = scope.last
    if not isinstance(loop, RunLoop) or len(loop.instances) != 1:
        return scope
    body = loop.instances[0].scope
    call = recorder.calls.get(loop.site)
    if not body.nodes or (call is not None and call.unmarked_loop):
        return scope
    return _scope_of_death(body, recorder)


class _Outliving:
    """Deaths, in the loops of a backward, of what was there before the loop.

    The last branch that runs is the last to read it. Which branch that is depends on the routing,
    so that the death stands after the loop instead.
    """

    def __init__(self, root: RunScope, recorder: Recorder) -> None:
        self.root = root
        self.recorder = recorder
        self.guards = dict(guarded(root))

    def move(self) -> None:
        """Move them. Loops of the forward keep theirs: there Python's variables say what lives."""
        stages = self.root.stages
        for position in range(stages[0], len(self.root.nodes)):
            if not in_forward(stages, position):
                self._look_at(self.root, position, ())

    def _look_at(self, scope: RunScope, position: int, guards: Guards) -> None:
        loop = scope.nodes[position]
        if isinstance(loop, RecordedOp):
            return
        for instance in loop.instances:
            inner = (*guards, (loop.site, instance.choice))
            for inner_position in range(len(instance.scope.nodes)):
                self._look_at(instance.scope, inner_position, inner)
            if self._has_several(loop):
                self._take_out(instance.scope, inner, scope, position)

    def _has_several(self, loop: RunLoop) -> bool:
        call = self.recorder.calls.get(loop.site)
        return len(loop.instances) > 1 or (call is not None and call.unmarked_loop)

    def _take_out(self, body: RunScope, guards: Guards, scope: RunScope, position: int) -> None:
        staying = []
        for place, died in body.frees:
            born_behind = self.guards[died.op]
            before_the_loop = born_behind == guards[: len(born_behind)] != guards
            if before_the_loop:
                scope.frees.append((position, died))
            else:
                staying.append((place, died))
        body.frees = staying


def guarded(scope: RunScope, guards: Guards = ()) -> Iterator[tuple[RecordedOp, Guards]]:
    """Operators in executed order, each with its guards. guards: that the scope stands behind."""
    for node in scope.nodes:
        if isinstance(node, RecordedOp):
            yield node, guards
            continue
        for instance in node.instances:
            inner = (*guards, (node.site, instance.choice))
            yield from guarded(instance.scope, inner)
