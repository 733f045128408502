"""Steps in executed order: which scopes of the program each enters, and in which call of them.

A step enters a scope, then what the loops in it run, loop by loop and choice by choice. Steps that
enter the same scopes run the same operators in the same order, so that they are looked at together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from condsim.program import Loop
from condsim.program.order import Order

if TYPE_CHECKING:
    from condsim.lowered import ScopeCalls

NOT_AS_DEEP = -1
"""What the paths of scopes are filled up with that stand behind fewer loops."""


@dataclass(frozen=True)
class PlayedSteps:
    """Steps that enter the same scopes, in executed order.

    numbers: of the steps, int [steps]. scopes: that each step enters, int [entries].
    calls: which of its scope's calls each entry is, int [steps, entries]. order: of the operators.
    """

    numbers: np.ndarray
    scopes: np.ndarray
    calls: np.ndarray
    order: Order

    def some(self, chosen: slice) -> PlayedSteps:
        """Return some of the steps."""
        return PlayedSteps(self.numbers[chosen], self.scopes, self.calls[chosen], self.order)


@dataclass(frozen=True)
class EnteredScopes:
    """Entries of some steps into scopes, those of a step together and in executed order.

    step, scope, call: of each entry, int [entries].
    """

    step: np.ndarray
    scope: np.ndarray
    call: np.ndarray

    @classmethod
    def of(cls, scopes: Sequence[ScopeCalls], step: int | None = None) -> EnteredScopes:
        """Return what steps enter. step: the only one that is looked at; None for all."""
        calls_of = [_calls_in(calls, step) for calls in scopes]
        paths = [_path(scopes, number, calls) for number, calls in enumerate(calls_of)]
        in_order = np.lexsort(_filled_up(paths).T[::-1])
        steps = [calls.step[chosen] for calls, chosen in zip(scopes, calls_of, strict=True)]
        entered = np.repeat(np.arange(len(scopes)), [len(calls) for calls in calls_of])
        all_steps, all_calls = np.concatenate(steps), np.concatenate(calls_of)
        return cls(all_steps[in_order], entered[in_order], all_calls[in_order])

    def alike(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield (steps that enter the same scopes, these scopes, the calls of each step), as in
        `PlayedSteps`."""
        counts = np.bincount(self.step)
        begins = np.cumsum(counts) - counts
        for count in np.unique(counts[counts > 0]).tolist():
            steps = np.flatnonzero(counts == count)
            entries = begins[steps][:, None] + np.arange(count)
            scopes, calls = self.scope[entries], self.call[entries]
            for alike in _equal_rows(scopes):
                yield steps[alike], scopes[alike[0]], calls[alike]


def _equal_rows(table: np.ndarray) -> Iterator[list[int]]:
    """Yield the numbers of rows that are equal."""
    groups: dict[bytes, list[int]] = {}
    for number, row in enumerate(table):
        groups.setdefault(row.tobytes(), []).append(number)
    yield from groups.values()


def _calls_in(calls: ScopeCalls, step: int | None) -> np.ndarray:
    """The calls of a scope in a step, or all, int [calls]."""
    if step is None:
        return np.arange(len(calls))
    return np.flatnonzero(calls.step == step)


def _path(scopes: Sequence[ScopeCalls], number: int, chosen: np.ndarray) -> np.ndarray:
    """Where some calls of a scope stand in executed order, int [calls, columns]: the step, and for
    each loop around, from the outside in, its node, the turn of the choice, the scope and the
    call."""
    calls = scopes[number]
    if calls.parent < 0:
        root: np.ndarray = calls.step[chosen][:, None]
        return root
    around = _path(scopes, calls.parent, calls.parent_call[chosen])
    loop = scopes[calls.parent].scope.nodes[calls.placed.loop]
    assert isinstance(loop, Loop)
    inside = np.empty((len(chosen), 4), np.int64)
    inside[:, 0] = calls.placed.loop
    inside[:, 1] = _turns(loop, calls.choice[chosen])
    inside[:, 2] = number
    inside[:, 3] = chosen
    return np.concatenate([around, inside], axis=1)


def _turns(loop: Loop, choice: np.ndarray) -> np.ndarray:
    """Which of the choices of a loop each choice is, int [n]."""
    by_choice = np.argsort(loop.choices)
    turns: np.ndarray = by_choice[np.searchsorted(loop.choices, choice, sorter=by_choice)]
    return turns


def _filled_up(paths: Sequence[np.ndarray]) -> np.ndarray:
    """Paths as one table, int [calls, columns]."""
    columns = max(path.shape[1] for path in paths)
    table = np.full((sum(len(path) for path in paths), columns), NOT_AS_DEEP)
    begin = 0
    for path in paths:
        end = begin + len(path)
        table[begin:end, : path.shape[1]] = path
        begin = end
    return table
