"""A forward with all its marks: the guards that operators stand behind, and the loops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from condsim.record.events import Enter, Event, Leave, RecordedOp

Depth = tuple[int, ...]
"""Which guards an operator stands behind: places of their `Enter` among the events."""


OpKey = tuple[tuple[tuple[int, int], ...], int]
"""An operator, the same in all runs: (loop, choice) of its guards, its number in its scope."""


class Marked:
    """Events of a forward, of which every guard has an Enter and a Leave.

    ops: its operators. depths: the guards of each. enters, leaves: place of a `Leave` → place of
    its `Enter`, and back. first_of_loop: place of an `Enter` → that of the first one of its loop.
    last_of_loop: places of those that are the last of their loop. keys: of the operators, the same
    in all runs.
    readers: weight → numbers of the operators that read it.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.ops: list[RecordedOp] = []
        self.depths: list[Depth] = []
        self.enters: dict[int, int] = {}
        self.leaves: dict[int, int] = {}
        self.first_of_loop: dict[int, int] = {}
        self.readers: dict[str, list[int]] = {}
        self.keys: list[OpKey] = []
        self._loops_in: dict[Depth, list[int]] = {}
        self._ops_in: Counter[Depth] = Counter()
        self._read()
        last = {first: enter for enter, first in sorted(self.first_of_loop.items())}
        self.last_of_loop = set(last.values())

    def _read(self) -> None:
        open_guards: list[int] = []
        loops: list[tuple[str, int]] = [("", -1)]  # at each depth: the loop with which it ends
        for place, event in enumerate(self.events):
            if isinstance(event, Enter):
                if loops[-1][0] != event.site:
                    loops[-1] = (event.site, place)
                    self._loops_in.setdefault(tuple(open_guards), []).append(place)
                self.first_of_loop[place] = loops[-1][1]
                open_guards.append(place)
                loops.append(("", -1))
            elif isinstance(event, Leave):
                enter = open_guards.pop()
                loops.pop()
                self.enters[place], self.leaves[enter] = enter, place
            elif isinstance(event, RecordedOp):
                loops[-1] = ("", -1)
                self._read_operator(event, tuple(open_guards))

    def _read_operator(self, op: RecordedOp, depth: Depth) -> None:
        number = len(self.ops)
        self.ops.append(op)
        self.depths.append(depth)
        self.keys.append((self._path(depth), self._ops_in[depth]))
        self._ops_in[depth] += 1
        for operand in op.inputs:
            if operand.weight:
                self.readers.setdefault(operand.weight, []).append(number)

    def shared_depth(self, weight: str, within: Depth | None = None) -> Depth:
        """The guards that all operators stand behind that read a weight; () for no such operator.

        within: guards that the answer is among.
        """
        shared = within
        for reader in self.readers.get(weight, ()):
            depth = self.depths[reader]
            shared = depth if shared is None else common(shared, depth)
        return shared or ()

    def _path(self, depth: Depth) -> tuple[tuple[int, int], ...]:
        """(loop among those of its scope, choice) of each guard."""
        path = []
        for level, enter in enumerate(depth):
            path.append((self.loop_number(depth[:level], enter), self.guard(enter)[1]))
        return tuple(path)

    def loop_number(self, scope: Depth, enter: int) -> int:
        """The number of a guard's loop among those of its scope."""
        return self._loops_in[scope].index(self.first_of_loop[enter])

    def loop_in(self, scope: Depth, number: int) -> int | None:
        """The first `Enter` of a loop; None where the scope has fewer loops."""
        loops = self._loops_in.get(scope, [])
        return loops[number] if number < len(loops) else None

    def is_alone(self, enter: int) -> bool:
        """Whether a guard is the only one of its loop, so that nothing may run there.

        A guard that picks blocks of weights runs always.
        """
        picks_blocks = self.guard(enter)[1] < 0
        return (
            not picks_blocks and self.first_of_loop[enter] == enter and enter in self.last_of_loop
        )

    def guard(self, place: int) -> tuple[str, int]:
        """(site, choice) of an `Enter`."""
        event = self.events[place]
        assert isinstance(event, Enter)
        return event.site, event.choice

    def entered(self, enter: int, new_loop: bool) -> Enter:
        """The same guard's body begins once more. new_loop: in a loop of its own."""
        event = self.events[enter]
        assert isinstance(event, Enter)
        return replace(event, new_loop=new_loop)

    def left(self, enter: int) -> Leave:
        """The same guard's body ends once more. enter: its place."""
        event = self.events[self.leaves[enter]]
        assert isinstance(event, Leave)
        return replace(event)


def common(one: Depth, other: Depth) -> Depth:
    """The guards that both stand behind."""
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return one[:length]
