"""In which order a step runs operators, and where its storages are born and die.

The order follows from the scopes that the step enters, whatever their sizes, so it is worked out
once for all steps that enter the same scopes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from condsim.program.model import Free, Op, Path, PlacedScope, Program

Entered = tuple[int, ...]
"""Number of each scope that a step enters, in order; a scope that runs twice stands here twice."""


BEFORE_ITS_NODES = -1
"""The position of what dies when a scope is entered."""


@dataclass(frozen=True)
class Storage:
    """A storage: the call that creates it, and which of that call's storages it is."""

    call: int
    alloc: int


@dataclass
class Order:
    """The calls of a step in executed order.

    entered: the scopes that the step enters. entry: which entry into a scope each call belongs
    to. scope: number of that scope.
    node: of the operator in its scope. ops: the operators.
    deaths: (call, storage that is dead after it), in order.
    """

    entered: Entered
    entry: list[int] = field(default_factory=list)
    scope: list[int] = field(default_factory=list)
    node: list[int] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    deaths: list[tuple[int, Storage]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ops)

    @cached_property
    def sync(self) -> np.ndarray:
        """Whether the host waits after each call, bool [calls]."""
        return np.array([op.sync for op in self.ops], bool)

    @property
    def places(self) -> list[tuple[int, int]]:
        """(number of the scope, node) of each call."""
        return list(zip(self.scope, self.node, strict=True))


def order_of(program: Program, entered: Entered) -> Order:
    """Return the order of a step that enters these scopes."""
    key = ("order", entered)
    return program.results.remember(key, lambda: _Player(program, entered).play())


Creator = tuple[Path, int, int]
"""(scope, node and allocation) that create a storage."""

Death = tuple[Path, int]
"""(scope, node after which) a storage dies."""


def creator_of(free: Free) -> Creator:
    """Return what creates the storage that dies."""
    return free.path, free.op, free.alloc


def deaths_of(program: Program) -> Mapping[Creator, Sequence[Death]]:
    """Return, of what dies at several places, where it does."""

    def find() -> Mapping[Creator, Sequence[Death]]:
        found: dict[Creator, list[Death]] = {}
        for placed in program.scopes:
            for free in placed.scope.frees:
                found.setdefault(creator_of(free), []).append((placed.path, free.position))
        return {creator: deaths for creator, deaths in found.items() if len(deaths) > 1}

    return program.results.remember(("deaths",), find)


class _Player:
    """Plays one step.

    alive: creator → (entry, storage) of its storages that are alive, the oldest first. running:
    scopes that are not left yet → the node that runs in each. deaths: of what dies at several
    places.
    """

    def __init__(self, program: Program, entered: Entered) -> None:
        self.waiting = [program.scopes[number] for number in reversed(entered)]
        self.running: dict[Path, int] = {}
        self.deaths = deaths_of(program)
        self.order = Order(entered)
        self.is_training = bool(program.stages)
        self.alive: dict[Creator, list[tuple[int, Storage]]] = {}
        self.entries = 0

    def play(self) -> Order:
        self._enter(self.waiting.pop())
        return self.order

    def _enter(self, placed: PlacedScope) -> None:
        """Run one entry into a scope."""
        entry = self.entries
        self.entries += 1
        frees: dict[int, list[Free]] = {}
        for free in placed.scope.frees:
            frees.setdefault(free.position, []).append(free)
        self._free(frees.get(BEFORE_ITS_NODES, ()), entry, placed.path)
        for node, op in enumerate(placed.scope.nodes):
            self.running[placed.path] = node
            if isinstance(op, Op):
                self._run(op, placed, node, entry)
            else:
                while self._is_next(placed.number, node):
                    self._enter(self.waiting.pop())
            self._free(frees.get(node, ()), entry, placed.path)
        self.running.pop(placed.path, None)

    def _is_next(self, scope: int, loop: int) -> bool:
        """Whether the next scope stands in this loop."""
        if not self.waiting:
            return False
        placed = self.waiting[-1]
        return placed.parent == scope and placed.loop == loop

    def _run(self, op: Op, placed: PlacedScope, node: int, entry: int) -> None:
        call = len(self.order)
        self.order.entry.append(entry)
        self.order.scope.append(placed.number)
        self.order.node.append(node)
        self.order.ops.append(op)
        for alloc in range(len(op.allocs)):
            born = (entry, Storage(call, alloc))
            self.alive.setdefault((placed.path, node, alloc), []).append(born)

    def _free(self, frees: Iterable[Free], entry: int, path: Path) -> None:
        for free in frees:
            queue = self.alive.get(creator_of(free))
            if not queue or (free.outlived and self._dies_later(free)):
                continue
            for place in self._dying(queue, free.path, path):
                born_in, storage = queue[place]
                if free.previous and born_in == entry:
                    continue
                queue.pop(place)
                if len(self.order):
                    self.order.deaths.append((len(self.order) - 1, storage))

    def _dies_later(self, free: Free) -> bool:
        """Whether a training step still comes to another place at which a storage dies.

        What the forward saves lives until the last branch that reads it is played back, and which
        that is depends on the branches that ran. In a forward the first such place is right.
        """
        if not self.is_training:
            return False
        coming = {placed.path for placed in self.waiting}
        for path, position in self.deaths.get(creator_of(free), ()):
            runs_at = self.running.get(path, position)
            if path in coming or position > runs_at:
                return True
        return False

    def _dying(self, queue: Sequence[object], born: Path, dying: Path) -> list[int]:
        """Which of the storages of one creator die, the last first: the oldest of them.

        born, dying: the scopes in which they are created, and in which they die. In a training step
        all die after their loop, and in another loop, which plays the first one back, the newest.
        """
        if not self.is_training or dying[: len(born)] == born:
            return [0]
        if born[: len(dying)] == dying:
            return list(reversed(range(len(queue))))
        return [len(queue) - 1]
