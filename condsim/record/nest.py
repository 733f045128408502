"""Events of one run → nested scopes: which operators stand behind which guards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from condsim.record.events import Died, Enter, Leave, RecordedOp
from condsim.record.loops import Periods, with_marks
from condsim.record.recorder import Recorder
from condsim.record.routers import mark_routers

Guards = tuple[tuple[str, int], ...]
"""(site, choice) of every guard that an operator stands behind, from the outside in."""


@dataclass(eq=False)
class RunScope:
    """Operators and loops of one run, in order.

    frees: deaths of storages, each with the node after which it was; -1 for the scope's start.
    """

    nodes: list[RecordedOp | RunLoop] = field(default_factory=list)
    frees: list[tuple[int, Died]] = field(default_factory=list)

    @property
    def last(self) -> RecordedOp | RunLoop | None:
        """The last node; None for an empty scope."""
        return self.nodes[-1] if self.nodes else None


@dataclass(eq=False)
class Instance:
    """One pass through a guard's body.

    outer: rows that stood before the guard. rows: rows that ran. first: whether it is the first of
    its loop that has rows. units: see `Leave`. of_tokens: see `Enter`.
    """

    choice: int
    scope: RunScope = field(default_factory=RunScope)
    outer: int = 0
    rows: int = 0
    first: bool = False
    units: int | None = None
    of_tokens: bool = False


@dataclass(eq=False)
class RunLoop:
    """Consecutive bodies of one site."""

    site: str
    instances: list[Instance] = field(default_factory=list)


def tree(recorder: Recorder, periods: Periods) -> RunScope:
    """Nest a recording.

    periods: filled where an unmarked loop over experts shows itself, used where it does not.
    """
    mark_routers(recorder)
    root = RunScope()
    scopes = [root]
    for event in with_marks(recorder, periods):
        scope = scopes[-1]
        if isinstance(event, RecordedOp):
            scope.nodes.append(event)
        elif isinstance(event, Died):
            dying_in = _scope_of_death(scope, recorder)
            dying_in.frees.append((len(dying_in.nodes) - 1, event))
        elif isinstance(event, Enter):
            instance = Instance(event.choice, of_tokens=event.of_tokens)
            _loop_at_end(scope, event.site).instances.append(instance)
            scopes.append(instance.scope)
        elif isinstance(event, Leave):
            scopes.pop()
            loop = scopes[-1].last
            assert isinstance(loop, RunLoop)
            _leave(loop, event)
    return root


def _loop_at_end(scope: RunScope, site: str) -> RunLoop:
    """The loop of a site with which a scope ends; a new one where it ends otherwise."""
    if isinstance(scope.last, RunLoop) and scope.last.site == site:
        return scope.last
    loop = RunLoop(site)
    scope.nodes.append(loop)
    return loop


def _leave(loop: RunLoop, event: Leave) -> None:
    """Note the rows of the body that ends."""
    earlier_rows = any(instance.first for instance in loop.instances)
    instance = loop.instances[-1]
    instance.outer = event.outer
    instance.rows = event.count
    instance.units = event.units
    instance.first = event.count > 0 and not earlier_rows


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


def guarded(scope: RunScope, guards: Guards = ()) -> Iterator[tuple[RecordedOp, Guards]]:
    """Operators in executed order, each with its guards. guards: that the scope stands behind."""
    for node in scope.nodes:
        if isinstance(node, RecordedOp):
            yield node, guards
            continue
        for instance in node.instances:
            inner = (*guards, (node.site, instance.choice))
            yield from guarded(instance.scope, inner)
