"""The backward of a training step, nested as its forward is.

Autograd runs its nodes in the reverse order of their making. So the backward is the forward played
back: what a guard's body made runs in a body of the same guard, and the last branch comes first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from condsim.errors import CondsimError
from condsim.record.events import Enter, Event, Leave, RecordedOp
from condsim.record.joins import JoinFinder, Joins, merge, with_joins
from condsim.record.marked import Marked


class NotMirrored(CondsimError):
    """A backward that is not its forward played back."""


def backward_events(forward: Marked, backward: Sequence[Event], joins: Joins) -> list[Event]:
    """The events of a backward, with Enter and Leave as the forward has them.

    backward: as recorded, without any. joins: of all runs.
    Raises NotMirrored where operators do not follow the forward's in reverse.
    """
    mirror = _Mirror(forward)
    mirror.deal_out(backward)
    return mirror.played_back(joins)


def learn_joins(forward: Marked, backward: Sequence[Event], joins: Joins) -> None:
    """Add what one run shows of sums of gradients. Raises NotMirrored as `backward_events` does."""
    mirror = _Mirror(forward)
    mirror.deal_out(backward)
    for number, sums in mirror.sums.items():
        scope, key = forward.depths[number], forward.keys[number]
        seen = []
        for place, enter in sums.items():
            chunk = mirror.of_op[number][:place]
            earlier = [at for at, event in enumerate(chunk) if isinstance(event, RecordedOp)]
            plain = [at for at in earlier if at not in sums]
            seen.append((len(plain), forward.loop_number(scope, enter)))
        joins[key] = merge(joins.get(key, []), seen)


class _Mirror:
    """A forward whose operators get those of the backward that belong to them.

    before: what runs before any node does. of_op: number of a forward operator → what its nodes
    run. sums: number of a forward operator → place among these of a sum behind a guard → the guard.
    after: first `Enter` of a loop → what stands after the loop.
    """

    def __init__(self, forward: Marked) -> None:
        self.forward = forward
        self.nodes = [op.node or 0 for op in forward.ops]
        self.before: list[Event] = []
        self.of_op: dict[int, list[Event]] = {}
        self.after: dict[int, list[Event]] = {}
        self.sums: dict[int, dict[int, int]] = {}
        self._finder = JoinFinder(forward)

    def deal_out(self, backward: Sequence[Event]) -> None:
        """Give every event to the forward's operator whose node runs it."""
        current = self.before
        last = len(self.nodes)
        for event in backward:
            if isinstance(event, RecordedOp) and event.node is not None:
                number = self._maker(event.node)
                if number > last:
                    raise NotMirrored(_refusal(event))
                last = number
                current = self.of_op.setdefault(number, [])
                self._label(event, number)
            if isinstance(event, RecordedOp) and event.accumulates and last < len(self.nodes):
                self._keep_gradient(event, last, current)
            else:
                self._note_sum(event, last, current)
                current.append(event)

    def _note_sum(self, event: Event, number: int, current: list[Event]) -> None:
        """Note a sum of gradients that stands behind a guard."""
        if not isinstance(event, RecordedOp) or number >= len(self.nodes):
            return
        enter = self._finder.read(event, self.forward.depths[number])
        if enter is not None:
            self.sums.setdefault(number, {})[len(current)] = enter

    def _maker(self, node: int) -> int:
        """The number of the forward's operator that made a node.

        An operator that makes a node saw the number after it; so did what it called.
        """
        return min(bisect_right(self.nodes, node), len(self.nodes) - 1)

    def _label(self, event: RecordedOp, number: int) -> None:
        """Give an operator the labels of the forward's operator whose gradient it is."""
        op = self.forward.ops[number]
        event.module, event.site, event.role = op.module, op.site, op.role

    def _keep_gradient(self, event: RecordedOp, last: int, current: list[Event]) -> None:
        """Place the operator that keeps a weight's gradient.

        A weight that several branches share has its gradient when the last of them is done: after
        the loop, and not in the branch that happens to be the last.
        """
        self._label(event, last)
        own = self.forward.depths[last]
        shared = self.forward.shared_depth(event.accumulates, own)
        if len(shared) == len(own):
            current.append(event)
            return
        event.site = ""
        loop = self.forward.first_of_loop[own[len(shared)]]
        self.after.setdefault(loop, []).append(event)

    def played_back(self, joins: Joins) -> list[Event]:
        """All events, from the forward's end to its beginning."""
        forward = self.forward
        events = list(self.before)
        number = len(forward.ops)
        for place in reversed(range(len(forward.events))):
            event = forward.events[place]
            if isinstance(event, Leave):
                enter = forward.enters[place]
                is_last = enter in forward.last_of_loop
                events.append(forward.entered(enter, new_loop=is_last))
            elif isinstance(event, Enter):
                events.append(forward.left(place))
                events += self.after.get(place, ())
            elif isinstance(event, RecordedOp):
                number -= 1
                events += self._chunk(number, joins)
        return events

    def _chunk(self, number: int, joins: Joins) -> list[Event]:
        """What the nodes of a forward operator run."""
        chunk = self.of_op.get(number, [])
        known = joins.get(self.forward.keys[number], ())
        if not known:
            return chunk
        scope = self.forward.depths[number]
        return with_joins(self.forward, chunk, self.sums.get(number, {}), known, scope)


def _refusal(event: RecordedOp) -> str:
    return (
        f"train: the backward runs {event.name!r} out of the order in which the forward made its "
        "nodes, as a reentrant checkpoint does: checkpoint with use_reentrant=False, or capture "
        "without train="
    )
