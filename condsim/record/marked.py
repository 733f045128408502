"""A forward with all its marks: which guards each operator stands behind, and which loops there are."""

from __future__ import annotations

from collections.abc import Sequence

from condsim.record.events import Enter, Event, Leave, RecordedOp

Depth = tuple[int, ...]
"""Which guards an operator stands behind: places of their `Enter` among the events."""


class Marked:
    """Events of a forward, of which every guard has an Enter and a Leave.

    ops: its operators. depths: the guards of each. enters, leaves: place of a `Leave` → place of
    its `Enter`, and back. first_of_loop: place of an `Enter` → that of the first one of its loop.
    last_of_loop: places of those that are the last of their loop.
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

    def guard(self, place: int) -> tuple[str, int]:
        """(site, choice) of an `Enter`."""
        event = self.events[place]
        assert isinstance(event, Enter)
        return event.site, event.choice

    def left(self, enter: int) -> Leave:
        """How a guard's body ended. enter: its place."""
        event = self.events[self.leaves[enter]]
        assert isinstance(event, Leave)
        return event


def common(one: Depth, other: Depth) -> Depth:
    """The guards that both stand behind."""
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return one[:length]
