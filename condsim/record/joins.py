"""Where the gradient that a branch gives is added to one that comes from elsewhere.

Autograd adds up what arrives for the same tensor, in the node that arrives later. Where no row took
the branch nothing arrived before, and nothing is added. So the sum stands behind the branch's
guard, though it runs after the branch.
"""

from __future__ import annotations

from collections.abc import Sequence

from condsim.record.events import Event, RecordedOp
from condsim.record.marked import Depth, Marked, OpKey

SUMS = ("add", "add_")

Join = tuple[int, int]
"""(operators of the same nodes before the sum, loop of the guard among those of its scope)."""

Joins = dict[OpKey, list[Join]]
"""The sums in the backward of each operator, in order."""


class JoinFinder:
    """Finds sums in a backward as it is read."""

    def __init__(self, forward: Marked) -> None:
        self.forward = forward
        self.written_behind: dict[int, Depth] = {}

    def read(self, op: RecordedOp, depth: Depth) -> int | None:
        """The `Enter` of the guard that a sum stands behind; None for any other operator.

        depth: of the forward's operator whose gradient it is.
        """
        join = self._join(op, depth) if op.name in SUMS else None
        for output in op.outputs:
            self.written_behind[output.storage] = depth
        return join

    def _join(self, op: RecordedOp, depth: Depth) -> int | None:
        for operand in op.inputs:
            behind = self.written_behind.get(operand.storage, ())
            if len(behind) <= len(depth) or behind[: len(depth)] != depth:
                continue
            enter = behind[len(depth)]
            if self.forward.is_alone(enter):
                return enter
        return None


def merge(known: list[Join], seen: Sequence[Join]) -> list[Join]:
    """Sums that some run saw, in order."""
    return sorted({*known, *seen})


def with_joins(
    forward: Marked,
    chunk: Sequence[Event],
    sums: dict[int, int],
    joins: Sequence[Join],
    scope: Depth,
) -> list[Event]:
    """What runs in the nodes of one operator, with its sums behind their guards.

    sums: place in the chunk → the `Enter` of its guard. joins: of all runs. scope: the guards that
    the operator stands behind.
    """
    events: list[Event] = []
    waiting = list(joins)
    before = 0
    place = 0
    while place < len(chunk) or waiting:
        if waiting and (waiting[0][0] <= before or place >= len(chunk)):
            _, loop = waiting[0]
            enter = forward.loop_in(scope, loop)
            taken = _taken(chunk, place, sums, enter)
            if taken or not _is_plain_event(chunk, place):
                waiting.pop(0)
                events += behind(forward, enter, chunk[place : place + taken])
                place += taken
                continue
        event = chunk[place]
        before += isinstance(event, RecordedOp)
        events.append(event)
        place += 1
    return events


def _is_plain_event(chunk: Sequence[Event], place: int) -> bool:
    """Whether what comes next is a death that still belongs to the operator before it."""
    return place < len(chunk) and not isinstance(chunk[place], RecordedOp)


def _taken(chunk: Sequence[Event], place: int, sums: dict[int, int], enter: int | None) -> int:
    """How many events from a place on are the sum behind a guard, and what dies after it."""
    if enter is None or sums.get(place) != enter:
        return 0
    taken = 1
    while place + taken < len(chunk) and not isinstance(chunk[place + taken], RecordedOp):
        taken += 1
    return taken


def behind(forward: Marked, enter: int | None, events: Sequence[Event]) -> list[Event]:
    """Events behind a guard of the forward; nothing where the forward did not come to it."""
    if enter is None:
        return []
    return [forward.entered(enter, new_loop=True), *events, forward.left(enter)]
