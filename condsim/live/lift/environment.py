"""The variables of a lifted forward, and the actions that read and write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from condsim.live.lift.meanings import Context, Select, Sum
from condsim.live.lift.nodes import Ref


class Variable(NamedTuple):
    """What an environment holds.

    what: (node, item) of a tensor on the tape, (selection or sum, None), or a name with a number.
    context: the conditions that its rows fulfil.
    """

    what: tuple[object, int | None]
    context: Context


def tensor_variable(ref: Ref, context: Context) -> Variable:
    """The result of a node."""
    return Variable((ref.node, ref.item), context)


def composed_variable(value: Select | Sum, context: Context) -> Variable:
    """What is put together from several tensors."""
    return Variable((value, None), context)


def rows_variable(context: Context) -> Variable:
    """The row selector that `condsim.branch` gave for the last condition of a context."""
    return Variable(("rows", None), context)


def routed_variable(decision: int, context: Context) -> Variable:
    """What `condsim.route` gave for a decision."""
    return Variable(("routed", decision), context)


Environment = dict[Variable, Any]
Run = Callable[[Environment], None]


@dataclass
class Action:
    """One thing to do. reads, writes: the variables that it needs, and that it sets."""

    run: Run
    reads: set[Variable] = field(default_factory=set)
    writes: set[Variable] = field(default_factory=set)


@dataclass(frozen=True)
class RunAndForget:
    """Something to do, and the variables that nobody reads after it."""

    run: Run
    forgotten: tuple[Variable, ...]

    def __call__(self, environment: Environment) -> None:
        self.run(environment)
        for variable in self.forgotten:
            environment.pop(variable, None)


def forgetting(actions: list[Action], kept: Iterable[Variable]) -> list[Run]:
    """What the actions do, each followed by the end of the variables that nobody reads after it.

    kept: variables that somebody reads after the last action.
    """
    forgettable: set[Variable] = set()
    for action in actions:
        forgettable |= action.writes
    forgettable -= set(kept)
    last_use: dict[Variable, int] = {}
    for position, action in enumerate(actions):
        for variable in action.reads | action.writes:
            if variable in forgettable:
                last_use[variable] = position
    runs: list[Run] = []
    for position, action in enumerate(actions):
        forgotten = tuple(variable for variable, last in last_use.items() if last == position)
        run = RunAndForget(action.run, forgotten) if forgotten else action.run
        runs.append(run)
    return runs
